"""Shares in percent, the form of several metrics: sums of parts over sums of wholes."""

from collections.abc import Iterable

import numpy as np

from warmstart.metrics.metric import FloatArray

__all__ = ["mean_statistics", "share_statistics", "share_value"]


def share_statistics(of_examples: Iterable[bool]) -> FloatArray:
    """Whether each example counts, and 1 to count examples. Shape: [N, 2]."""
    return mean_statistics(np.fromiter(of_examples, dtype=np.float64))


def mean_statistics(values: FloatArray) -> FloatArray:
    """A value of each example, 0 to 1, and 1 to count examples. Shape: [N] to [N, 2]."""
    return np.stack([values, np.ones(len(values))], axis=-1)


def share_value(sums: FloatArray) -> FloatArray:
    """Part over whole in percent; 0 of nothing is 0. Shape: [..., 2] to [...]."""
    part, whole = sums[..., 0], sums[..., 1]
    return np.asarray(100 * part / np.where(whole > 0, whole, 1))
