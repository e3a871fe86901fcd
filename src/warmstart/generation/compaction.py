"""When sources whose outputs have ended leave a batch.

The rest goes on in a smaller batch, for what has left need not be computed any more. Letting others
in for them as well would save little more, for texts of like length are put together: measured in
`docs/concepts/batches-in-decoding.md`.

Shape legend: B sources.
"""

from torch import Tensor

__all__ = ["staying"]

_SHARE = 0.75  # of the sources; above it a smaller batch is not worth the copy of what stays


def staying(done_B: Tensor) -> Tensor | None:
    """The places of the sources that go on; None: all stay, ended or not. Shape: [B] -> [B]"""
    if int(done_B.sum()) < (1 - _SHARE) * len(done_B):
        return None
    return (~done_B).nonzero()[:, 0]
