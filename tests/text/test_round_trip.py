"""Texts that tokenizers cannot represent; the losses of these are known by construction."""

import pytest
from tests.text.tokenizers import KINDS
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from warmstart.data.example import Example
from warmstart.text import round_trip
from warmstart.text.round_trip import RoundTrip, measure_round_trip
from warmstart.text.tokenizer_pair import TokenizerPair


def uncased() -> PreTrainedTokenizerBase:
    """BERT's rules over letters: no capitals, no accents, spaces around signs."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789+',.-ß"
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{letter}" for letter in letters)]
    tokenizer = Tokenizer(
        models.WordPiece({name: i for i, name in enumerate(names)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        clean_up_tokenization_spaces=False,
    )


def measure(tokenizer: PreTrainedTokenizerBase, *targets: str, source: str = "a") -> RoundTrip:
    pair = TokenizerPair.of(tokenizer, tokenizer, {})
    return measure_round_trip(pair, [Example(source, (target,)) for target in targets])


def causes(measured: RoundTrip) -> dict[str, int]:
    return {losses.cause: losses.texts for losses in measured.target_losses}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain words", set()),
        ("Plain", {"lower case"}),
        ("plain é", {"accents"}),
        ("É", {"lower case", "accents"}),
        ("c++ won't", {"spaces"}),
        ("a  b", {"spaces"}),
        ("a\nb", {"spaces"}),
        ("  def f", {"spaces at the ends"}),
        ("fine 🙂 yes", {"unknown characters"}),
        ("Fine 🙂 won't", {"unknown characters", "lower case", "spaces"}),
        ("one [SEP] two", {"special tokens"}),
        ("a\u200bb", {"other characters"}),
    ],
)
def test_each_cause(text: str, expected: set[str]) -> None:
    measured = measure(uncased(), text)
    assert set(causes(measured)) == expected
    assert measured.survived == (not expected)


def test_byte_level_tokenizers_lose_spaces_at_the_ends_alone() -> None:
    texts = ["C++ won't cost £4.56", "Äpfel 🙂 寿", "a  b\n c", "[SEP]"]
    assert measure(KINDS["byte level"](), *texts).survived == 4
    assert causes(measure(KINDS["byte level"](), *texts, " def")) == {"spaces at the ends": 1}


def test_losses_are_named_by_frequency_and_shown() -> None:
    measured = measure(uncased(), "a 🙂", "b 🙂 ₿", "c")
    (losses,) = measured.target_losses
    assert (losses.texts, losses.lost) == (2, ("🙂", "₿"))
    assert {example.text: example.written for example in losses.examples} == {
        "a 🙂": "a",
        "b 🙂 ₿": "b",
    }
    text = "\n".join(measured.lines())
    assert "only 1 of 3 sampled targets (33.3 %) survive the target tokenizer, 1 (33.3 %)" in text
    assert "unknown characters: 2 (66.7 %) (🙂 ₿); " in text


def test_long_unknown_words_are_shortened() -> None:
    (losses,) = measure(uncased(), "x" * 200).target_losses
    assert losses.lost == ("x" * 24 + "...",)


def test_targets_that_come_back_from_their_sources_are_counted() -> None:
    pair = TokenizerPair.of(uncased(), uncased(), {})
    pairs = [("The Cat 🙂 won't.", "The Cat 🙂."), ("a cat", "A Dog"), ("a", "b")]
    measured = measure_round_trip(pair, [Example(a, (b,)) for a, b in pairs])
    assert (measured.survived, measured.detokenized) == (1, 2)
    assert measure(KINDS["byte level"](), "a").detokenized is None


def test_deleted_special_tokens_are_named() -> None:
    tokenizer = uncased()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<ref>", "<::::>"]})
    (losses,) = measure(tokenizer, "one <ref> two", "one <ref> <::::> two").target_losses
    assert losses.lost == ("<ref>", "<::::>")


def test_sources_lose_characters_but_no_capitals() -> None:
    for source, cause in (
        ("Die Sonne, won't.", None),
        ("die Äpfel", "accents"),
        ("fine 🙂", "unknown characters"),
    ):
        measured = measure(uncased(), "a", source=source)
        assert [losses.cause for losses in measured.source_losses] == ([cause] if cause else [])
        assert measured.read == (cause is None)
        assert measured.lossless == (cause is None)


def test_the_sample_is_seeded_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = TokenizerPair.of(uncased(), uncased(), {})
    examples = [Example("a", ("A" if i % 3 else "a",)) for i in range(5_000)]
    measured = measure_round_trip(pair, examples)
    assert measured == measure_round_trip(pair, examples)
    assert measured.targets == 2_000
    # A third survives: within four standard deviations of a sample without replacement.
    assert abs(measured.survived - 2_000 / 3) < 4 * (2_000 * 2 / 9 * 3 / 5) ** 0.5
    monkeypatch.setattr(round_trip, "_SECONDS", 0.0)
    assert measure_round_trip(pair, examples).targets == 100
    monkeypatch.undo()
    assert measure(uncased(), "x " * 5_000 + "A").survived == 1  # beyond the measured part
