"""Rows of M2 files: sentences with the corrections of one annotator or several."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from warmstart.data.lines import read_lines
from warmstart.data.rows import Row
from warmstart.errors import DataError

__all__ = ["read_m2"]

_Edit = tuple[int, int, list[str]]  # first token, token after the last, replacement


def read_m2(path: Path) -> Iterator[Row]:
    """Sentences with the columns `source` and `targets`, a corrected sentence by each annotator.

    Dahlmeier and Ng (2012), "Better Evaluation for Grammatical Error Correction". A line ``S`` has
    the tokens of a sentence, the lines ``A`` after it have edits: ``A 3 4|||type|||replacement|||
    REQUIRED|||-NONE-|||annotator``. Of alternatives, the first is taken.

    Raises:
        DataError: if the file is missing, or a line is malformed.
    """
    tokens: list[str] | None = None
    start = 0
    edits: dict[str, list[_Edit]] = {}
    for number, line in enumerate(read_lines(path), start=1):
        if line.startswith("S "):
            if tokens is not None:
                yield _row(start, tokens, edits)
            tokens, start, edits = line[2:].split(), number, {}
        elif line.startswith("A ") and tokens is not None:
            annotator, edit = _edit(line, tokens, path, number)
            edits.setdefault(annotator, []).extend([] if edit is None else [edit])
        elif line.strip():
            raise DataError(
                f"{path}, line {number} is not M2; a line starts with S and a sentence, or after "
                "it with A and an edit."
            )
    if tokens is None:
        raise DataError(f"{path} has no sentences; it needs at least one.")
    yield _row(start, tokens, edits)


def _edit(line: str, tokens: Sequence[str], path: Path, number: int) -> tuple[str, _Edit | None]:
    """The annotator and the edit, which is None if the sentence is correct."""
    fields = line[2:].split("|||")
    first, _, last = fields[0].partition(" ")
    if len(fields) < 6 or not (first.lstrip("-").isdecimal() and last.lstrip("-").isdecimal()):
        raise DataError(
            f"{path}, line {number} is not an edit of M2, such as "
            "A 3 4|||R:VERB|||went|||REQUIRED|||-NONE-|||0"
        )
    if fields[1] == "noop" or int(first) < 0:
        return fields[5], None
    if not int(first) <= int(last) <= len(tokens):
        raise DataError(
            f"{path}, line {number} edits the tokens {first} to {last} of a sentence of "
            f"{len(tokens)}."
        )
    alternatives = fields[2].split("||")
    replacement = [] if alternatives[0] == "-NONE-" else alternatives[0].split()
    return fields[5], (int(first), int(last), replacement)


def _row(number: int, tokens: Sequence[str], edits: Mapping[str, Sequence[_Edit]]) -> Row:
    targets = []
    for of_annotator in edits.values() or [()]:
        corrected = list(tokens)
        # From the last to the first; insertions at one position keep their order.
        for first, last, replacement in sorted(of_annotator, key=lambda edit: edit[0])[::-1]:
            corrected[first:last] = replacement
        targets.append(" ".join(corrected))
    return Row(number, {"source": " ".join(tokens), "targets": targets})
