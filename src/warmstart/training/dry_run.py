"""A plan of a run, made without running it."""

import os
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn

from warmstart.composition.trace import part_of
from warmstart.seq2seq import Seq2Seq
from warmstart.tasks.task import Split, Task
from warmstart.text.round_trip import RoundTrip, measure_round_trip
from warmstart.text.tokenizer_pair import TokenizerPair
from warmstart.training.batches import TokenizedExamples
from warmstart.training.memory_estimate import Memory, estimate_memory
from warmstart.training.optimizer import warmup_steps
from warmstart.training.parameters import peak_rate
from warmstart.training.passes import pass_sampler
from warmstart.training.prepare import PreparedRun, prepare_run, uses_bfloat16
from warmstart.training.recomputing import set_recomputing
from warmstart.training.run_folder import Resume
from warmstart.training.train_config import TrainConfig

__all__ = ["BatchText", "DryRun", "dry_run"]

_SAMPLED: Final = 100_000  # examples searched for the longest batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Parameters of one part of the model, each once."""

    total: int
    trained: int  # at some step
    shared: int  # with another part or half


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchText:
    """One example as the model will see it.

    Attributes:
        example: its index in the training split, from 0.
        source: its tokens as the source tokenizer decodes them, with special tokens.
        target: the same for the target, with the start token that the decoder reads first.
        source_tokens: number of source tokens.
        target_tokens: number of tokens that the model is to write, with the end token.
        source_cut: number of source tokens that are truncated.
        target_cut: number of target tokens that are truncated.
    """

    example: int
    source: str
    target: str
    source_tokens: int
    target_tokens: int
    source_cut: int
    target_cut: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """A plan of a run.

    Attributes:
        parts: parameters by part, with a row "total".
        memory: an estimate.
        precision: "float32" or "bfloat16".
        steps: optimizer steps.
        first_step: optimizer steps done before, by the run that is resumed.
        step_examples: examples of one step, over all passes and processes.
        epochs: passes over the examples, in all steps.
        examples: of the training split.
        step_tokens: mean source and target tokens of one step.
        schedule: of the learning rate, in words.
        evaluations: the steps after which the model is evaluated.
        evaluation_examples: examples of each evaluation.
        checkpoints: the steps after which one is written.
        checkpoint_bytes: approximate size of each.
        batch: the first one.
        round_trip: the training texts that the tokenizers cannot represent.
    """

    parts: dict[str, Part]
    memory: Memory
    precision: str
    steps: int
    first_step: int
    step_examples: int
    epochs: float
    examples: int
    step_tokens: tuple[float, float]
    schedule: str
    evaluations: tuple[int, ...]
    evaluation_examples: int
    checkpoints: tuple[int, ...]
    checkpoint_bytes: int
    batch: tuple[BatchText, ...]
    round_trip: RoundTrip


def dry_run(model: Seq2Seq, task: Task, config: TrainConfig, *, resume: Resume = False) -> DryRun:
    """Checks all that `train` checks, and plans the run. Writes nothing.

    Args:
        model: its weights are not used; see `Seq2Seq.from_blueprint` for one without.
        task: see `train`.
        config: see `train`.
        resume: see `train`.

    Raises:
        WarmstartError: as `train`, before its first step.
    """
    run = prepare_run(model, task, config, resume=resume, weights=False)
    config, examples, validation = run.config, run.examples, run.validation
    passes, step_examples = _first_passes(examples, config)
    rows = examples.rows
    means = (rows.source_lengths, rows.target_lengths)
    source_mean, target_mean = ((each.total - each.lost) / each.count for each in means)
    stops = (*range(run.evaluate_every, config.max_steps, run.evaluate_every), config.max_steps)
    memory = _memory(run, passes)
    parts = _parts(model.model, run.trained.trainable)
    if run.adapters is not None:
        run.adapters.merge()
    return DryRun(
        parts=parts,
        memory=memory,
        precision="bfloat16" if uses_bfloat16(config) else "float32",
        steps=config.max_steps,
        first_step=run.first_step,
        step_examples=step_examples,
        epochs=config.max_steps * step_examples / len(examples),
        examples=len(examples),
        step_tokens=(source_mean * step_examples, target_mean * step_examples),
        schedule=_schedule(model, config),
        evaluations=stops if validation is not None else (),
        evaluation_examples=0 if validation is None else len(validation),
        checkpoints=stops,
        checkpoint_bytes=memory.weights + memory.optimizer,
        batch=_first_batch(model.tokenizers, run.split, examples, passes[0]),
        round_trip=measure_round_trip(model.tokenizers, run.split.examples),
    )


def _parts(model: nn.Module, trained: list[nn.Parameter]) -> dict[str, Part]:
    """By part, in the model's order; a shared parameter belongs to the first that has it."""
    names: dict[nn.Parameter, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(parameter, []).append(name)
    ever = {id(parameter) for parameter in trained}
    counts: dict[str, list[int]] = {}
    for parameter, own in names.items():
        size = parameter.numel()
        # A head that is the word embedding has no parameter of its own to share.
        shared = sum(name != "head.weight" for name in own) > 1
        for part in (part_of(own[0]), "total"):
            row = counts.setdefault(part, [0, 0, 0])
            row[0] += size
            row[1] += size * (id(parameter) in ever)
            row[2] += size * shared
    counts["total"] = counts.pop("total")  # last
    return {
        part: Part(total=total, trained=those, shared=both)
        for part, (total, those, both) in counts.items()
    }


def _first_passes(examples: TokenizedExamples, config: TrainConfig) -> tuple[list[list[int]], int]:
    """Passes of the first steps, and the mean number of examples of a step."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))  # torchrun sets it
    sampler = pass_sampler(examples, config, processes)
    passes: list[list[int]] = []
    for indices in sampler:
        passes.append(indices)
        if sampler.taken[-1] >= _SAMPLED:
            break
    return passes, round(sampler.taken[-1] / len(sampler.taken))


def _memory(run: PreparedRun, passes: list[list[int]]) -> Memory:
    config, module = run.config, run.module
    batches = [run.examples.lengths(torch.tensor(indices)) for indices in passes]
    longest_B2 = max(batches, key=lambda lengths_B2: int(lengths_B2.sum()))
    set_recomputing(module, config.activation_checkpointing)
    try:
        return estimate_memory(
            module,
            (longest_B2[:, 0].tolist(), longest_B2[:, 1].tolist()),
            trained=run.trained.trainable,
            teacher=None if run.teacher is None else run.teacher.model,
            optimizer=config.optimizer,
            bfloat16=uses_bfloat16(config),
            accumulates=config.accumulation_steps > 1,
            on_gpu=torch.cuda.is_available(),
        )
    finally:
        set_recomputing(module, False)


def _schedule(model: Seq2Seq, config: TrainConfig) -> str:
    warmup, peak = warmup_steps(config), peak_rate(model.model, config)
    after = {
        "linear": f"then in a line to 0 at step {config.max_steps}",
        "cosine": f"then in a half cosine to 0 at step {config.max_steps}",
        "constant": "then constant",
    }.get(config.schedule, "then by one over the square root of the step")
    return f"{config.schedule}: in {warmup} steps from 0 to {peak:.3g}, {after}"


def _first_batch(
    tokenizers: TokenizerPair,
    split: Split,
    examples: TokenizedExamples,
    numbers: list[int],
) -> tuple[BatchText, ...]:
    chosen = [split.examples[number] for number in numbers]
    whole_sources = tokenizers.encode_sources([example.source for example in chosen], None).rows
    whole_targets = tokenizers.encode_targets([example.target for example in chosen], None).rows
    texts = []
    for number, whole_source, whole_target in zip(
        numbers, whole_sources, whole_targets, strict=True
    ):
        row = examples[number]
        texts.append(
            BatchText(
                example=number,
                source=_written(tokenizers.source, row.source),
                target=_written(tokenizers.target, [row.inputs[0], *row.labels]),
                source_tokens=len(row.source),
                target_tokens=len(row.labels),
                source_cut=max(len(whole_source) - len(row.source), 0),
                target_cut=max(len(whole_target) - len(row.labels), 0),
            )
        )
    return tuple(texts)


def _written(tokenizer: Any, tokens: list[int]) -> str:
    text: str = tokenizer.decode(
        tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False
    )
    return text
