"""The report that the quickstart prints at its end."""

from collections import Counter

from warmstart.data.splits import TEST
from warmstart.quickstart.run_quickstart import QuickstartResult, System

__all__ = ["report"]

_EXAMPLES = 4  # before/after sentences


def report(result: QuickstartResult) -> str:
    """Table, examples and next steps, as plain text."""
    return "\n\n".join(
        [_table(result), _pairs(result), _examples(result), str(result.provenance), _next(result)]
    )


def _table(result: QuickstartResult) -> str:
    metrics = list(result.systems[0].scores)
    head = ["", *metrics, "loss", "training"]
    rows = [head, *(_row(system, metrics) for system in result.systems)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join(
        [
            f"Splitting sentences, {len(result.pairs.held_out)} held-out pairs (metrics 0 to 100 "
            "with 95 % intervals; loss in nats per target token):",
            "",
            *lines,
        ]
    )


def _row(system: System, metrics: list[str]) -> list[str]:
    return [
        system.name,
        *(str(system.scores[name]) for name in metrics),
        "" if system.loss is None else f"{system.loss:.3f}",
        "" if system.seconds is None else f"{system.seconds:.0f} s",
    ]


def _pairs(result: QuickstartResult) -> str:
    counts = Counter(pair.phenomenon for pair in result.pairs.train)
    made = ", ".join(f"{phenomenon} {count}" for phenomenon, count in counts.most_common())
    steps, batch = result.config.max_steps, result.config.batch_size
    return (
        f"Both models saw the same {steps} batches of {batch} pairs, drawn from "
        f"{len(result.pairs.train)} made by rule ({made})."
    )


def _examples(result: QuickstartResult) -> str:
    """The first held-out pair of each of the most frequent kinds: chosen before any output."""
    pairs = result.pairs.held_out
    counts = Counter(pair.phenomenon for pair in pairs)
    references = result.pairs.task.split(TEST).references
    lines = ["The first held-out sentence of each of the most frequent kinds:"]
    for phenomenon, _ in counts.most_common(_EXAMPLES):
        index = next(at for at, pair in enumerate(pairs) if pair.phenomenon == phenomenon)
        lines += ["", f"  source        {pairs[index].fused}"]
        lines += [f"  {system.name:<14}{system.outputs[index]}" for system in result.systems[1:]]
        lines += [f"  reference     {references[index][0]}"]
    return "\n".join(lines)


def _next(result: QuickstartResult) -> str:
    return (
        f"The warm start is saved in {result.folder} ({result.seconds:.0f} s in all). Next:\n"
        f"  echo 'The list is sorted, but the order may change.' | warmstart generate "
        f"{result.folder}\n"
        f"  warmstart inspect {result.folder}\n"
        "  warmstart compose ENCODER DECODER -o DIR, with checkpoints of your own"
    )
