"""Scores of outputs, by metrics chosen by name."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from warmstart.errors import UsageError
from warmstart.metrics.all_metrics import METRICS, get_metric
from warmstart.metrics.bootstrap import corpus_score
from warmstart.metrics.metric import Metric, Score
from warmstart.metrics.system_outputs import SystemOutputs

__all__ = ["check_inputs", "choose_metrics", "score"]

logger = logging.getLogger(__name__)

ALL: Final = "all"  # every metric that the texts allow

# Metrics of outputs by default.
_DEFAULTS: Final = ("exact_match", "sari", "bleu", "chrf", "rougeL")


def choose_metrics(
    names: Sequence[str] | None, system: SystemOutputs | None = None
) -> list[Metric]:
    """The metrics of these names, with their own options.

    Args:
        names: names in `METRICS`; or `ALL`; or None for the usual ones that the texts allow.
        system: the texts; None: those of a model on a split, which lack nothing.

    Raises:
        UsageError: if there is no such metric, or nothing can be computed.
    """
    if names is not None and ALL not in names:
        return [get_metric(name) for name in dict.fromkeys(names)]
    candidates = list(METRICS) if names is not None else list(map(get_metric, _DEFAULTS))
    chosen: list[Metric] = []
    for metric in candidates:
        missing = None if system is None else metric.missing_input(system)
        if metric.by_name_only:
            missing = "to be asked for by name"
        if missing is None:
            chosen.append(metric)
        elif names is not None:
            logger.info("%s is skipped: it needs %s.", metric.name, missing)
    if not chosen:
        without = [metric.name for metric in METRICS if "references" not in metric.needs]
        raise UsageError(
            "None of the usual metrics can be computed without references; give them, or name "
            f"metrics that need none: {', '.join(without)}."
        )
    return chosen


def score(
    system: SystemOutputs, metrics: Sequence[Metric], *, per_example: bool = False
) -> dict[str, Score]:
    """Scores outputs by each metric.

    Args:
        system: the texts.
        metrics: the metrics, with their options.
        per_example: whether to give each example's values, too.

    Returns:
        A score by metric.

    Raises:
        UsageError: if the texts lack an input of a metric.
    """
    check_inputs(metrics, system)
    for sentence in dict.fromkeys(text for metric in metrics for text in metric.warnings(system)):
        logger.warning("%s", sentence)
    scores = {}
    for metric in metrics:
        scored = corpus_score(metric, system, per_example=per_example)
        if system.note is not None:
            scored = replace(scored, signature=f"{scored.signature}|{system.note}")
        scores[metric.name] = scored
    return scores


def check_inputs(metrics: Sequence[Metric], *systems: SystemOutputs) -> None:
    """Refuses texts that lack an input of a metric, before any metric takes its time.

    Raises:
        UsageError: naming the metric and the input.
    """
    for metric in metrics:
        for system in systems:
            missing = metric.missing_input(system)
            if missing is not None:
                raise UsageError(f"{metric.name} needs {missing}.")
