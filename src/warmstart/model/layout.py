"""The layout of a packed batch: how long its sequences are, and which keys each query sees."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

__all__ = ["Layout"]


@dataclass(frozen=True, slots=True)
class Layout:
    """Lengths of a packed batch's sequences, and the keys that are visible to a query.

    Attributes:
        query_lengths: query tokens of each sequence. Shape: [B]
        key_lengths: key tokens of each sequence. Shape: [B]
        causal: whether a query sees only keys at its own position and before.
        window: see `StackConfig.window`.
        merged: whether each sequence's keys begin with its source's, which every query sees. A
            source has as many keys as there are more keys than queries.
    """

    query_lengths: Sequence[int]
    key_lengths: Sequence[int]
    _: KW_ONLY
    causal: bool
    window: int | None = None
    merged: bool = False

    @property
    def source_lengths(self) -> Sequence[int]:
        """Source keys of each sequence; empty unless merged. Shape: [B]"""
        if not self.merged:
            return ()
        pairs = zip(self.query_lengths, self.key_lengths, strict=True)
        return [keys - queries for queries, keys in pairs]
