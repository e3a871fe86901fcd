"""Shrinking a batch whose outputs have finished in part.

The rest continues in a smaller batch, which saves computing what has finished. Refilling the batch
with other sources would save little more, for texts of similar length are batched together:
measured in `docs/concepts/batches-in-decoding.md`.

Shape legend: B sources.
"""

from torch import Tensor

__all__ = ["unfinished"]

_SHARE = 0.75  # of the sources; above it a smaller batch is not worth the copy of the rest


def unfinished(done_B: Tensor) -> Tensor | None:
    """Indices of unfinished sources; None if too few have finished to be worth compacting.

    Shape: [B] -> [B]
    """
    if int(done_B.sum()) < (1 - _SHARE) * len(done_B):
        return None
    return (~done_B).nonzero()[:, 0]
