"""Texts to token ids and back, for the tokenizers of every family."""

import json
import shutil
from pathlib import Path

import pytest
from tests.support.tiny import FAMILIES, SENTENCES, Checkpoints, tokenizer_of
from tokenizers import normalizers

from warmstart.errors import CheckpointError
from warmstart.text.tokenizer_files import load_tokenizer
from warmstart.text.tokenizer_pair import Encoded, TokenizerPair, same_vocabulary

FRAMED = ("bert", "roberta", "xlm-roberta", "camembert")


def pair_of(source: str, target: str | None = None) -> TokenizerPair:
    return TokenizerPair.of(tokenizer_of(source), tokenizer_of(target or source), {})


@pytest.mark.parametrize("family", FAMILIES)
def test_a_target_is_its_tokens_and_the_end(family: str) -> None:
    pair = pair_of(family)
    encoded = pair.encode_targets(SENTENCES, None)
    assert encoded.truncated == 0
    for text, row in zip(SENTENCES, encoded.rows, strict=True):
        plain = pair.target(text, add_special_tokens=False)["input_ids"]
        assert row == [*plain, pair.special.end]
    assert pair.decode(encoded.rows) == list(SENTENCES)


def test_gpt2s_end_is_learned_although_it_is_start_and_pad_as_well() -> None:
    pair = pair_of("gpt2")
    special = pair.special
    assert special.start == special.end == special.pad
    (row,) = pair.encode_targets(["the cat"], None).rows
    assert row[-1] == special.end
    assert special.end not in row[:-1]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_source_is_framed_as_the_family_frames_it(family: str) -> None:
    pair = pair_of(family)
    rows = pair.encode_sources(SENTENCES, None).rows
    for text, row in zip(SENTENCES, rows, strict=True):
        plain = pair.source(text, add_special_tokens=False)["input_ids"]
        if family in FRAMED:
            assert row == [pair.source.cls_token_id, *plain, pair.source.sep_token_id]
        else:
            assert row == plain


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("limit", [3, 7, 11])
def test_long_sources_are_cut_between_their_special_tokens_and_counted(
    family: str, limit: int
) -> None:
    pair = pair_of(family)
    whole = pair.encode_sources(SENTENCES, None).rows
    encoded = pair.encode_sources(SENTENCES, limit)
    assert encoded.truncated == sum(len(row) > limit for row in whole)
    for row, full in zip(encoded.rows, whole, strict=True):
        if len(full) <= limit:
            assert row == full
        elif family in FRAMED:
            assert row == [*full[: limit - 1], full[-1]]
        else:
            assert row == full[:limit]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("limit", [1, 4, 9])
def test_long_targets_are_cut_and_still_ended_and_counted(family: str, limit: int) -> None:
    pair = pair_of(family)
    whole = pair.encode_targets(SENTENCES, None).rows
    encoded = pair.encode_targets(SENTENCES, limit)
    assert encoded.truncated == sum(len(row) > limit for row in whole)
    for row, full in zip(encoded.rows, whole, strict=True):
        assert row == (full if len(full) <= limit else [*full[: limit - 1], pair.special.end])


def test_a_limit_of_exactly_the_length_cuts_nothing() -> None:
    pair = pair_of("bert")
    (source,) = pair.encode_sources([SENTENCES[0]], None).rows
    (target,) = pair.encode_targets([SENTENCES[0]], None).rows
    assert pair.encode_sources([SENTENCES[0]], len(source)).truncated == 0
    assert pair.encode_targets([SENTENCES[0]], len(target)).truncated == 0
    # And one less cuts one: the end takes the place of the last word.
    assert pair.encode_sources([SENTENCES[0]], len(source) - 1) == Encoded(
        rows=[source[:-2] + source[-1:]], cut=(0,)
    )
    assert pair.encode_targets([SENTENCES[0]], len(target) - 1) == Encoded(
        rows=[target[:-2] + target[-1:]], cut=(0,)
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_an_empty_text_is_something_to_read_and_an_end_to_write(family: str) -> None:
    pair = pair_of(family)
    (source,) = pair.encode_sources([""], 10).rows
    assert source
    assert all(0 <= token < len(pair.source) for token in source)
    assert pair.encode_targets([""], 10).rows == [[pair.special.end]]
    assert pair.decode([[pair.special.end]]) == [""]


def test_no_texts_give_no_rows() -> None:
    pair = pair_of("bert")
    assert pair.encode_sources([], 5).rows == []
    assert pair.encode_targets([], 5).rows == []


def test_special_words_in_a_text_do_no_harm() -> None:
    """A text may hold "[SEP]": ids never decide what is looked at or learned."""
    pair = pair_of("bert")
    (row,) = pair.encode_targets(["the [SEP] cat"], None).rows
    assert row.count(pair.special.end) == 2
    assert row[-1] == pair.special.end


def test_equal_tokenizers_become_one_and_others_stay_two() -> None:
    one = pair_of("bert")
    assert one.target is one.source
    two = pair_of("bert", "gpt2")
    assert two.target is not two.source
    assert same_vocabulary(tokenizer_of("bert"), tokenizer_of("bert"))
    assert not same_vocabulary(tokenizer_of("bert"), tokenizer_of("bert", extra_words=1))


def test_one_vocabulary_does_not_make_one_tokenizer() -> None:
    """The target's may keep upper case where the source's does not."""
    lower = tokenizer_of("bert")
    lower.backend_tokenizer.normalizer = normalizers.Lowercase()
    pair = TokenizerPair.of(lower, tokenizer_of("bert"), {})
    assert pair.target is not pair.source
    assert same_vocabulary(pair.source, pair.target), "so embeddings can be shared all the same"
    (source,) = pair.encode_sources(["The CAT"], None).rows
    (target,) = pair.encode_targets(["The CAT"], None).rows
    unknown = pair.target.unk_token_id
    assert unknown not in source
    assert target == [unknown, unknown, pair.special.end]


@pytest.mark.parametrize(("source", "target"), [("bert", "bert"), ("roberta", "gpt2")])
def test_saved_tokenizers_come_back(source: str, target: str, tmp_path: Path) -> None:
    pair = pair_of(source, target)
    pair.encode_sources(SENTENCES, 4)  # cutting must not be saved as the tokenizer's own limit
    pair.save(tmp_path)
    assert (tmp_path / "decoder_tokenizer").is_dir() == (source != target)
    assert json.loads((tmp_path / "tokenizer.json").read_text())["truncation"] is None
    folder = tmp_path / "decoder_tokenizer" if source != target else tmp_path
    back = TokenizerPair.of(
        load_tokenizer(tmp_path, "the source tokenizer"),
        load_tokenizer(folder, "the target tokenizer"),
        {},
    )
    assert back.special == pair.special
    assert back.encode_sources(SENTENCES, 9) == pair.encode_sources(SENTENCES, 9)
    assert back.encode_targets(SENTENCES, 9) == pair.encode_targets(SENTENCES, 9)


def test_a_tokenizers_own_limit_does_not_cut(tmp_path: Path) -> None:
    """Some checkpoints are published with a truncation of their own, which we do not want."""
    tokenizer = tokenizer_of("bert")
    tokenizer.backend_tokenizer.enable_truncation(5)
    tokenizer.backend_tokenizer.enable_padding(length=20)
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path, "the tokenizer")
    pair, plain = TokenizerPair.of(loaded, loaded, {}), pair_of("bert")
    assert pair.encode_sources(SENTENCES, None) == plain.encode_sources(SENTENCES, None)
    assert pair.encode_targets(SENTENCES, None) == plain.encode_targets(SENTENCES, None)


def test_a_missing_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_tokenizer(tmp_path, "the source tokenizer of here")
    message = str(caught.value)
    assert message.startswith(f"The source tokenizer of here is missing: {tmp_path} has none of")
    assert "tokenizer.json" in message


def test_a_broken_tokenizer(checkpoints: Checkpoints, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(checkpoints("bert"), folder)
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"The source tokenizer in .* cannot be read: "):
        load_tokenizer(folder, "the source tokenizer")


def test_a_tokenizer_next_to_an_unknown_config_loads_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer_of("bert").save_pretrained(tmp_path)
    config = {"model_type": "encoder-decoder", "decoder": {"model_type": "warmstart-bert"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = load_tokenizer(tmp_path, "the source tokenizer")
    assert found.get_vocab() == tokenizer_of("bert").get_vocab()
    assert not caplog.records
