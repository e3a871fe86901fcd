"""Length ratio: the total length of the outputs against that of their references."""

from dataclasses import dataclass

import numpy as np

from warmstart._version import __version__
from warmstart.metrics.metric import FloatArray, Metric
from warmstart.metrics.system_outputs import SystemOutputs
from warmstart.metrics.tokenization import check_tokenization, text_signature, token_splitter

__all__ = ["LengthRatio"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthRatio(Metric):
    """Tokens of all outputs and of all references, the fewer in percent of the more.

    100 is the same length; 80 is a fifth shorter, or a quarter longer: see `longer_outputs`. A
    reference's length is the mean over the example's references.
    """

    name: str = "length_ratio"
    description: str = "tokens of outputs to those of references, the fewer over the more; 13a"
    source: str = "warmstart"
    tokenize: str = "13a"  # one of `TOKENIZATIONS`

    def __post_init__(self) -> None:
        check_tokenization(self.name, self.tokenize)

    def signature(self, reference_count: str) -> str:
        """See `Metric.signature`."""
        text = text_signature(lowercase=False, tokenize=self.tokenize)
        return f"{self.name}|fewer/more|nrefs:{reference_count}|{text}|warmstart:{__version__}"

    def statistics(self, system: SystemOutputs) -> FloatArray:
        """Tokens of the output and of the references, on average. Shape: [N, 2]."""
        assert system.references is not None
        split = token_splitter(lowercase=False, tokenize=self.tokenize)
        rows = [
            [
                len(split(output)),
                sum(len(split(reference)) for reference in of_example) / len(of_example),
            ]
            for output, of_example in zip(system.outputs, system.references, strict=True)
        ]
        return np.array(rows, dtype=np.float64)

    def value(self, sums: FloatArray) -> FloatArray:
        """See `Metric.value`. Without any token it is 100."""
        fewer, more = sums.min(axis=-1), sums.max(axis=-1)
        return np.where(more > 0, 100 * fewer / np.where(more > 0, more, 1), 100.0)
