"""A model's outputs for training sources, as the targets of a smaller model.

Sequence-level distillation (Kim and Rush 2016, section 3.2): a student that learns its teacher's
best outputs has one likely answer for each source, rather than many human ones.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmstart.bulk.decode import Counts, Written
from warmstart.bulk.file_output import FileOutput, progress_file
from warmstart.cache import fingerprint
from warmstart.data.example import Example
from warmstart.data.stored import content_of
from warmstart.decoding.request import BATCHES_AHEAD, RequestOptions, option
from warmstart.errors import OutputError, UsageError
from warmstart.keywords import check_names
from warmstart.validation import checked_values
from warmstart.writing import write_error

if TYPE_CHECKING:
    from warmstart.seq2seq import Seq2Seq

__all__ = ["write_pseudo_labels"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudoLabels:
    """The counts of a run.

    Attributes:
        examples: read.
        written: pairs in the file; the rest are outputs without a text.
        resumed: examples done by an earlier run.
        cut: sources that were truncated.
    """

    examples: int
    written: int
    resumed: int
    cut: int


def write_pseudo_labels(
    model: "Seq2Seq",
    examples: Sequence[Example],
    output: Path,
    decoding: Mapping[str, Any] | None = None,
    *,
    on_progress: Callable[[int], None] = lambda done: None,
) -> PseudoLabels:
    """Writes JSON Lines to train on: source, the model's output as target, and the first target.

    The same call resumes after an interruption, from ``.NAME.partial`` and its progress file; the
    name is given to a complete file. An example keeps its weight.

    Args:
        model: the teacher.
        examples: at least one.
        output: a file in ``.jsonl``; an existing one is replaced.
        decoding: options of `RequestOptions`, but for `config` and `constraints`.
        on_progress: called with the number of examples that are done.

    Raises:
        OutputError: if it cannot be written.
        UsageError: if an option is not allowed, or the output's name ends in something else.
    """
    if output.suffix != ".jsonl":
        raise UsageError(f"{output} is JSON Lines; give a name that ends in .jsonl.")
    check_names(decoding or {}, RequestOptions, "write_pseudo_labels")
    options = checked_values(RequestOptions, decoding or {})
    batch_size = int(option(options, "batch_size"))
    options.pop("batch_size", None)
    key = fingerprint(
        _digest(model), content_of(examples), repr(model.generation), repr(sorted(options.items()))
    )
    partial = output.with_name(f".{output.name}.partial")
    target = _resumed(partial, key)
    resumed = target.start.lines
    if resumed:
        logger.info("resuming after %d examples", resumed)
    size = BATCHES_AHEAD * batch_size
    try:
        for start in range(resumed, len(examples), size):
            part = examples[start : start + size]
            written = _decoded(model, part, {**options, "batch_size": batch_size})
            target.append(written, start + len(part))
            on_progress(start + len(part))
    finally:
        target.close(done=False)
    return _finished(target, output, len(examples), resumed)


def _decoded(model: "Seq2Seq", examples: Sequence[Example], options: Mapping[str, Any]) -> Written:
    texts, cut = [""] * len(examples), 0
    for index, outputs in model.generate_each([example.source for example in examples], **options):
        texts[index] = outputs[0].text
        cut += outputs[0].source_cut
    pairs = [pair for pair in zip(examples, texts, strict=True) if pair[1].strip()]
    data = b"".join(_line(example, text) for example, text in pairs)
    return Written(data, Counts(lines=len(examples), cut=cut))


def _line(example: Example, output: str) -> bytes:
    row: dict[str, Any] = {
        "source": example.source,
        "target": output,
        "reference": example.target,
    }
    if example.weight != 1:
        row["weight"] = example.weight
    return (json.dumps(row, ensure_ascii=False) + "\n").encode()


def _resumed(partial: Path, key: str) -> FileOutput:
    """The file of the same call, or an empty one."""
    noted = progress_file(partial).exists()
    if noted:
        try:
            return FileOutput(partial, {"key": key}, resume=True, overwrite=False)
        except (UsageError, OutputError):
            pass  # of another call, or damaged
    if noted or partial.exists():
        logger.warning("%s is of another model, data, settings or version; starting anew", partial)
    return FileOutput(partial, {"key": key}, resume=False, overwrite=True)


def _finished(target: FileOutput, output: Path, examples: int, resumed: int) -> PseudoLabels:
    """Gives a complete file its name."""
    try:
        with target.path.open("rb") as file:
            written = sum(1 for _ in file)
        target.path.replace(output)
        progress_file(target.path).unlink()
        # Version 0.1 named its progress so.
        output.with_name(f".{output.name}.progress").unlink(missing_ok=True)
    except OSError as error:
        raise write_error(output, error) from None
    cut = target.now.counts.cut
    if cut:
        logger.warning("%d of %d sources were too long and were truncated.", cut, examples)
    return PseudoLabels(examples=examples, written=written, resumed=resumed, cut=cut)


def _digest(model: "Seq2Seq") -> str:
    """Of all weights: a folder may hold another model under the same name."""
    import torch

    digest = hashlib.blake2b(digest_size=16)
    for name, parameter in model.model.named_parameters():
        digest.update(name.encode())
        raw = parameter.detach().cpu().contiguous().flatten().view(torch.uint8)
        digest.update(raw.numpy().tobytes())
    return digest.hexdigest()
