from pathlib import Path

import pytest

from warmstart.errors import DataError
from warmstart.quickstart import corpus as corpus_module
from warmstart.quickstart.corpus import (
    Corpus,
    Passage,
    build_corpus,
    held_out_key,
    is_held_out,
    python_files,
    read_passages,
    split_passages,
)

SOURCE = '''"""The module reads a few files from the disk."""

# The comment explains why this is so. It has
# a second line that ends here.
LIMIT = 3


class Reader:
    """Reads a file line by line until it ends."""

    def close(self):
        """Close the file that the reader holds."""
        text = "This string is not documentation at all."
        # Short one.
        return text
'''


def passage(*sentences: str) -> Passage:
    return Passage("module.py", (sentences,))


def test_reads_docstrings_and_comments_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "reader.py"
    path.write_text(SOURCE, encoding="utf-8")
    passages = read_passages("reader.py", path)
    assert {passage.runs for passage in passages} == {
        (("The module reads a few files from the disk.",),),
        (("Reads a file line by line until it ends.",),),
        (("Close the file that the reader holds.",),),
        (("The comment explains why this is so.", "It has a second line that ends here."),),
    }


@pytest.mark.parametrize("content", [b"def broken(:\n", b"\xff\xfe not utf-8", b"x = '\0'"])
def test_files_that_cannot_be_parsed_give_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.py"
    path.write_bytes(b'"""The docstring of a broken file is here."""\n' + content)
    assert read_passages("broken.py", path) == []


def test_split_depends_on_the_first_words_alone() -> None:
    first = passage("Return the name of the open file, always.", "It may be empty at times.")
    other = passage("return the Name of the open 2 folders.", "This one has another sentence.")
    assert held_out_key(first.sentences[0]) == "return the name of the open"
    assert is_held_out(first) == is_held_out(other)


def test_split_keeps_each_sentence_once_and_no_near_copy_in_training() -> None:
    held, kept = (
        next(text for n in range(1000) if is_held_out(passage(text := start(n, rest))) == side)
        for side, rest in (
            (True, "is a thing that nobody has ever seen elsewhere in the world."),
            (False, "opens the file and reads its text until the end."),
        )
    )
    copy = held.replace("elsewhere", "somewhere")  # near-copy inside a training passage
    result = split_passages([passage(kept, copy, "A third sentence follows it."), passage(held)])
    assert result.held_out == (passage(held),)
    assert result.train == (
        Passage("module.py", ((kept,), ("A third sentence follows it.",))),  # broken in two
    )
    assert split_passages([passage(kept), passage(kept)]).train == (passage(kept),)


def start(number: int, rest: str) -> str:
    return f"The {''.join(chr(97 + int(digit)) for digit in str(number))} {rest}"


def test_corpus_of_the_standard_library(stdlib_corpus: Corpus) -> None:
    train, held_out = stdlib_corpus.train_sentences(), stdlib_corpus.held_out_sentences()
    assert len(train) > 5000
    assert 0.05 < len(held_out) / len(train) < 0.2
    assert len(set(train)) == len(train)
    assert not set(train) & set(held_out)
    assert all(5 <= len(sentence.split()) <= 40 for sentence in train)


@pytest.mark.slow
def test_corpus_does_not_depend_on_processes(stdlib_corpus: Corpus) -> None:
    assert build_corpus((), processes=2) == stdlib_corpus


def test_no_held_out_sentence_has_a_near_copy_in_training(stdlib_corpus: Corpus) -> None:
    def word_runs(text: str) -> set[tuple[str, ...]]:
        words = "".join(c for c in text.lower() if c.isascii() and (c.isalpha() or c == " "))
        split = words.split()
        return {tuple(split[at : at + 5]) for at in range(max(1, len(split) - 4))}

    held_out: set[tuple[str, ...]] = set()
    for sentence in stdlib_corpus.held_out_sentences():
        held_out |= word_runs(sentence)
    for sentence in stdlib_corpus.train_sentences():
        runs = word_runs(sentence)
        assert len(runs & held_out) <= 0.75 * len(runs), sentence


def test_tests_and_missing_packages_are_left_out() -> None:
    files = python_files(("no_such_package_anywhere",))
    modules = [module for module, _ in files]
    assert modules == sorted(modules)
    assert "python/json/decoder.py" in modules
    assert not any("/test/" in module or "site-packages" in module for module in modules)


def test_a_python_without_documentation_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_module, "python_files", lambda packages: [])
    with pytest.raises(DataError, match="0 sentences"):
        build_corpus((), processes=1)
