"""Literal types of a model loaded for decoding. Loads no torch."""

from typing import Literal, TypeAlias

__all__ = ["Compile", "Dtype"]

# Whether decoding compiles its steps: not, while it decodes without, or before it decodes.
Compile: TypeAlias = Literal["no", "background", "wait"]
# The type of the weights.
Dtype: TypeAlias = Literal["float32", "bfloat16", "float16", "int8", "float8"]
