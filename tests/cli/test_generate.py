import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Finished
from tests.tiny import SENTENCES

from warmstart.generation.result import Generated
from warmstart.seq2seq import Seq2Seq

Run = Callable[..., Finished]


def test_one_line_for_each_line_in_order(warmstart: Run, composed: Path) -> None:
    expected = Seq2Seq.from_pretrained(composed).generate(SENTENCES, max_length=8)
    texts = [*SENTENCES[:2], "", "  ", *SENTENCES[2:]]
    finished = warmstart("generate", composed, "--max-length", 8, stdin="\n".join(texts) + "\n")
    assert (finished.code, finished.err) == (0, "")
    assert finished.out.split("\n") == [*expected[:2], "", "", *expected[2:], ""]
    assert any(expected)


def test_decoding_options(warmstart: Run, composed: Path) -> None:
    model = Seq2Seq.from_pretrained(composed)
    expected = model.generate(
        SENTENCES,
        num_beams=3,
        max_length=9,
        min_length=4,
        length_penalty=2.0,
        early_stopping="never",
        no_repeat_ngram_size=2,
    )
    finished = warmstart(
        "generate", composed, "--num-beams", 3, "--max-length", 9, "--min-length", 4,
        "--length-penalty", 2, "--early-stopping", "never", "--no-repeat-ngram-size", 2,
        stdin="\n".join(SENTENCES),
    )  # fmt: skip
    assert finished.out.splitlines() == expected


def test_files_plain_and_gzip(warmstart: Run, composed: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the cat sat\n")
    with gzip.open(tmp_path / "b.txt.gz", "wt") as file:
        file.write("she is big\n\n")
    expected = Seq2Seq.from_pretrained(composed).generate(["the cat sat", "she is big"])
    finished = warmstart("generate", composed, tmp_path / "a.txt", tmp_path / "b.txt.gz")
    assert finished.out.split("\n") == [*expected, "", ""]


def test_more_texts_than_are_held_at_once(warmstart: Run, composed: Path) -> None:
    texts = [SENTENCES[number % 4] for number in range(70)]  # two to a batch: 64 are held
    expected = Seq2Seq.from_pretrained(composed).generate(SENTENCES, max_length=4)
    finished = warmstart(
        "generate", composed, "--batch-size", 2, "--max-length", 4, stdin="\n".join(texts)
    )
    assert finished.out.splitlines() == [expected[number % 4] for number in range(70)]


def test_nothing_in_nothing_out(warmstart: Run, composed: Path, tmp_path: Path) -> None:
    assert warmstart("generate", composed) == Finished(0, "", "")
    assert warmstart("generate", composed, stdin="\n \n") == Finished(0, "\n\n", "")
    (tmp_path / "empty.txt").touch()
    assert warmstart("generate", composed, tmp_path / "empty.txt") == Finished(0, "", "")


def test_line_breaks_in_an_output_become_spaces(
    warmstart: Run, composed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Generated(text="a\nb\r\nc\u2028d", tokens=(), score=0, token_scores=(), at_limit=False)
    monkeypatch.setattr(
        Seq2Seq, "generate_each", lambda self, texts, **options: iter([(0, [found])])
    )
    assert warmstart("generate", composed, stdin="x\n").out == "a b c d\n"


def test_long_sources_are_cut_and_counted(warmstart: Run, composed: Path) -> None:
    texts = ["the cat " * 100, "the cat"]
    finished = warmstart("generate", composed, "--max-length", 4, stdin="\n".join(texts))
    assert finished.code == 0
    assert finished.err == "warning: 1 of 2 sources are longer than 64 tokens and were cut.\n"
    assert len(finished.out.splitlines()) == 2


def test_invalid_utf8_is_named_with_its_line(warmstart: Run, composed: Path) -> None:
    finished = warmstart("generate", composed, stdin=b"the cat\n\xff\xfe\n")
    finished.assert_failed(1, "standard input, line 2", "0xff")


def test_a_missing_file_is_told_before_the_model_is_loaded(warmstart: Run, tmp_path: Path) -> None:
    finished = warmstart("generate", tmp_path / "no model", tmp_path / "no file")
    finished.assert_failed(1, "no file")


def test_a_wrong_setting(warmstart: Run, composed: Path) -> None:
    finished = warmstart("generate", composed, "--num-beams", 0, stdin="the cat\n")
    finished.assert_failed(2, "num_beams is 0")
