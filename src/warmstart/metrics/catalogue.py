"""Every metric by name, as `warmstart list metrics` shows them."""

from dataclasses import fields, replace
from typing import Any, Final

from warmstart.errors import UsageError, did_you_mean
from warmstart.metrics.bleu import Bleu
from warmstart.metrics.chrf import Chrf
from warmstart.metrics.exact_match import ExactMatch
from warmstart.metrics.metric import Metric
from warmstart.metrics.rouge import Rouge
from warmstart.metrics.sari import Sari
from warmstart.metrics.sari_easse import SariEasse

__all__ = ["METRICS", "get_metric"]

METRICS: Final[tuple[Metric, ...]] = (
    ExactMatch(),
    Sari(),
    SariEasse(),
    Bleu(),
    Chrf(),
    Rouge(name="rouge1", description="ROUGE-1 F1: words in common, by rouge-score"),
    Rouge(name="rouge2", description="ROUGE-2 F1: pairs of words in common, by rouge-score"),
    Rouge(name="rougeL", description="ROUGE-L F1: longest common subsequence, by rouge-score"),
    Rouge(name="rougeLsum", description="ROUGE-Lsum F1: ROUGE-L by lines, by rouge-score"),
)


def get_metric(name: str, *, lowercase: bool | None = None, tokenize: str | None = None) -> Metric:
    """The metric of that name.

    Args:
        name: A name in `METRICS`.
        lowercase: Whether texts are lower-cased first; None is the metric's own default.
        tokenize: One of `tokens.TOKENIZATIONS`; None is the metric's own default.
            A metric whose definition fixes its casing or tokens (all of ROUGE's, chrF's and exact
            match's tokens) stays as it is, as its signature shows.

    Raises:
        UsageError: There is no metric, or no tokenization, of that name.
    """
    by_name = {metric.name: metric for metric in METRICS}
    if name not in by_name:
        raise UsageError(f"there is no metric {name!r}; {did_you_mean(name, by_name)}")
    metric = by_name[name]
    asked = {"lowercase": lowercase, "tokenize": tokenize}
    has = {field.name for field in fields(metric)}
    changes: dict[str, Any] = {
        option: value for option, value in asked.items() if value is not None and option in has
    }
    return replace(metric, **changes)
