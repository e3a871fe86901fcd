"""The folder of the quickstart's encoder."""

from pathlib import Path

__all__ = ["ENCODER_DIR"]

ENCODER_DIR = Path(__file__).parent / "encoder"
