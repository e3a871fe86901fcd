"""Decodes a block of lines to the lines of its outputs, in any worker."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from warmstart.bulk.blocks import Block
from warmstart.bulk.job import Job
from warmstart.bulk.sources import Source, sources
from warmstart.errors import DataError, TextError

if TYPE_CHECKING:
    from warmstart.generation.result import Generated
    from warmstart.seq2seq import Seq2Seq

__all__ = ["Counts", "Written", "check_job", "decode_block"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Numbers of lines.

    Attributes:
        lines: of the input, equal to those of the output.
        cut: sources that were truncated.
        chunked: sources that were decoded in chunks.
        replaced: lines with invalid UTF-8 or lone surrogates.
    """

    lines: int = 0
    cut: int = 0
    chunked: int = 0
    replaced: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        names = [field.name for field in fields(self)]
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in names})


@dataclass(frozen=True, slots=True)
class Written:
    """A block's outputs, a line for each line of the block, with their counts."""

    data: bytes
    counts: Counts


def check_job(model: "Seq2Seq", job: Job) -> None:
    """Raises for invalid settings before there is anything to decode.

    Raises:
        UsageError: if a setting is invalid for this model.
    """
    for _ in _outputs(model, job, []):
        pass


def decode_block(
    model: "Seq2Seq", job: Job, block: Block, advance: Callable[[], object] | None = None
) -> Written:
    """Decodes a block.

    Args:
        model: the job's.
        job: the settings.
        block: some lines.
        advance: called after each text.

    Raises:
        DataError: if a line is invalid; the error names file and line.
        UsageError: if a setting is invalid.
    """
    lines = sources(block, job)
    filled = [number for number, source in enumerate(lines) if source.text]
    outputs: dict[int, list[Generated]] = {}
    try:
        texts = [lines[number].text for number in filled]
        for index, of_text in _outputs(model, job, texts):
            outputs[filled[index]] = of_text
            if advance is not None:
                advance()
    except TextError as error:
        if error.what != "Text":
            raise  # a prefix or a choice, which belongs to no line
        file, number = block.origin(filled[error.number - 1])
        raise DataError(f"{file}, line {number} {error.problem}") from None
    config = job.decoding.get("config") or model.generation
    returned = job.decoding.get("num_return_sequences", config.num_return_sequences)
    written = [
        _line(job, source, outputs.get(number), returned, block, number)
        for number, source in enumerate(lines)
    ]
    best = [of_text[0] for of_text in outputs.values()]
    counts = Counts(
        lines=len(lines),
        cut=sum(output.source_cut for output in best),
        chunked=sum(output.chunks > 1 for output in best),
        replaced=sum(source.replaced for source in lines),
    )
    return Written("".join(f"{line}\n" for line in written).encode(), counts)


def _outputs(
    model: "Seq2Seq", job: Job, texts: Sequence[str]
) -> "Iterator[tuple[int, list[Generated]]]":
    return model.generate_each(texts, **job.decoding)


def _line(
    job: Job,
    source: Source,
    outputs: "Sequence[Generated] | None",
    returned: int,
    block: Block,
    number: int,
) -> str:
    if job.output_format == "text":
        # All line ends of Unicode, since a reader may split at any of them.
        return "" if outputs is None else " ".join(outputs[0].text.splitlines())
    if job.input_format == "jsonl" and source.values is None:
        return ""  # an empty line between objects stays empty
    values = {"source": source.text} if source.values is None else source.values
    added = _fields(job, source.text, outputs or [], returned)
    taken = [name for name in added if name in values]
    if taken:
        file, at = block.origin(number)
        raise DataError(
            f"{file}, line {at} has a field '{taken[0]}' already, which the output would replace; "
            "give the output another name: --output-column NAME."
        )
    return _json({**values, **added})


def _fields(
    job: Job, text: str, outputs: "Sequence[Generated]", returned: int
) -> dict[str, object]:
    """The fields added to an object: lists for several outputs."""
    columns: dict[str, list[object]] = {
        job.output_column: [output.text for output in outputs] or [""] * returned,
        "at_limit": [output.at_limit for output in outputs] or [False] * returned,
    }
    if job.option("scores"):
        columns["score"] = [_finite(output.score) for output in outputs] or [None] * returned
    if job.option("alignments") is not None:
        columns["alignment"] = [
            [] if output.alignment is None else output.alignment.words(text) for output in outputs
        ] or [[]] * returned
    added: dict[str, object] = {
        _name(job, name): values[0] if returned == 1 else values for name, values in columns.items()
    }
    if any(output.source_cut for output in outputs):
        added[_name(job, "source_cut")] = True
    if any(output.chunks > 1 for output in outputs):
        added[_name(job, "chunks")] = outputs[0].chunks
    return added


def _name(job: Job, name: str) -> str:
    """Fields get the name of the output as a prefix, so that those of two models do not collide."""
    plain = job.output_column in ("output", name)
    return name if plain else f"{job.output_column}_{name}"


def _finite(score: float) -> float | None:
    """JSON has no infinity, the score of a missing output."""
    return score if abs(score) != float("inf") else None


def _json(values: Mapping[str, object]) -> str:
    line = json.dumps(values, ensure_ascii=False)
    try:
        line.encode()
    except UnicodeEncodeError:  # a lone surrogate, from an escape in the input
        return json.dumps(values)
    return line
