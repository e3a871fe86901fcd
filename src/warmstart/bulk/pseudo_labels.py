"""Outputs of a model for training sources, as the targets of a smaller one.

Sequence-level distillation (Kim and Rush 2016, section 3.2): a student that learns its teacher's
best outputs has one likely answer for each source, rather than many human ones.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from warmstart.cache import fingerprint
from warmstart.data.example import Example
from warmstart.data.stored import content_of
from warmstart.errors import OutputError, UsageError
from warmstart.writing import atomic_file

if TYPE_CHECKING:
    from warmstart.seq2seq import Seq2Seq

__all__ = ["PseudoLabels", "write_pseudo_labels"]

logger = logging.getLogger(__name__)

_BATCHES: Final = 32  # of a block, so that texts of similar length share batches


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudoLabels:
    """Numbers of examples.

    Attributes:
        examples: read.
        written: pairs in the file; the rest are empty outputs.
        resumed: examples finished by an earlier run.
        cut: sources that were truncated.
    """

    examples: int
    written: int
    resumed: int
    cut: int


@dataclass(slots=True)
class _Progress:
    """Progress of a run: finished examples; pairs and bytes in the temporary file."""

    key: str
    examples: int = 0
    written: int = 0
    cut: int = 0
    bytes: int = 0


def write_pseudo_labels(
    model: "Seq2Seq",
    examples: Sequence[Example],
    output: Path,
    decoding: Mapping[str, Any] | None = None,
    *,
    on_progress: Callable[[int], None] = lambda done: None,
) -> PseudoLabels:
    """Writes JSON Lines to train on: source, the model's output as target, and the first target.

    Finished examples are kept in ``.NAME.partial`` in the same folder; after an interruption the
    same call continues from there, and only a complete file gets the name. An example keeps its
    weight.

    Args:
        model: the teacher.
        examples: at least one.
        output: a ``.jsonl`` file; an existing one is replaced.
        decoding: options of `Seq2Seq.generate_each`, except `config` and `constraints`.
        on_progress: called with the number of finished examples.

    Raises:
        OutputError: if the file cannot be written.
        UsageError: if a setting is not allowed, or the output's name ends in something else.
    """
    if output.suffix != ".jsonl":
        raise UsageError(f"{output} is JSON Lines; give a name that ends in .jsonl.")
    options = dict(decoding or {})
    changed = {name: value for name, value in options.items() if name != "batch_size"}
    max_source_length = changed.pop("max_source_length", None)
    key = fingerprint(
        _digest(model), content_of(examples), repr(model.generation), max_source_length, changed
    )
    rows = output.with_name(f".{output.name}.partial")
    note = output.with_name(f".{output.name}.progress")
    progress = _resumed(rows, note, key)
    resumed = progress.examples
    try:
        with rows.open("r+b" if rows.exists() else "w+b") as file:
            file.truncate(progress.bytes)
            file.seek(progress.bytes)
            block = _BATCHES * options.get("batch_size", 32)
            for start in range(resumed, len(examples), block):
                part = examples[start : start + block]
                outputs = [""] * len(part)
                for index, found in model.generate_each(
                    [example.source for example in part], **options
                ):
                    outputs[index] = found[0].text
                    progress.cut += found[0].source_cut
                pairs = [pair for pair in zip(part, outputs, strict=True) if pair[1].strip()]
                file.writelines(_line(example, text) for example, text in pairs)
                file.flush()
                os.fsync(file.fileno())
                progress.examples += len(part)
                progress.written += len(pairs)
                progress.bytes = file.tell()
                with atomic_file(note) as partial:
                    partial.write_text(json.dumps(asdict(progress)), encoding="utf-8")
                on_progress(progress.examples)
        rows.replace(output)
        note.unlink()
    except OSError as error:
        raise OutputError(
            f"{output} cannot be written: {error.strerror}. Make room or check the folder, then "
            "run the same command again; it continues from the finished examples."
        ) from None
    if progress.cut:
        logger.warning(
            "%d of %d sources were too long and were truncated.", progress.cut, progress.examples
        )
    return PseudoLabels(
        examples=progress.examples,
        written=progress.written,
        resumed=resumed,
        cut=progress.cut,
    )


def _line(example: Example, output: str) -> bytes:
    row: dict[str, Any] = {
        "source": example.source,
        "target": output,
        "reference": example.target,
    }
    if example.weight != 1:
        row["weight"] = example.weight
    return (json.dumps(row, ensure_ascii=False) + "\n").encode()


def _resumed(rows: Path, note: Path, key: str) -> _Progress:
    """The progress of an interrupted call, or none."""
    with suppress(OSError, ValueError, TypeError):
        found = _Progress(**json.loads(note.read_text(encoding="utf-8")))
        if found.key == key and rows.stat().st_size >= found.bytes:
            logger.info("continuing after %d finished examples", found.examples)
            return found
        logger.warning("%s is of another model, data or settings; starting over", rows)
    return _Progress(key)


def _digest(model: "Seq2Seq") -> str:
    """Hash of all weights: a folder may hold another model under the same name."""
    import torch

    digest = hashlib.blake2b(digest_size=16)
    for name, parameter in model.model.named_parameters():
        digest.update(name.encode())
        raw = parameter.detach().cpu().contiguous().flatten().view(torch.uint8)
        digest.update(raw.numpy().tobytes())
    return digest.hexdigest()
