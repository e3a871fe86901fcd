import pytest

from warmstart.quickstart.corpus import Corpus, build_corpus


@pytest.fixture(scope="session")
def stdlib_corpus() -> Corpus:
    """The documentation of the standard library alone: seconds instead of half a minute."""
    return build_corpus((), processes=1)
