"""`warmstart compare`: two systems' outputs, and whether their difference is more than chance."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from warmstart.cli.derived import derived
from warmstart.cli.flags import Json
from warmstart.cli.printing import print_json, print_table
from warmstart.cli.scoring import ChosenMetrics, TextFiles

if TYPE_CHECKING:
    from warmstart.metrics.significance import Comparison

__all__ = ["compare"]


@derived(metrics=ChosenMetrics, texts=TextFiles)
def compare(
    first: Annotated[
        Path,
        typer.Argument(
            metavar="A",
            help="A system's outputs: .jsonl as `evaluate --outputs` writes it, or one a line.",
        ),
    ],
    second: Annotated[
        Path, typer.Argument(metavar="B", help="Another system's, for the same examples.")
    ],
    *,
    metrics: ChosenMetrics,
    texts: TextFiles,
    as_json: Json = False,
) -> None:
    """Compare two systems: differences, their intervals, and p-values.

    Each metric is tested by paired bootstrap and by approximate randomisation. A difference is B
    minus A.
    """
    from warmstart.evaluation.compare import compare as compare_systems
    from warmstart.evaluation.compare import read_pair
    from warmstart.evaluation.score import choose_metrics
    from warmstart.evaluation.system_files import read_scores
    from warmstart.metrics.given_scores import GivenScores

    a, b = read_pair(first, second, sources=texts.sources, references=texts.references)
    scored = metrics.score_files(2)
    a = replace(a, scores={name: read_scores(files[0]) for name, files in scored.items()})
    b = replace(b, scores={name: read_scores(files[1]) for name, files in scored.items()})
    chosen = metrics.apply(choose_metrics(metrics.metric, a))
    chosen += [GivenScores(name=name) for name in scored]
    comparisons = compare_systems(a, b, metrics=chosen)
    if as_json:
        print_json(
            {
                "first": str(first),
                "second": str(second),
                "examples": len(a),
                "comparisons": {name: found.to_json() for name, found in comparisons.items()},
            }
        )
    else:
        _print(first, second, len(a), comparisons)


def _print(first: Path, second: Path, examples: int, comparisons: "dict[str, Comparison]") -> None:
    from warmstart.metrics.bootstrap import RESAMPLES
    from warmstart.metrics.significance import TRIALS

    rows = []
    for name, found in comparisons.items():
        interval = "" if found.ci is None else f"{found.ci[0]:+.2f} to {found.ci[1]:+.2f}"
        rows.append(
            [
                *(name, f"{found.first.value:.2f}", f"{found.second.value:.2f}"),
                *(f"{found.difference:+.2f}", interval),
                *(f"{found.p_bootstrap:.4f}", f"{found.p_randomization:.4f}"),
                f"{found.second_higher} / {found.first_higher} / {found.equal}",
                found.first.signature,
            ]
        )
    header = ["metric", "A", "B", "B - A", "95 % interval", "p bootstrap", "p randomisation"]
    print_table([*header, "B higher / A higher / equal", "signature"], rows)
    typer.echo(f"A is {first}, B is {second}; {examples} examples.")
    typer.echo(
        f"Two-sided p-values of {RESAMPLES} paired bootstrap resamples and {TRIALS} trials of "
        "approximate randomisation."
    )
