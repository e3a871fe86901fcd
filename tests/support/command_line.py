"""The result of a command line that was run in the tests' own process."""

from dataclasses import dataclass

__all__ = ["Finished"]


@dataclass(frozen=True)
class Finished:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    def assert_failed(self, code: int, *words: str) -> None:
        """Asserts that the command printed one line of error with all the words, and no result."""
        assert (self.code, self.out) == (code, ""), self.err
        *logs, error = self.err.splitlines()
        assert error.startswith("error: ")
        assert not any(line.startswith(("error", "Traceback")) for line in logs)
        for word in words:
            assert word in error
