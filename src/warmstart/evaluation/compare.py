"""Comparison of two systems: differences and their significance."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias, TypeVar

from warmstart.errors import DataError, UsageError
from warmstart.evaluation.score import check_inputs, choose_metrics
from warmstart.evaluation.system_files import read_system
from warmstart.metrics.metric import Metric
from warmstart.metrics.significance import Comparison, paired_difference
from warmstart.metrics.system_outputs import SystemOutputs

__all__ = ["compare", "read_pair"]

# A file, as `read_system` reads it, or texts.
System: TypeAlias = str | os.PathLike[str] | SystemOutputs

_T = TypeVar("_T")


def compare(
    first: System,
    second: System,
    *,
    metrics: Sequence[str | Metric] | None = None,
    sources: str | os.PathLike[str] | None = None,
    references: Sequence[str | os.PathLike[str]] = (),
) -> dict[str, Comparison]:
    """The difference between two systems by each metric, and its significance.

    Each metric is tested by paired bootstrap and by approximate randomisation; see
    `paired_difference`.

    Args:
        first: outputs: a file of plain text or JSON Lines, or texts.
        second: outputs of the other system, for the same examples.
        metrics: names, or metrics with options; ["all"] for every metric that the texts allow;
            default: the usual ones that they allow.
        sources: a file with the sources, if the files of outputs do not have them.
        references: files of references, one reference of each example in a file, if the files of
            outputs do not have them.

    Raises:
        UsageError: if a metric is unknown, or the texts lack an input of it.
        DataError: if a file cannot be read, or the two are not about the same examples.
    """
    a, b = read_pair(first, second, sources=sources, references=references)
    names = None if metrics is None else [m for m in metrics if isinstance(m, str)]
    chosen = choose_metrics(names, a) if names is None or names else []
    chosen += [metric for metric in metrics or () if isinstance(metric, Metric)]
    check_inputs(chosen, a, b)
    return {metric.name: paired_difference(metric, a, b) for metric in chosen}


def read_pair(
    first: System,
    second: System,
    *,
    sources: str | os.PathLike[str] | None = None,
    references: Sequence[str | os.PathLike[str]] = (),
) -> tuple[SystemOutputs, SystemOutputs]:
    """Both systems with the same sources and references, which may come from either.

    Raises:
        DataError: if a file cannot be read, or the counts or the texts differ.
    """
    if isinstance(references, str):
        raise UsageError("references is a single text; give a list of files.")
    systems, names = [], []
    for system, name in ((first, "the first system"), (second, "the second system")):
        if isinstance(system, SystemOutputs):
            systems.append(system)
            names.append(name)
        else:
            systems.append(
                read_system(
                    Path(system),
                    sources=None if sources is None else Path(sources),
                    references=[Path(path) for path in references],
                )
            )
            names.append(os.fspath(system))
    return _paired(systems[0], systems[1], names)


def _paired(
    first: SystemOutputs, second: SystemOutputs, names: Sequence[str]
) -> tuple[SystemOutputs, SystemOutputs]:
    if len(first) != len(second):
        raise DataError(
            f"{names[0]} has {len(first)} outputs and {names[1]} has {len(second)}; a comparison "
            "needs both systems' outputs for the same examples."
        )
    sources = _same(first.sources, second.sources, "source", names)
    references = _same(_lists(first.references), _lists(second.references), "references", names)
    return (
        replace(first, sources=sources, references=references),
        replace(second, sources=sources, references=references),
    )


def _lists(references: Sequence[Sequence[str]] | None) -> list[list[str]] | None:
    return None if references is None else [list(of_example) for of_example in references]


def _same(
    first: Sequence[_T] | None, second: Sequence[_T] | None, what: str, names: Sequence[str]
) -> Sequence[_T] | None:
    if first is None or second is None:
        return second if first is None else first
    for number, (one, other) in enumerate(zip(first, second, strict=True), start=1):
        if one != other:
            raise DataError(
                f"{names[0]} and {names[1]} are not about the same examples: the {what} of line "
                f"{number} {'is' if what == 'source' else 'are'} {_short(one)} in the first and "
                f"{_short(other)} in the second."
            )
    return first


def _short(value: object, most: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."
