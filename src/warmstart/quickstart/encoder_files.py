"""Where the quickstart's encoder lies."""

from pathlib import Path

__all__ = ["ENCODER_DIR"]

ENCODER_DIR = Path(__file__).parent / "encoder"
