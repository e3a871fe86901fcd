"""What a composition can be told, as types. Loads no torch."""

from typing import Literal

__all__ = ["CrossAttentionStart", "LmHead", "Share", "Size", "shares"]

Share = Literal[
    "none",
    "embeddings",
    "layers",
    "all",
    "cross",
    "embeddings+cross",
    "layers+cross",
    "all+cross",
]
CrossAttentionStart = Literal["random", "copy", "gated", "merged"]
LmHead = Literal["checkpoint", "tied"]
Size = Literal["base", "large"]  # of the paper's checkpoints: 12 and 24 layers


def shares(share: Share, what: Literal["embeddings", "layers", "cross"]) -> bool:
    """Whether a kind of sharing has something in it; "all" is embeddings and layers."""
    parts = share.split("+")
    return what in parts or (what != "cross" and "all" in parts)
