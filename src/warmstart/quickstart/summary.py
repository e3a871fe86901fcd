"""What the quickstart prints when it is done."""

from collections import Counter

from warmstart.quickstart.quickstart import QuickstartResult, System

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
    counts = Counter(pair.rule for pair in result.pairs.train)
    told = ", ".join(f"{rule} {count}" for rule, count in counts.most_common())
    steps, batch = result.config.max_steps, result.config.batch_size
    return (
        f"Both models saw the same {steps} batches of {batch} pairs, of {len(result.pairs.train)} "
        f"that rules made ({told})."
    )


def _examples(result: QuickstartResult) -> str:
    """The first held-out pair of each of the most frequent rules: chosen before any output."""
    counts = Counter(pair.rule for pair in result.pairs.held_out)
    lines = ["The first held-out sentence of each of the most frequent rules:"]
    for rule, _ in counts.most_common(_EXAMPLES):
        index = next(at for at, pair in enumerate(result.pairs.held_out) if pair.rule == rule)
        lines += ["", f"  source  {result.pairs.held_out[index].whole}"]
        lines += [f"  {system.name:<14}{system.outputs[index]}" for system in result.systems[1:]]
        lines += [f"  reference     {' '.join(result.pairs.held_out[index].parts)}"]
    return "\n".join(lines)


def _next(result: QuickstartResult) -> str:
    return (
        f"The warm start is saved in {result.folder} ({result.seconds:.0f} s in all). Next:\n"
        f"  echo 'The list is sorted, but the order may change.' | warmstart generate "
        f"{result.folder}\n"
        f"  warmstart inspect {result.folder}\n"
        "  warmstart compose ENCODER DECODER -o DIR, with checkpoints of your own"
    )
