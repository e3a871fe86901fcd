"""ERRANT's F0.5 of grammatical error correction (Bryant, Felice and Briscoe 2017)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import Any, Final, TypeAlias

import numpy as np

from warmstart.errors import UsageError
from warmstart.metrics.metric import FloatArray, Metric, Need
from warmstart.metrics.system_outputs import SystemOutputs

__all__ = ["Errant"]

_BETA_SQUARED: Final = 0.25  # precision counts twice as much as recall
# First and last token in the source, and what replaces them.
_Edits: TypeAlias = frozenset[tuple[int, int, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Errant(Metric):
    """F0.5 over the edits of all sentences: span and correction have to agree.

    Edits are found by ERRANT with spaCy's small English model. Of several references each sentence
    counts with the one of its best F0.5. A sentence without an edit in output and reference counts
    nowhere; a corpus without any has 100.
    """

    name: str = "errant"
    description: str = "ERRANT F0.5 over edits; needs the package errant and spaCy's English model"
    source: str = "Bryant et al. 2017; errant, span-based correction"
    needs: tuple[Need, ...] = ("sources", "references")
    by_name_only: bool = True

    def signature(self, reference_count: str) -> str:
        """See `Metric.signature`."""
        return f"{self.name}|f0.5|nrefs:{reference_count}|errant:{version('errant')}"

    def statistics(self, system: SystemOutputs) -> FloatArray:
        """Edits that are right, wrong, and missing. Shape: [N, 3]."""
        assert system.sources is not None
        assert system.references is not None
        edits = _edits()
        rows = []
        for source, output, of_example in zip(
            system.sources, system.outputs, system.references, strict=True
        ):
            made = edits(source, output)
            counts = np.array([_counts(made, edits(source, text)) for text in of_example])
            rows.append(counts[self.value(counts).argmax()])
        return np.array(rows, dtype=np.float64)

    def value(self, sums: FloatArray) -> FloatArray:
        """See `Metric.value`."""
        right, wrong, missing = np.moveaxis(np.asarray(sums, dtype=np.float64), -1, 0)
        weighted = (1 + _BETA_SQUARED) * right
        total = weighted + _BETA_SQUARED * missing + wrong
        return np.asarray(100 * np.where(total > 0, weighted / np.where(total > 0, total, 1), 1.0))


def _counts(made: _Edits, wanted: _Edits) -> Sequence[int]:
    return len(made & wanted), len(made - wanted), len(wanted - made)


@lru_cache(maxsize=1)
def _edits() -> Callable[[str, str], _Edits]:
    """A function from a source and a corrected text to edits.

    Raises:
        UsageError: if ERRANT or its model is not installed.
    """
    try:
        import errant

        annotator: Any = errant.load("en")
    except (ImportError, OSError):
        raise UsageError(
            "errant needs the package and spaCy's model: pip install 'warmstart[errant]', then "
            "python -m spacy download en_core_web_sm."
        ) from None

    parse = lru_cache(maxsize=2**12)(annotator.parse)

    def edits(source: str, text: str) -> _Edits:
        if source == text:
            return frozenset()
        found = annotator.annotate(parse(source), parse(text))
        return frozenset((edit.o_start, edit.o_end, edit.c_str) for edit in found)

    return edits
