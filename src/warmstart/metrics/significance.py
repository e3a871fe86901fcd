"""Significance of the difference between two systems.

Shape legend: N examples, K statistics, R resamples, T trials.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from warmstart.errors import UsageError
from warmstart.metrics.bootstrap import (
    BLOCK_ELEMENTS,
    RESAMPLES,
    SEED,
    corpus_value,
    interval,
    resampled_values,
    system_statistics,
)
from warmstart.metrics.metric import FloatArray, Metric, Score
from warmstart.metrics.system_outputs import SystemOutputs

__all__ = ["TRIALS", "Comparison", "paired_difference"]

TRIALS: Final = 10_000  # of the approximate randomisation
_ROUNDING: Final = 1e-9  # differences up to this are equal, on a scale of 0 to 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two systems on the same examples, by one metric.

    The p-values are two-sided, and for this metric alone: of many comparisons some are small by
    chance.
    """

    first: Score
    second: Score
    difference: float  # the second's value minus the first's
    ci: tuple[float, float] | None  # 95 % of the difference; None for one example
    p_bootstrap: float  # paired bootstrap: 0 to 1
    p_randomization: float  # approximate randomisation: 0 to 1
    first_higher: int  # examples on which the first system's value is higher
    second_higher: int  # examples on which the second's is higher
    equal: int  # examples on which they are equal

    def to_json(self) -> dict[str, object]:
        """The fields as plain values for `json.dump`."""
        return {
            "first": self.first.to_json(),
            "second": self.second.to_json(),
            "difference": self.difference,
            "ci": None if self.ci is None else list(self.ci),
            "p_bootstrap": self.p_bootstrap,
            "p_randomization": self.p_randomization,
            "first_higher": self.first_higher,
            "second_higher": self.second_higher,
            "equal": self.equal,
            "resamples": RESAMPLES,
            "trials": TRIALS,
        }


def paired_difference(metric: Metric, first: SystemOutputs, second: SystemOutputs) -> Comparison:
    """The difference of two systems on the same examples, with its interval and p-values.

    Paired bootstrap (Koehn 2004): both systems are scored on the same `RESAMPLES` test sets, drawn
    with replacement. The p-value is the share of them whose difference is as far from their mean,
    in either direction, as the observed one is from 0 (Efron and Tibshirani 1993, section 16.4).
    sacrebleu counts one direction, and so reports about half of it.

    Approximate randomisation (Riezler and Maxwell 2005): in each of `TRIALS` trials every example
    changes sides with probability 1/2. The p-value is the share of trials whose difference is at
    least the observed one.

    Both count the observed outcome as one more, so that no p-value is 0.

    Raises:
        UsageError: if the texts lack what the metric needs, or the counts differ.
    """
    if len(first) != len(second):
        raise UsageError(
            f"The first system has {len(first)} outputs and the second {len(second)}; give both "
            "for the same examples."
        )
    first_NK, second_NK = system_statistics(metric, first), system_statistics(metric, second)
    values = corpus_value(metric, first_NK), corpus_value(metric, second_NK)
    difference = values[1] - values[0]
    first_R, second_R = resampled_values(metric, first_NK, second_NK)
    several = len(first) > 1
    higher = np.sign(_rounded(metric.example_values(second_NK) - metric.example_values(first_NK)))
    return Comparison(
        first=Score(
            values[0],
            interval(first_R, values[0]) if several else None,
            metric.signature(first.reference_count),
        ),
        second=Score(
            values[1],
            interval(second_R, values[1]) if several else None,
            metric.signature(second.reference_count),
        ),
        difference=difference,
        ci=interval(second_R - first_R, difference) if several else None,
        p_bootstrap=_p_bootstrap(second_R - first_R, difference),
        p_randomization=_p_randomization(metric, first_NK, second_NK, difference),
        first_higher=int((higher < 0).sum()),
        second_higher=int((higher > 0).sum()),
        equal=int((higher == 0).sum()),
    )


def _rounded(differences: FloatArray) -> FloatArray:
    return np.where(np.abs(differences) < _ROUNDING, 0.0, differences)


def _p_bootstrap(differences_R: FloatArray, observed: float) -> float:
    centred_R = np.abs(differences_R - differences_R.mean())
    return _share(centred_R >= abs(observed) - _ROUNDING)


def _p_randomization(
    metric: Metric, first_NK: FloatArray, second_NK: FloatArray, observed: float
) -> float:
    change_NK = second_NK - first_NK
    sums_K, other_K = first_NK.sum(axis=0), second_NK.sum(axis=0)
    extreme = []
    for swaps_TN in _swaps(len(first_NK)):
        moved_TK = swaps_TN @ change_NK
        differences_T = metric.value(other_K - moved_TK) - metric.value(sums_K + moved_TK)
        extreme.append(np.abs(differences_T) >= abs(observed) - _ROUNDING)
    return _share(np.concatenate(extreme))


def _swaps(examples: int) -> Iterator[FloatArray]:
    """Whether each example changes sides, 0 or 1. Shape: [T, N]."""
    generator = np.random.default_rng(SEED)
    block = max(1, BLOCK_ELEMENTS // examples)
    for start in range(0, TRIALS, block):
        rows = min(block, TRIALS - start)
        random_bytes = generator.bytes((rows * examples + 7) // 8)
        bits = np.unpackbits(np.frombuffer(random_bytes, dtype=np.uint8), count=rows * examples)
        yield bits.reshape(rows, examples).astype(np.float64)


def _share(extreme: NDArray[np.bool_]) -> float:
    return float((extreme.sum() + 1) / (len(extreme) + 1))
