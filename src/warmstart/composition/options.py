"""What a composition can be told, as types. Loads no torch."""

from typing import Literal

__all__ = ["CrossAttentionStart", "LmHead", "Share", "Size"]

Share = Literal["none", "embeddings", "layers", "all"]
CrossAttentionStart = Literal["random"]
LmHead = Literal["checkpoint", "tied"]
Size = Literal["base", "large"]  # of the paper's checkpoints: 12 and 24 layers
