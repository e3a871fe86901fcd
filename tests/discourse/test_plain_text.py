"""Text files as they are found to paragraphs and sentences."""

import gzip
from pathlib import Path

import pytest
from tests.support.shared_data import shared_data

from warmstart.discourse.plain_text import paragraphs, sentences
from warmstart.errors import DataError


def read(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "text.txt"
    path.write_text(text, encoding="utf-8")
    return list(paragraphs(path))


def test_wrapped_lines_are_joined(tmp_path: Path) -> None:
    text = "A line\nthat goes on.\n\n\n  Another\nparagraph with _stress_.  \n"
    assert read(tmp_path, text) == ["A line that goes on.", "Another paragraph with stress."]


def test_long_lines_are_paragraphs(tmp_path: Path) -> None:
    first, second = ("word " * 30 + end for end in ("one.", "two."))
    assert read(tmp_path, f"{first}\n{second}\nshort\n") == [first, second, "short"]


def test_a_line_without_end_is_cut(tmp_path: Path) -> None:
    found = read(tmp_path, "x" * 250_000)
    assert [len(part) for part in found] == [100_000, 100_000, 50_000]


def test_punctuation_that_stands_apart(tmp_path: Path) -> None:
    text = " = Title = \n \n It is 1 @,@ 000 m ( 3 ft ) , a well @-@ known dog 's house ; 5 – 6 .\n"
    assert read(tmp_path, text) == ["It is 1,000 m (3 ft), a well-known dog's house; 5–6."]


def test_what_surrounds_a_book_is_left_out(tmp_path: Path) -> None:
    text = (
        "This eBook is free.\n\n*** START OF THIS PROJECT GUTENBERG EBOOK X ***\n\nThe book.\n\n"
        "*** END OF THIS PROJECT GUTENBERG EBOOK X ***\n\nThe license.\n"
    )
    assert read(tmp_path, text) == ["The book."]
    assert len(read(tmp_path, "Line.\n\n" * 500)) == 500


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no file"):
        list(paragraphs(tmp_path / "none.txt"))


def test_sentences_end_before_a_capital() -> None:
    text = 'Mr. J. R. Smith came at 5 p.m. on Jan. 3. "Who?" he asked. (It was e.g. me.) '
    text += "The U.S. won! No end"
    assert sentences(text) == [
        "Mr. J. R. Smith came at 5 p.m. on Jan. 3.",
        '"Who?" he asked.',
        "(It was e.g. me.)",
        "The U.S. won!",
    ]


def test_books(tmp_path: Path) -> None:
    found = list(paragraphs(shared_data("text", "1342-pride-and-prejudice.txt.gz")))
    assert any(part.startswith("It is a truth universally acknowledged, that a") for part in found)
    assert not any("Project Gutenberg" in part for part in found)
    lines = shared_data("text", "wiki.valid.raw.gz")
    with gzip.open(lines, "rt", encoding="utf-8") as file:
        prose = [line for line in file if len(line) > 130]
    assert len([part for part in paragraphs(lines) if len(part) > 120]) >= 0.95 * len(prose)
