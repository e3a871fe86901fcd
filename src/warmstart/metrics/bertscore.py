"""BERTScore with a model of your own, computed by the optional package bert-score."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np

from warmstart.errors import UsageError
from warmstart.metrics.metric import FloatArray, Metric
from warmstart.metrics.proportion import mean_statistics, share_value
from warmstart.metrics.system_outputs import SystemOutputs

__all__ = ["BertScore"]

_LONGEST: Final = 2**31  # tokens; transformers has 10^30 for unknown lengths


@dataclass(frozen=True, slots=True, kw_only=True)
class BertScore(Metric):
    """Mean over examples of BERTScore's F1, in percent, without rescaling.

    Of several references, each example takes the one with the best F1. An empty text scores 0.
    """

    name: str = "bertscore"
    description: str = "BERTScore F1, not rescaled; needs the package bert-score and a model folder"
    source: str = "Zhang et al. 2020; bert-score"
    model: str | None = None  # folder of an encoder with its tokenizer
    by_name_only: bool = True
    layer: int | None = None  # layer of the vectors, from 1; None: the last

    def signature(self, reference_count: str) -> str:
        """See `Metric.signature`."""
        layer = "last" if self.layer is None else str(self.layer)
        # Paths are private, and signatures are published.
        local = self.model is not None and Path(self.model).expanduser().is_dir()
        model = Path(self.model).resolve().name if local and self.model else self.model
        return (
            f"bertscore|f1|nrefs:{reference_count}|model:{model}|layer:{layer}|idf:no|"
            f"rescaled:no|bert-score:{version('bert-score')}"
        )

    def statistics(self, system: SystemOutputs) -> FloatArray:
        """The example's F1, 0 to 1, and 1 to count examples. Shape: [N, 2].

        Raises:
            UsageError: if the package is not installed, no model is named, or its tokenizer is
                unsuitable for the package.
        """
        assert system.references is not None
        try:
            import bert_score  # optional, and it loads torch
        except ImportError:
            raise UsageError(
                "bertscore needs the package bert-score, which is not installed; install it with "
                "pip install bert-score, or omit the metric."
            ) from None
        if self.model is None:
            raise UsageError(
                "bertscore needs a model; name the folder of an encoder, with --bertscore-model or "
                "BertScore(model=...)."
            )
        from transformers import AutoConfig, AutoTokenizer

        with _without_own_code():
            tokenizer = AutoTokenizer.from_pretrained(self.model, trust_remote_code=False)
        if tokenizer.model_max_length > _LONGEST:
            raise UsageError(  # bert-score fails on it
                f"the tokenizer in {self.model} has no maximum length; write "
                "model_max_length into its tokenizer_config.json, for example 512."
            )
        config = AutoConfig.from_pretrained(self.model, trust_remote_code=False)
        layers = self.layer or int(config.num_hidden_layers)
        # bert-score gives empty texts 0, but cannot encode them with every transformers.
        references = [[text for text in texts if text.strip()] for texts in system.references]
        scored = [
            number
            for number, (output, texts) in enumerate(zip(system.outputs, references, strict=True))
            if output.strip() and texts
        ]
        f1_N = np.zeros(len(system))
        if scored:
            with _without_own_code():
                _, _, f1 = bert_score.score(
                    [system.outputs[number] for number in scored],
                    [references[number] for number in scored],
                    model_type=self.model,
                    num_layers=layers,
                )
            f1_N[scored] = np.clip(f1.numpy(), 0, 1)
        return mean_statistics(f1_N)

    def value(self, sums: FloatArray) -> FloatArray:
        """See `Metric.value`."""
        return share_value(sums)


@contextmanager
def _without_own_code() -> Iterator[None]:
    """Keeps transformers from asking on standard input whether a folder's code may run.

    bert-score and some classes of transformers leave out ``trust_remote_code=False``.
    """
    from transformers import dynamic_module_utils

    seconds = dynamic_module_utils.TIME_OUT_REMOTE_CODE
    dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0  # the answer is no, without a question
    try:
        yield
    finally:
        dynamic_module_utils.TIME_OUT_REMOTE_CODE = seconds
