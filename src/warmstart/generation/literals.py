"""Literal types of decoding. Loads no torch."""

from typing import Literal, TypeAlias

__all__ = ["AlignmentLayers", "Detokenize", "Draft"]

# The source of drafts for speculative decoding.
Draft: TypeAlias = Literal["none", "source", "auto"]
# Whether outputs get back what their tokenizer loses.
Detokenize: TypeAlias = Literal["auto", "none"]
# The cross-attention that aligns tokens: the mean over all layers, or the last layer.
AlignmentLayers: TypeAlias = Literal["mean", "last"]
