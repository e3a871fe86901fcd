"""Optional data of tests that the repository does not hold."""

from pathlib import Path

import pytest

__all__ = ["shared_data"]

_SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def shared_data(*parts: str) -> Path:
    """A file next to the repository, in ``../shared/data``; skips the test where it is absent."""
    path = _SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is not on this machine")
    return path
