"""Tiny decoder-only families, by their model_type."""

from tests.tiny_family import TinyFamily

__all__ = ["FAMILIES"]

FAMILIES: dict[str, TinyFamily] = {}
