"""A model and examples to scores with confidence intervals."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Unpack

import torch

from warmstart.errors import OutputError, UsageError
from warmstart.evaluation.score import score
from warmstart.evaluation.system_files import write_json_lines
from warmstart.generation.options import GenerationOverrides
from warmstart.metrics.all_metrics import get_metric
from warmstart.metrics.metric import Metric
from warmstart.metrics.score import Score
from warmstart.metrics.system_outputs import SystemOutputs
from warmstart.model.sequences import Sequences
from warmstart.progress import Advance, counted
from warmstart.seq2seq import Seq2Seq
from warmstart.tasks.task import Split

__all__ = [
    "ReferenceText",
    "decode_split",
    "evaluate",
    "rewrite",
    "score_outputs",
    "target_loss",
    "write_outputs",
]

logger = logging.getLogger(__name__)

ReferenceText = Literal["as_given", "round_trip"]


def evaluate(
    model: Seq2Seq,
    split: Split,
    *,
    metrics: Sequence[str | Metric] | None = None,
    reference_text: ReferenceText = "as_given",
    batch_size: int = 32,
    outputs_file: str | os.PathLike[str] | None = None,
    per_example: bool = False,
    **generation: Unpack[GenerationOverrides],
) -> dict[str, Score]:
    """Decodes every source of a split and scores the outputs.

    Args:
        model: what to evaluate.
        split: examples, with their task's metrics and decoding settings.
        metrics: names of metrics, or metrics with options; default: the task's.
        reference_text: "as_given", or "round_trip": sources and references as the target
            tokenizer writes them back, so that an uncased model is compared with uncased text.
            The signatures name it.
        batch_size: examples decoded side by side.
        outputs_file: where to keep source, output and references, a JSON object a line.
        per_example: whether to give each example's values, too.
        **generation: decoding settings that differ from the task's.

    Returns:
        A score by metric.

    Raises:
        UsageError: if a metric or setting is unknown.
        OutputError: if the file cannot be written.
    """
    if outputs_file is not None and not Path(outputs_file).parent.is_dir():
        raise OutputError(  # now, and not after an hour of decoding
            f"{outputs_file} cannot be written: there is no folder {Path(outputs_file).parent}."
        )
    with counted("decoding", len(split)) as advance:
        outputs, at_limit = decode_split(
            model, split, batch_size=batch_size, advance=advance, **generation
        )
    if outputs_file is not None:
        write_outputs(Path(outputs_file), split, outputs, at_limit=at_limit)
    return score_outputs(
        split,
        outputs,
        metrics=metrics,
        round_trip=model if reference_text == "round_trip" else None,
        at_limit=at_limit,
        per_example=per_example,
    )


def decode_split(
    model: Seq2Seq,
    split: Split,
    *,
    batch_size: int = 32,
    advance: Advance | None = None,
    **generation: Unpack[GenerationOverrides],
) -> tuple[list[str], list[bool]]:
    """Writes an output for every source of a split.

    Args:
        model: that writes them.
        split: examples, with their task's decoding settings.
        batch_size: examples decoded side by side.
        advance: is told of outputs as they are finished.
        **generation: decoding settings that differ from the task's.

    Returns:
        The outputs, and whether each hit the length limit.

    Raises:
        UsageError: if a setting is unknown.
    """
    outputs, at_limit = [""] * len(split), [False] * len(split)
    for index, tokens, limited in model.generate_tokens(
        split.sources,
        batch_size=batch_size,
        max_source_length=split.max_source_length,
        options=split.generation,
        **generation,
    ):
        outputs[index] = model.tokenizers.decode([tokens])[0]
        at_limit[index] = limited
        if advance is not None:
            advance(1)
    return outputs, at_limit


def score_outputs(
    split: Split,
    outputs: Sequence[str],
    *,
    metrics: Sequence[str | Metric] | None = None,
    round_trip: Seq2Seq | None = None,
    at_limit: Sequence[bool] | None = None,
    per_example: bool = False,
) -> dict[str, Score]:
    """Scores finished outputs, whoever wrote them.

    Args:
        split: the examples.
        outputs: one for each.
        metrics: names of metrics, or metrics with options; default: the task's.
        round_trip: a model through whose target tokenizer sources and references are passed.
        at_limit: whether each output hit the length limit, for the metric that counts them.
        per_example: whether to give each example's values, too.

    Raises:
        UsageError: if a metric is unknown or the counts differ.
    """
    sources, references = list(split.sources), [list(texts) for texts in split.references]
    if round_trip is not None:
        sources = rewrite(round_trip, sources)
        references = [rewrite(round_trip, texts) for texts in references]
    chosen = [
        get_metric(metric, tokenize=split.tokenize) if isinstance(metric, str) else metric
        for metric in metrics or split.metrics
    ]
    system = SystemOutputs(
        outputs=list(outputs), references=references, sources=sources, at_limit=at_limit
    )
    note = None if round_trip is None else "references:round-trip"
    return score(system, chosen, note=note, per_example=per_example)


def rewrite(model: Seq2Seq, texts: Sequence[str]) -> list[str]:
    """Texts as a model's target tokenizer writes them back: all that the model could write."""
    return model.tokenizers.decode(model.tokenizers.encode_targets(texts, None).rows)


@torch.inference_mode()
def target_loss(
    model: Seq2Seq, split: Split, *, batch_size: int = 32, advance: Advance | None = None
) -> float:
    """Mean cross-entropy of the targets, in nats per target token, without dropout.

    Args:
        model: what to evaluate.
        split: examples; the first target of each counts.
        batch_size: examples of one pass.
        advance: is told of examples as they are done.

    Raises:
        UsageError: if the split is empty.
    """
    if not split.examples:
        raise UsageError(f"The split {split.name} has no examples to evaluate on.")
    sources = model.encode_sources(split.sources, split.max_source_length)
    targets = model.encode_targets(
        [example.target for example in split.examples], split.max_target_length
    )
    start = model.tokenizers.special.start
    order = sorted(range(len(sources)), key=lambda row: (len(sources[row]), len(targets[row])))
    was_training = model.model.training
    model.model.eval()
    total, count = 0.0, 0
    for at in range(0, len(order), batch_size):
        rows = order[at : at + batch_size]
        source = Sequences.of([sources[row] for row in rows], model.device)
        target = Sequences.of([[start, *targets[row][:-1]] for row in rows], model.device)
        labels = Sequences.of([targets[row] for row in rows], model.device).tokens
        total += float(model.model(source, target, labels, 1.0))
        count += labels.shape[0]
        if advance is not None:
            advance(len(rows))
    model.model.train(was_training)
    return total / count


def write_outputs(
    path: Path, split: Split, outputs: Sequence[str], *, at_limit: Sequence[bool] | None = None
) -> None:
    """Writes source, output and references of each example, whole or not at all.

    Args:
        path: a JSON Lines file.
        split: the examples.
        outputs: one for each.
        at_limit: whether each hit the length limit, to be written, too.

    Raises:
        OutputError: if the file cannot be written.
    """
    rows: list[dict[str, object]] = [
        {"source": example.source, "output": output, "references": list(example.targets)}
        for example, output in zip(split.examples, outputs, strict=True)
    ]
    for row, limited in zip(rows, at_limit or (), strict=at_limit is not None):
        row["at_limit"] = limited
    write_json_lines(path, rows)
