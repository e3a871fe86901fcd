"""What a run would do, without doing it."""

import os
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn

from warmstart.composition.trace import part_of
from warmstart.seq2seq import Seq2Seq
from warmstart.tasks.task import Split, Task
from warmstart.text.tokenizer_pair import TokenizerPair
from warmstart.training.batches import TokenizedExamples
from warmstart.training.config import TrainConfig
from warmstart.training.distillation import Teacher, load_teacher
from warmstart.training.effective_batch import kept_batch
from warmstart.training.lora import add_adapters
from warmstart.training.memory_estimate import Memory, estimate_memory
from warmstart.training.parameters import TrainedParameters, new_parameters, peak_rate
from warmstart.training.passes import pass_sampler
from warmstart.training.run_folder import Resume, check_output_folder, checkpoint_to_resume
from warmstart.training.trackers import check_trackers
from warmstart.training.train import (
    check_r_drop,
    set_recomputing,
    tokenized_split,
    uses_bfloat16,
    validation_split,
    warmup_steps,
)

__all__ = ["BatchText", "DryRun", "Part", "dry_run"]

_LOOKED_THROUGH: Final = 100_000  # examples, for the longest batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Parameters of one part of the model, each once."""

    total: int
    trained: int  # at some step
    shared: int  # that are another part's or half's, too


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchText:
    """One example as the model will see it.

    Attributes:
        example: its number in the training split, from 0.
        source: as the source tokenizer writes its tokens back, special tokens and all.
        target: likewise, the start token that the decoder reads first included.
        source_tokens: how many.
        target_tokens: how many the model is to write, the end token included.
        source_cut: how many tokens were cut off.
        target_cut: likewise.
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
    """What a run would do.

    Attributes:
        parts: parameters by part, with a row "total".
        memory: an estimate.
        precision: "float32" or "bfloat16".
        steps: optimizer steps.
        first_step: those made already, by the run that is resumed.
        step_examples: examples of one step, over all passes and processes.
        epochs: that the steps come to.
        examples: of the training split.
        step_tokens: of sources and of targets in one step, on average.
        schedule: in words.
        evaluations: the steps after which the model is evaluated.
        evaluation_examples: of each.
        checkpoints: the steps after which one is written.
        checkpoint_bytes: of each, about.
        batch: the first one.
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


def dry_run(model: Seq2Seq, task: Task, config: TrainConfig, *, resume: Resume = False) -> DryRun:
    """Checks all that `train` checks and tells what it would do. Writes nothing.

    Args:
        model: its weights are not looked at; see `Seq2Seq.from_blueprint` for one without.
        task: see `train`.
        config: see `train`.
        resume: see `train`.

    Raises:
        WarmstartError: as `train`, before its first step.
    """
    check_trackers(config.report_to)
    check_output_folder(config.output_dir, resume=resume)
    checkpoint = checkpoint_to_resume(config.output_dir, resume=resume)
    processes = int(os.environ.get("WORLD_SIZE", "1"))  # torchrun sets it
    if checkpoint is not None:
        config = kept_batch(config, processes, checkpoint)
    validation = validation_split(task, config)
    split = task.split("train")
    examples = tokenized_split(model, split, config)
    check_r_drop(model.model, config)
    teacher = load_teacher(model, examples, config, weights=False)
    new = new_parameters(model.model, model.provenance)
    adapters = None
    if config.lora is not None:
        adapters = add_adapters(model.model, config.lora, new, config.seed)
    trained = TrainedParameters(model.model, config, new)
    passes, step_examples = _first_passes(examples, config, processes)
    rows = examples.rows
    means = (rows.source_lengths, rows.target_lengths)
    source_mean, target_mean = ((each.total - each.lost) / each.count for each in means)
    every = config.evaluate_every or config.max_steps
    stops = (*range(every, config.max_steps, every), config.max_steps)
    memory = _memory(model, config, examples, passes, trained, teacher)
    parts = _parts(model.model, trained.ever)
    if adapters is not None:
        adapters.merge()
    return DryRun(
        parts=parts,
        memory=memory,
        precision="bfloat16" if uses_bfloat16(config) else "float32",
        steps=config.max_steps,
        first_step=0 if checkpoint is None else int(checkpoint.name.rpartition("-")[2]),
        step_examples=step_examples,
        epochs=config.max_steps * step_examples / len(examples),
        examples=len(examples),
        step_tokens=(source_mean * step_examples, target_mean * step_examples),
        schedule=_schedule(model, config),
        evaluations=stops if validation is not None else (),
        evaluation_examples=0 if validation is None else len(validation),
        checkpoints=stops,
        checkpoint_bytes=memory.weights + memory.optimizer,
        batch=_first_batch(model.tokenizers, split, examples, passes[0]),
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


def _first_passes(
    examples: TokenizedExamples, config: TrainConfig, processes: int
) -> tuple[list[list[int]], int]:
    """Passes of the first steps, and the examples of a step, in the mean."""
    sampler = pass_sampler(examples, config, processes)
    passes: list[list[int]] = []
    for numbers in sampler:
        passes.append(numbers)
        if sampler.taken[-1] >= _LOOKED_THROUGH:
            break
    return passes, round(sampler.taken[-1] / len(sampler.taken))


def _memory(
    model: Seq2Seq,
    config: TrainConfig,
    examples: TokenizedExamples,
    passes: list[list[int]],
    trained: TrainedParameters,
    teacher: Teacher | None,
) -> Memory:
    batches = [examples.lengths(torch.tensor(numbers)) for numbers in passes]
    longest_B2 = max(batches, key=lambda lengths_B2: int(lengths_B2.sum()))
    set_recomputing(model.model, config.activation_checkpointing)
    try:
        return estimate_memory(
            model.model,
            (longest_B2[:, 0].tolist(), longest_B2[:, 1].tolist()),
            trained=trained.ever,
            teacher=None if teacher is None else teacher.model,
            optimizer=config.optimizer,
            bfloat16=uses_bfloat16(config),
            accumulates=config.accumulation_steps > 1,
            on_gpu=torch.cuda.is_available(),
        )
    finally:
        set_recomputing(model.model, False)


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
