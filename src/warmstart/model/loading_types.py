"""Literal types of a model loaded for decoding. Loads no torch."""

from typing import Annotated, Literal, TypeAlias

from warmstart.validation import Metavar

__all__ = ["Compile", "Device", "Dtype"]

# Whether decoding compiles its steps: not, while it decodes without, or before it decodes.
Compile: TypeAlias = Literal["no", "background", "wait"]
# The type of the weights.
Dtype: TypeAlias = Literal["float32", "bfloat16", "float16", "int8", "float8"]
# A device of torch; None: a CUDA GPU, or without one the CPU.
Device: TypeAlias = Annotated[str | None, Metavar("DEVICE")]
