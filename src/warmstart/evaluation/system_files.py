"""Files of outputs, sources and references: plain text, one a line, or JSON Lines."""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from warmstart.data.lines import read_lines
from warmstart.data.rows import Row, file_format, read_json_lines
from warmstart.errors import DataError
from warmstart.metrics.metric import Score
from warmstart.metrics.system_outputs import SystemOutputs
from warmstart.writing import atomic_file

__all__ = ["read_scores", "read_system", "write_json_lines", "write_per_example"]

logger = logging.getLogger(__name__)

_OUTPUT: Final = ("output", "prediction", "hypothesis")
_SOURCE: Final = ("source",)
_REFERENCES: Final = ("references", "reference", "targets", "target")


def read_system(
    predictions: Path,
    *,
    sources: Path | None = None,
    references: Sequence[Path] = (),
    limit: int | None = None,
) -> SystemOutputs:
    """A system's outputs, with their sources and references.

    A file whose name ends in .jsonl (also compressed) has an object a line: `output`, and perhaps
    `source`, `references` and `at_limit`, as ``warmstart evaluate --outputs`` writes them. Any
    other file has a text a line; an empty line is an empty text.

    Args:
        predictions: the outputs.
        sources: the sources, if they are not in the file of outputs.
        references: one file for each reference of an example, if not with the outputs.
        limit: number of examples to take; default: all.

    Raises:
        DataError: if a file is missing, empty or damaged, lacks a field, or differs from the others
            in its number of examples.
    """
    rows = _rows(predictions, limit) if _is_json_lines(predictions) else None
    outputs = _texts(predictions, rows, _OUTPUT, limit)
    counts = {predictions: len(outputs)}
    source_texts: list[str] | None = None
    if sources is not None:
        source_texts = read_texts(sources, _SOURCE, limit)
        counts[sources] = len(source_texts)
    elif _all_have(rows, _SOURCE):
        source_texts = _texts(predictions, rows, _SOURCE, limit)
    columns = {path: _references_of(path, limit) for path in references}
    counts |= {path: len(column) for path, column in columns.items()}
    _check_counts(counts)
    _warn_of_empty(predictions, outputs)
    return SystemOutputs(
        outputs=outputs,
        references=_side_by_side(columns) if columns else _reference_fields(predictions, rows),
        sources=source_texts,
        at_limit=_at_limit(predictions, rows),
    )


def read_texts(path: Path, fields: Sequence[str] = _OUTPUT, limit: int | None = None) -> list[str]:
    """The texts of a file: its lines, or of JSON Lines the first of these fields.

    Raises:
        DataError: as `read_system`.
    """
    return _texts(path, _rows(path, limit) if _is_json_lines(path) else None, fields, limit)


def read_scores(path: Path, limit: int | None = None) -> list[float]:
    """Scores of each example by another program: a number a line, or JSON Lines with `score`.

    Raises:
        DataError: if a file is missing or a score is not a finite number.
    """
    if _is_json_lines(path):
        values: list[object] = []
        for row in _rows(path, limit):
            if "score" not in row.values:
                raise DataError(f"{path}, {row.place} has no field 'score'.")
            values.append(row.values["score"])
    else:
        values = list(islice(read_lines(path), limit))
    scores = []
    for number, value in enumerate(values, start=1):
        try:
            score = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            score = math.nan
        if not math.isfinite(score):
            raise DataError(f"{path}, line {number}: the score is {value!r:.80}; give a number.")
        scores.append(score)
    return scores


def write_per_example(path: Path, scores: Mapping[str, Score]) -> None:
    """Writes each example's number, from 1, and its scores by metric, a JSON object a line.

    Args:
        path: the file.
        scores: scores of the same examples, each with `per_example`.

    Raises:
        OutputError: if it cannot be written.
    """
    columns = [score.per_example or () for score in scores.values()]
    write_json_lines(
        path,
        [
            {"example": number, "scores": dict(zip(scores, values, strict=True))}
            for number, values in enumerate(zip(*columns, strict=True), start=1)
        ],
    )


def write_json_lines(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Writes a JSON object a line.

    Raises:
        OutputError: if it cannot be written.
    """
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _is_json_lines(path: Path) -> bool:
    try:
        return file_format(path) == "jsonl"
    except DataError:
        return False  # another ending, or none: a text a line


def _rows(path: Path, limit: int | None) -> list[Row]:
    return list(islice(read_json_lines(path), limit))


def _texts(
    path: Path, rows: Sequence[Row] | None, fields: Sequence[str], limit: int | None
) -> list[str]:
    if rows is None:
        return list(islice(read_lines(path), limit))
    texts = []
    for row in rows:
        name = next((field for field in fields if field in row.values), None)
        if name is None:
            raise DataError(
                f"{path}, {row.place} has no field {fields[0]!r}; it has "
                f"{', '.join(map(repr, row.values)) or 'none'}."
            )
        texts.append(_text(path, row, name, row.values[name]))
    return texts


def _text(path: Path, row: Row, field: str, value: object) -> str:
    if not isinstance(value, str):
        raise DataError(f"{path}, {row.place}: the field {field!r} is not a text, but {value!r}.")
    return value


def _all_have(rows: Sequence[Row] | None, fields: Sequence[str]) -> bool:
    return rows is not None and all(
        any(row.values.get(field) is not None for field in fields) for row in rows
    )


def _references_of(path: Path, limit: int | None) -> list[list[str]]:
    """The references of each example that one file has: one of plain text, any of JSON Lines."""
    if not _is_json_lines(path):
        return [[line] for line in islice(read_lines(path), limit)]
    rows = _rows(path, limit)
    found = _reference_fields(path, rows)
    if found is None:
        missing = next(row for row in rows if not _all_have([row], _REFERENCES))
        raise DataError(
            f"{path}, {missing.place} has no field {_REFERENCES[0]!r}; it has "
            f"{', '.join(map(repr, missing.values)) or 'none'}."
        )
    return found


def _reference_fields(path: Path, rows: Sequence[Row] | None) -> list[list[str]] | None:
    if rows is None or not _all_have(rows, _REFERENCES):
        return None
    references = []
    for row in rows:
        name = next(field for field in _REFERENCES if row.values.get(field) is not None)
        value = row.values[name]
        several = value if isinstance(value, list) else [value]
        if not several:
            raise DataError(f"{path}, {row.place}: {name!r} is empty; give at least one text.")
        references.append([_text(path, row, name, text) for text in several])
    return references


def _at_limit(path: Path, rows: Sequence[Row] | None) -> list[bool] | None:
    if rows is None or not _all_have(rows, ("at_limit",)):
        return None
    values = []
    for row in rows:
        value = row.values["at_limit"]
        if not isinstance(value, bool):
            raise DataError(f"{path}, {row.place}: 'at_limit' is not true or false, but {value!r}.")
        values.append(value)
    return values


def _side_by_side(columns: Mapping[Path, Sequence[Sequence[str]]]) -> list[list[str]]:
    """The references of each example, of all files.

    Files have a line for each example: where an example has fewer references than others, the
    lines that it does not need are empty.
    """
    references = [
        [text for of_file in of_example for text in of_file]
        for of_example in zip(*columns.values(), strict=True)
    ]
    if len(columns) == 1:
        return references
    return [[text for text in texts if text.strip()] or texts[:1] for texts in references]


def _check_counts(counts: Mapping[Path, int]) -> None:
    (first, expected), *others = counts.items()
    for path, count in others:
        if count != expected:
            raise DataError(
                f"{first} has {expected} lines and {path} has {count}; each example needs a line "
                "in both."
            )


def _warn_of_empty(path: Path, outputs: Sequence[str]) -> None:
    empty = sum(not output.strip() for output in outputs)
    if empty:
        logger.warning("%d of %d outputs in %s are empty.", empty, len(outputs), path)
