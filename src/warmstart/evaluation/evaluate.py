"""Evaluation of a model on examples: scores with confidence intervals."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from warmstart.errors import OutputError, UsageError
from warmstart.evaluation.evaluation_options import EvaluationOptions, ReferenceText
from warmstart.evaluation.score import score
from warmstart.evaluation.system_files import write_json_lines
from warmstart.generation.generation_config import GenerationConfig
from warmstart.keywords import changes
from warmstart.metrics.all_metrics import get_metric
from warmstart.metrics.metric import Metric, Score
from warmstart.metrics.system_outputs import SystemOutputs
from warmstart.model.evaluation_mode import evaluation_mode
from warmstart.model.sequences import Sequences
from warmstart.progress import Advance, counted
from warmstart.seq2seq import Seq2Seq
from warmstart.tasks.task import Split
from warmstart.text.detokenize import can_detokenize
from warmstart.text.round_trip import measure_round_trip

__all__ = [
    "decode_split",
    "describe_texts",
    "evaluate",
    "rewrite",
    "split_metrics",
    "split_outputs",
    "target_loss",
    "write_outputs",
]

logger = logging.getLogger(__name__)

_DECODING = {field.name for field in fields(GenerationConfig)}


@changes(EvaluationOptions)
def evaluate(model: Seq2Seq, split: Split, changed: Mapping[str, Any]) -> dict[str, Score]:
    """Decodes every source of a split and scores the outputs.

    Args:
        model: the model.
        split: examples, with their task's metrics and decoding settings.
        changed: fields of `EvaluationOptions`, as keywords.

    Returns:
        A score by metric.

    Raises:
        UsageError: if a metric or setting is unknown.
        OutputError: if the file cannot be written.
    """
    settings = {name: changed[name] for name in changed if name in _DECODING}
    options = EvaluationOptions(
        **{name: value for name, value in changed.items() if name not in settings}
    )
    outputs_file = options.outputs_file
    if outputs_file is not None and not Path(outputs_file).parent.is_dir():
        raise OutputError(  # now, and not after an hour of decoding
            f"{outputs_file} cannot be written: there is no folder {Path(outputs_file).parent}."
        )
    rewrites = options.reference_text == "round_trip"
    if rewrites:
        if settings.get("detokenize") == "auto":
            raise UsageError(
                "detokenize is 'auto' and reference_text 'round_trip', which compares outputs as "
                "they are decoded; leave one of the two out."
            )
        settings["detokenize"] = "none"
    settings["batch_size"] = options.batch_size
    chosen = split_metrics(split, options.metrics)
    if not rewrites:
        _warn_of_losses(model, split, settings)
    with counted("decoding", len(split)) as advance:
        outputs, at_limit = decode_split(model, split, settings, advance=advance)
    if outputs_file is not None:
        write_outputs(Path(outputs_file), split, outputs, at_limit=at_limit)
    rewriter = model if rewrites else None
    system = split_outputs(split, outputs, rewriter=rewriter, at_limit=at_limit)
    return score(system, chosen, per_example=options.per_example)


def decode_split(
    model: Seq2Seq,
    split: Split,
    changed: Mapping[str, Any] | None = None,
    *,
    advance: Advance | None = None,
) -> tuple[list[str], list[bool]]:
    """Decodes every source of a split.

    Args:
        model: decodes them.
        split: examples, with their task's decoding settings.
        changed: options of `RequestOptions` that differ from the task's.
        advance: called with the number of outputs as they are finished.

    Returns:
        The outputs, and whether each hit the length limit.

    Raises:
        UsageError: if a setting is unknown.
    """
    outputs, at_limit = [""] * len(split), [False] * len(split)
    options = {
        "config": split.generation,
        "max_source_length": split.max_source_length,
        **(changed or {}),
    }
    for index, output in model.generate_first(split.sources, **options):
        outputs[index], at_limit[index] = output.text, output.at_limit
        if advance is not None:
            advance(1)
    return outputs, at_limit


def describe_texts(
    model: Seq2Seq, split: Split, changed: Mapping[str, Any], reference_text: ReferenceText
) -> str | None:
    """The texts that are compared; None for a tokenizer that loses neither case nor spaces."""
    if reference_text == "round_trip":
        return "outputs as decoded; sources and references as the target tokenizer decodes them"
    if not can_detokenize(model.tokenizers.target):
        return None
    if _detokenizes(model, split, changed):
        return "outputs detokenized (detokenize auto); references as given"
    return "outputs as decoded (detokenize none); references as given"


def _detokenizes(model: Seq2Seq, split: Split, changed: Mapping[str, Any]) -> bool:
    """Whether outputs are detokenized where the tokenizer needs it."""
    setting = changed.get("detokenize") or split.generation.detokenize
    return (setting or model.generation.detokenize) == "auto"


def _warn_of_losses(model: Seq2Seq, split: Split, changed: Mapping[str, Any]) -> None:
    """Warns of references that no output can equal because of case or spaces."""
    if _detokenizes(model, split, changed) or not can_detokenize(model.tokenizers.target):
        return
    measured = measure_round_trip(model.tokenizers, split.examples)
    if measured.survived < measured.targets:
        logger.warning(
            "Only %d of %d sampled references survive the target tokenizer, and outputs are not "
            "detokenized, so no output can equal the others and scores are too low. Set detokenize "
            "to 'auto', or compare with references as the tokenizer decodes them "
            "(--reference-text round-trip).",
            measured.survived,
            measured.targets,
        )


def split_metrics(split: Split, metrics: Sequence[str | Metric] | None = None) -> list[Metric]:
    """Metrics with the options that a split's texts need.

    Args:
        split: examples of a task.
        metrics: names of metrics, or metrics with options; default: the task's.

    Raises:
        UsageError: if a metric is unknown.
    """
    return [
        get_metric(metric, tokenize=split.tokenize) if isinstance(metric, str) else metric
        for metric in metrics or split.metrics
    ]


def split_outputs(
    split: Split,
    outputs: Sequence[str],
    *,
    rewriter: Seq2Seq | None = None,
    at_limit: Sequence[bool] | None = None,
) -> SystemOutputs:
    """Outputs of any system, with the sources and references of a split.

    Args:
        split: the examples.
        outputs: one for each.
        rewriter: a model through whose target tokenizer sources and references are passed.
        at_limit: whether each output hit the length limit, for the metric that counts them.

    Raises:
        UsageError: if the counts differ.
    """
    sources, references = list(split.sources), [list(texts) for texts in split.references]
    if rewriter is not None:
        sources = rewrite(rewriter, sources)
        references = [rewrite(rewriter, texts) for texts in references]
    return SystemOutputs(
        outputs=list(outputs),
        references=references,
        sources=sources,
        at_limit=at_limit,
        note=None if rewriter is None else "references:round-trip",
    )


def rewrite(model: Seq2Seq, texts: Sequence[str]) -> list[str]:
    """Texts as decoded by a model's target tokenizer: the closest texts that it can write."""
    return model.tokenizers.decode(model.tokenizers.encode_targets(texts, None).rows)


@torch.inference_mode()
def target_loss(
    model: Seq2Seq, split: Split, *, batch_size: int = 32, advance: Advance | None = None
) -> float:
    """Mean cross-entropy of the targets, in nats per target token, without dropout.

    Args:
        model: the model.
        split: examples; the first target of each counts.
        batch_size: examples of one pass.
        advance: called with the number of examples as they are done.

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
    total, count = 0.0, 0
    with evaluation_mode(model.model):
        for at in range(0, len(order), batch_size):
            rows = order[at : at + batch_size]
            source = Sequences.of([sources[row] for row in rows], model.device)
            target = Sequences.of([[start, *targets[row][:-1]] for row in rows], model.device)
            labels = Sequences.of([targets[row] for row in rows], model.device).tokens
            total += float(model.model(source, target, labels, 1.0))
            count += labels.shape[0]
            if advance is not None:
                advance(len(rows))
    return total / count


def write_outputs(
    path: Path, split: Split, outputs: Sequence[str], *, at_limit: Sequence[bool] | None = None
) -> None:
    """Writes source, output and references of each example, atomically.

    Args:
        path: a JSON Lines file.
        split: the examples.
        outputs: one for each.
        at_limit: whether each output hit the length limit, to be written, too.

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
