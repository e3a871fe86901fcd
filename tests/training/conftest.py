from collections.abc import Iterator

import pytest

from warmstart.training import train


@pytest.fixture(scope="module", autouse=True)
def no_curves() -> Iterator[None]:
    """Runs draw no curves, which take longer than their steps; those of `tests/cli` do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "plot_curves", lambda metrics, picture: None)
        yield
