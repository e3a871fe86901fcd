"""Token ids from the cache are those that the tokenizers make."""

import logging
import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
from tests.support.tiny import WORDS, tokenizer_of
from tests.training.runs import copying_examples

from warmstart.data import token_rows
from warmstart.data.example import Example
from warmstart.data.stored import keep_examples
from warmstart.data.token_rows import TokenRows, tokenize_examples, tokenizer_fingerprint
from warmstart.text.tokenizer_pair import TokenizerPair


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, in which even a few examples are kept."""
    monkeypatch.setenv("WARMSTART_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(token_rows, "_WORTH_A_FILE", 1)
    return tmp_path / "cache" / "tokens"


@pytest.fixture(scope="module")
def pair() -> TokenizerPair:
    bert = tokenizer_of("bert")
    return TokenizerPair.of(bert, bert, {"decoder_start_token_id": bert.cls_token_id})


EXAMPLES = copying_examples(3000, longest=9)


def expected(
    pair: TokenizerPair, source: int | None, target: int | None
) -> list[tuple[list[int], list[int]]]:
    sources = pair.encode_sources([example.source for example in EXAMPLES], source).rows
    targets = pair.encode_targets([example.target for example in EXAMPLES], target).rows
    return list(zip(sources, targets, strict=True))


@pytest.mark.parametrize("limits", [(None, None), (5, 4), (20, 3)])
def test_rows_are_those_of_the_tokenizers(
    limits: tuple[int | None, int | None], pair: TokenizerPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_rows, "_BLOCK_TOKENS", 2000)  # many blocks
    rows = tokenize_examples(pair, EXAMPLES, *limits)
    wanted = expected(pair, *limits)
    assert [(row.source, row.target) for row in rows] == wanted
    assert (rows[-1].source, rows[-1].target) == wanted[-1]
    with pytest.raises(IndexError):
        rows[3000]
    places = numpy.array([2999, 0, 1500, 7])
    lengths = [[len(wanted[place][0]), len(wanted[place][1])] for place in places]
    assert rows.lengths(places).tolist() == lengths
    again = pickle.loads(pickle.dumps(rows))
    assert again[77] == rows[77]
    full = expected(pair, None, None)
    for told, limit, side in (
        (rows.source_lengths, limits[0], 0),
        (rows.target_lengths, limits[1], 1),
    ):
        counts = [len(row[side]) for row in full]
        over = [count - limit for count in counts if limit is not None and count > limit]
        assert (told.total, told.longest) == (sum(counts), max(counts))
        assert (told.truncated, told.lost, told.limit) == (len(over), sum(over), limit)


def test_a_second_time_nothing_is_tokenized(
    pair: TokenizerPair, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = tokenize_examples(pair, EXAMPLES, 9, 9)
    (file,) = folder.glob("*.arrow")
    before = file.read_bytes()
    with caplog.at_level(logging.INFO):
        second = tokenize_examples(pair, keep_examples(EXAMPLES, in_memory=0), 9, 9)
    assert "found 3000 tokenized examples" in caplog.text
    assert list(second) == list(first)
    assert second.source_lengths == first.source_lengths
    assert file.read_bytes() == before


def test_whatever_matters_has_another_key(pair: TokenizerPair, folder: Path) -> None:
    def count() -> int:
        return len(list(folder.glob("*.arrow")))

    tokenize_examples(pair, EXAMPLES, 9, 9)
    assert count() == 1
    other = replace(EXAMPLES[5], targets=(f"{EXAMPLES[5].target} cat",))
    tokenize_examples(pair, (*EXAMPLES[:5], other, *EXAMPLES[6:]), 9, 9)
    assert count() == 2
    tokenize_examples(pair, EXAMPLES, 9, 8)
    tokenize_examples(pair, EXAMPLES, 8, 9)
    assert count() == 4
    tokenize_examples(replace(pair, special=replace(pair.special, end=7)), EXAMPLES, 9, 9)
    tokenize_examples(replace(pair, target_start=(3,)), EXAMPLES, 9, 9)
    assert count() == 6
    gpt2 = tokenizer_of("gpt2")
    tokenize_examples(replace(pair, target=gpt2), EXAMPLES, 9, 9)
    assert count() == 7


def test_a_fingerprint_is_of_the_rules_and_not_of_the_last_call() -> None:
    bert = tokenizer_of("bert")
    before = tokenizer_fingerprint(bert)
    bert(["the cat sat on the mat"], truncation=True, max_length=4, padding="max_length")
    assert tokenizer_fingerprint(bert) == before
    assert tokenizer_fingerprint(tokenizer_of("bert")) == before
    bert.add_tokens(["unheard"])
    assert tokenizer_fingerprint(bert) != before


def test_a_damaged_file_is_made_again(pair: TokenizerPair, folder: Path) -> None:
    tokenize_examples(pair, EXAMPLES, 9, 9)
    (file,) = folder.glob("*.arrow")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    rows = tokenize_examples(pair, EXAMPLES, 9, 9)
    assert len(rows) == 3000


def test_few_examples_stay_in_memory(
    pair: TokenizerPair, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_rows, "_WORTH_A_FILE", 10**6)
    rows = tokenize_examples(pair, EXAMPLES, 9, 9)
    assert not folder.exists()
    monkeypatch.setattr(token_rows, "_WORTH_A_FILE", 1)
    assert list(tokenize_examples(pair, EXAMPLES, 9, 9)) == list(rows)


def test_a_cache_that_cannot_be_written_is_no_end(
    pair: TokenizerPair,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What fits into memory is kept there."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WARMSTART_CACHE", str(tmp_path / "file"))
    rows = tokenize_examples(pair, EXAMPLES, 9, 9)
    assert len(rows) == 3000
    assert "not cached" in caplog.text
    assert "WARMSTART_CACHE" in caplog.text


def test_memory_does_not_grow_with_the_data(pair: TokenizerPair, tmp_path: Path) -> None:
    """In a mapped file: what is resident beyond it stays."""
    count = 40_000
    stored = keep_examples(
        (Example(f"{WORDS[i % 30]} {i}", (WORDS[i % 7],)) for i in range(count)), in_memory=0
    )
    rows = tokenize_examples(pair, stored, 9, 9)
    assert isinstance(rows, TokenRows)
    assert len(rows) == count
    page = os.sysconf("SC_PAGE_SIZE")

    def anonymous() -> int:
        fields = Path("/proc/self/statm").read_text().split()
        return (int(fields[1]) - int(fields[2])) * page

    before = anonymous()
    total = sum(len(rows[index].source) for index in range(0, count, 3))
    assert total > 0
    assert anonymous() - before < 20e6
