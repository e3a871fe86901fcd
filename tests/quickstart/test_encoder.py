"""The encoder that comes with the package, read by transformers alone."""

from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, BertModel, PreTrainedTokenizerBase

from warmstart.quickstart.corpus import Corpus
from warmstart.quickstart.encoder_files import ENCODER_DIR


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(ENCODER_DIR)
    return loaded


def load() -> tuple[Any, dict[str, Any]]:
    loaded: Any = BertModel.from_pretrained(
        ENCODER_DIR, dtype=torch.float32, output_loading_info=True, add_pooling_layer=False
    )
    model, report = loaded
    return model.eval(), report


def test_size() -> None:
    assert sum(path.stat().st_size for path in ENCODER_DIR.iterdir()) <= 12_000_000
    assert {path.name for path in ENCODER_DIR.iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_it_is_complete() -> None:
    _, report = load()
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]


@pytest.mark.parametrize(
    ("word", "near", "far"),
    [
        ("error", "exception", "however"),
        ("list", "sequence", "however"),
        ("file", "directory", "quickly"),
        ("small", "large", "import"),
    ],
)
def test_words_of_like_meaning_are_near(
    tokenizer: PreTrainedTokenizerBase, word: str, near: str, far: str
) -> None:
    model, _ = load()
    vectors = model.embeddings.word_embeddings.weight

    def similarity(a: str, b: str) -> float:
        ids = [tokenizer.convert_tokens_to_ids(text) for text in (a, b)]
        assert tokenizer.unk_token_id not in ids
        return torch.nn.functional.cosine_similarity(*vectors[ids], dim=0).item()

    assert similarity(word, near) > similarity(word, far) + 0.1


def test_its_states_still_tell_the_token(
    stdlib_corpus: Corpus, tokenizer: PreTrainedTokenizerBase
) -> None:
    """What cross-attention can copy from: among all words, a state is nearest to its own."""
    model, _ = load()
    batch: Any = tokenizer(
        list(stdlib_corpus.held_out_sentences()[:50]), padding=True, return_tensors="pt"
    )
    with torch.inference_mode():
        states = model(**batch).last_hidden_state
        scores = states @ model.embeddings.word_embeddings.weight.T
    right = (scores.argmax(-1) == batch["input_ids"])[batch["attention_mask"].bool()]
    assert right.float().mean() > 0.5


def test_english_is_hardly_ever_unknown(
    stdlib_corpus: Corpus, tokenizer: PreTrainedTokenizerBase
) -> None:
    rows = tokenizer(list(stdlib_corpus.held_out_sentences()[:500]))["input_ids"]
    tokens = [token for row in rows for token in row]
    assert tokens.count(tokenizer.unk_token_id) < 0.002 * len(tokens)
    assert all(row[0] == tokenizer.cls_token_id for row in rows)
    assert all(row[-1] == tokenizer.sep_token_id for row in rows)


def test_unknown_characters_are_unknown_tokens(tokenizer: PreTrainedTokenizerBase) -> None:
    row = tokenizer("The 猫 sat.")["input_ids"]
    assert tokenizer.unk_token_id in row
    assert str(tokenizer.decode(row, skip_special_tokens=True)).endswith(" sat.")


def test_readme_has_the_recipe() -> None:
    text = (ENCODER_DIR / "README.md").read_text(encoding="utf-8")
    for needed in ("make_encoder", "MiniLM", "Apache-2.0", "float16"):
        assert needed in text
