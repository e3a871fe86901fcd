"""The encoder that comes with the package, read by transformers alone."""

import json
import math
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoTokenizer, BertForMaskedLM, PreTrainedTokenizerBase

from warmstart.quickstart.corpus import Corpus
from warmstart.quickstart.encoder_files import ENCODER_DIR
from warmstart.quickstart.tokens import mask_tokens, pack

LENGTH = 64  # tokens a sequence


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(ENCODER_DIR)
    return loaded


def test_size() -> None:
    assert sum(path.stat().st_size for path in ENCODER_DIR.iterdir()) <= 12_000_000
    assert {path.name for path in ENCODER_DIR.iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_predicts_masked_tokens_of_held_out_text(stdlib_corpus: Corpus) -> None:
    loaded: Any = BertForMaskedLM.from_pretrained(
        ENCODER_DIR, dtype=torch.float32, output_loading_info=True
    )
    model, report = loaded
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    tokenizer = Tokenizer.from_file(str(ENCODER_DIR / "tokenizer.json"))
    vocabulary = tokenizer.get_vocab_size()
    ids = pack(tokenizer, stdlib_corpus.held_out[:100], LENGTH)[:40]
    mask_id = json.loads((ENCODER_DIR / "tokenizer.json").read_text())["model"]["vocab"]["[MASK]"]
    corrupted, positions = mask_tokens(
        ids, 0.15, vocabulary, mask_id, torch.Generator().manual_seed(0)
    )
    with torch.inference_mode():
        logits = model.eval()(input_ids=corrupted).logits[positions]
    labels = ids[positions]
    assert labels.numel() > 300
    loss = torch.nn.functional.cross_entropy(logits, labels).item()
    seen = pack(tokenizer, stdlib_corpus.train, LENGTH).flatten()
    frequencies = (torch.bincount(seen, minlength=vocabulary) + 1.0) / (seen.numel() + vocabulary)
    by_frequency = -frequencies[labels].log().mean().item()  # a guess that looks at no context
    assert by_frequency < math.log(vocabulary) - 1
    assert loss < by_frequency - 1.5


def test_text_comes_back_as_it_was(
    stdlib_corpus: Corpus, tokenizer: PreTrainedTokenizerBase
) -> None:
    texts = stdlib_corpus.held_out_sentences()[:500]
    rows = tokenizer(texts)["input_ids"]
    assert [tokenizer.decode(row, skip_special_tokens=True) for row in rows] == texts
    assert all(row[0] == tokenizer.cls_token_id for row in rows)
    assert all(row[-1] == tokenizer.sep_token_id for row in rows)


def test_unknown_characters_are_unknown_tokens(tokenizer: PreTrainedTokenizerBase) -> None:
    row = tokenizer("The 猫 sat.")["input_ids"]
    assert tokenizer.unk_token_id in row
    assert str(tokenizer.decode(row, skip_special_tokens=True)).endswith(" sat.")


def test_readme_tells_the_recipe() -> None:
    text = (ENCODER_DIR / "README.md").read_text(encoding="utf-8")
    for needed in ("make_encoder", "held-out loss", "training sentences", "adam_rate", "torch "):
        assert needed in text
