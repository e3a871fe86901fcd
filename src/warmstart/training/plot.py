"""The curves of a run as an image, from its metrics."""

import importlib.util
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from warmstart.training.metrics_log import Event, read_events
from warmstart.writing import atomic_file

__all__ = ["CURVES", "plot_curves"]

logger = logging.getLogger(__name__)

CURVES: Final = "curves.png"
_TRAINING: Final = "#1f77b4"
_VALIDATION: Final = "#d62728"
_COLOURS: Final = ("#d62728", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#bcbd22")


def plot_curves(metrics: Path, picture: Path) -> None:
    """Draws loss, validation metrics, learning rate and gradient norm over steps.

    Without matplotlib it only logs how to install it: a run does not fail for an image.

    Args:
        metrics: a run's metrics.jsonl.
        picture: the PNG to write.
    """
    if importlib.util.find_spec("matplotlib") is None:
        logger.info(
            "no %s: matplotlib is not installed; pip install 'warmstart[plots]' for the next run.",
            picture.name,
        )
        return
    events = read_events(metrics)
    if not events:
        return
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(11, 7.5), dpi=120, layout="constrained")
    axes = figure.subplots(2, 2, sharex=True)
    _plot_loss(axes[0, 0], events)
    _plot_metrics(axes[0, 1], events)
    _plot_one(axes[1, 0], events, "learning_rate", "learning rate")
    axes[1, 0].ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    _plot_one(axes[1, 1], events, "grad_norm", "norm of the gradient, before clipping")
    last = max(event["step"] for event in events)
    for axis in axes.flat:
        axis.grid(alpha=0.3)
        axis.set_xlim(0, last * 1.02)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[1]:
        axis.set_xlabel("optimizer steps")
    figure.suptitle(picture.parent.resolve().name)
    with atomic_file(picture) as partial:
        figure.savefig(partial, format="png")


def _plot_loss(axis: Any, events: Sequence[Event]) -> None:
    for key, label, colour in (
        ("loss", "training", _TRAINING),
        ("eval_loss", "validation", _VALIDATION),
    ):
        _draw(axis, events, key, label, colour)
    axis.set_ylabel("loss (nats per target token)")
    axis.legend(frameon=False)


def _plot_metrics(axis: Any, events: Sequence[Event]) -> None:
    names = [
        name
        for name in dict.fromkeys(key for event in events for key in event)
        if name.startswith("eval_") and name != "eval_loss"
    ]
    if not names:
        axis.text(0.5, 0.5, "no evaluations", ha="center", va="center", transform=axis.transAxes)
        axis.set_yticks([])
        return
    for index, name in enumerate(names):
        colour = _COLOURS[index % len(_COLOURS)]
        _draw(axis, events, name, name.removeprefix("eval_"), colour, marker="o")
    axis.set_ylabel("validation metrics (0 to 100)")
    axis.legend(frameon=False)


def _plot_one(axis: Any, events: Sequence[Event], key: str, label: str) -> None:
    _draw(axis, events, key, label, _TRAINING)
    axis.set_ylabel(label)
    axis.set_ylim(0, 1.05 * max((event[key] for event in events if key in event), default=1) or 1)


def _draw(
    axis: Any, events: Sequence[Event], key: str, label: str, colour: str, marker: str = ""
) -> None:
    points = sorted((event["step"], event[key]) for event in events if key in event)
    if not points:
        return
    steps, values = zip(*points, strict=True)
    few = len(points) < 30  # one point alone has no line
    axis.plot(
        steps,
        values,
        color=colour,
        label=label,
        linewidth=1.5,
        marker="o" if few else marker,
        markersize=4,
    )
