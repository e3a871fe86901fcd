import pytest
import torch
from tokenizers import Tokenizer

from warmstart.quickstart.corpus import Passage
from warmstart.quickstart.tokens import SPECIAL_TOKENS, mask_tokens, pack, token_id, train_tokenizer

TEXTS = [
    "The file is closed, but its name (a string) stays.",
    "It's 2026: return foo_bar or None, e.g. with --help.",
    "A half-open range of 10 numbers is given.",
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(TEXTS, 200)


def test_special_tokens_come_first(tokenizer: Tokenizer) -> None:
    assert [tokenizer.id_to_token(number) for number in range(5)] == list(SPECIAL_TOKENS)


@pytest.mark.parametrize("text", [*TEXTS, "Words (never seen) before; 100%!"])
def test_any_text_of_known_characters_comes_back(tokenizer: Tokenizer, text: str) -> None:
    encoding = tokenizer.encode(text)
    assert (encoding.tokens[0], encoding.tokens[-1]) == ("[CLS]", "[SEP]")
    assert "[UNK]" not in encoding.tokens
    assert tokenizer.decode(encoding.ids) == text


def test_pack_fills_every_sequence_and_starts_it_with_a_sentence(tokenizer: Tokenizer) -> None:
    passages = (Passage("a.py", (tuple(TEXTS),)), Passage("b.py", (tuple(reversed(TEXTS)),)))
    rows = pack(tokenizer, passages, 24)
    assert rows.shape[1] == 24
    assert (rows[:, 0] == token_id(tokenizer, "[CLS]")).all()
    assert (rows[:, -1] == token_id(tokenizer, "[SEP]")).all()
    starts = {tokenizer.encode(text, add_special_tokens=False).ids[0] for text in TEXTS}
    assert set(rows[:, 1].tolist()) <= starts
    assert not (rows == token_id(tokenizer, "[PAD]")).any()


def test_mask_tokens_corrupts_the_chosen_positions_only() -> None:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 1000, (64, 128), generator=generator)
    ids[:, 0], ids[:, -1] = 2, 3
    corrupted, positions = mask_tokens(ids, 0.2, 1000, 4, generator)
    assert torch.equal(corrupted[~positions], ids[~positions])
    assert not positions[:, [0, -1]].any()
    assert positions.float().mean().item() == pytest.approx(0.2, abs=0.01)
    chosen = corrupted[positions]
    masked = (chosen == 4).float().mean().item()
    kept = (chosen == ids[positions]).float().mean().item()
    assert masked == pytest.approx(0.8, abs=0.03)
    assert kept == pytest.approx(0.1, abs=0.03)
    assert chosen[chosen != 4].min() >= 5  # never a special token
