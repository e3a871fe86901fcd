"""A block of lines to the lines of its outputs: what each process does."""

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
    """What became of lines.

    Attributes:
        lines: of the input, and so of the output.
        cut: sources that lost their end.
        chunked: sources that were decoded in pieces.
        replaced: lines in which something was no text.
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
    """A block's outputs, a line for each line of the block, and what became of them."""

    data: bytes
    counts: Counts


def check_job(model: "Seq2Seq", job: Job) -> None:
    """Finds settings that are not as they should be before there is anything to decode.

    Raises:
        UsageError: naming the rule.
    """
    for _ in _outputs(model, job, []):
        pass


def decode_block(
    model: "Seq2Seq", job: Job, block: Block, advance: Callable[[], object] | None = None
) -> Written:
    """Decodes a block.

    Args:
        model: the job's.
        job: what to write.
        block: some lines.
        advance: called for each text that is done.

    Raises:
        DataError: a line is not as it should be; the error names file and line.
        UsageError: a setting is not as it should be.
    """
    lines = sources(block, job)
    filled = [number for number, source in enumerate(lines) if source.text]
    outputs: dict[int, list[Generated]] = {}
    try:
        for place, found in _outputs(model, job, [lines[number].text for number in filled]):
            outputs[filled[place]] = found
            if advance is not None:
                advance()
    except TextError as error:
        if not str(error).startswith("Text "):
            raise  # a prefix or a choice, which is of no line
        file, number = block.place(filled[error.place - 1])
        raise DataError(f"{file}, line {number} {error.problem}") from None
    config = job.decoding.get("config") or model.generation
    several = job.decoding.get("num_return_sequences", config.num_return_sequences)
    written = [
        _line(job, source, outputs.get(number), several, block, number)
        for number, source in enumerate(lines)
    ]
    best = [found[0] for found in outputs.values()]
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
    found: "Sequence[Generated] | None",
    several: int,
    block: Block,
    number: int,
) -> str:
    if job.output_format == "text":
        # Whatever Unicode ends a line with: a reader may, too.
        return "" if found is None else " ".join(found[0].text.splitlines())
    if job.input_format == "jsonl" and source.values is None:
        return ""  # an empty line between objects stays one
    values = {"source": source.text} if source.values is None else source.values
    added = _fields(job, source.text, found or [], several)
    taken = [name for name in added if name in values]
    if taken:
        file, at = block.place(number)
        raise DataError(
            f"{file}, line {at} has a field '{taken[0]}' already, which the output would replace; "
            "give the output another name: --output-column NAME."
        )
    return _json({**values, **added})


def _fields(job: Job, text: str, found: "Sequence[Generated]", several: int) -> dict[str, object]:
    """The fields that are added to an object: lists where several outputs are asked for."""
    columns: dict[str, list[object]] = {
        job.output_column: [output.text for output in found] or [""] * several,
        "at_limit": [output.at_limit for output in found] or [False] * several,
    }
    if job.option("scores"):
        columns["score"] = [_finite(output.score) for output in found] or [None] * several
    if job.option("alignments") is not None:
        columns["alignment"] = [
            [] if output.alignment is None else output.alignment.words(text) for output in found
        ] or [[]] * several
    added: dict[str, object] = {
        _name(job, name): values[0] if several == 1 else values for name, values in columns.items()
    }
    if any(output.source_cut for output in found):
        added[_name(job, "source_cut")] = True
    if any(output.chunks > 1 for output in found):
        added[_name(job, "chunks")] = found[0].chunks
    return added


def _name(job: Job, name: str) -> str:
    """Fields beside an output of another name bear it, too, so that two models' do not meet."""
    plain = job.output_column in ("output", name)
    return name if plain else f"{job.output_column}_{name}"


def _finite(score: float) -> float | None:
    """JSON has no infinity, which is the score of an output that there is not."""
    return score if abs(score) != float("inf") else None


def _json(values: Mapping[str, object]) -> str:
    line = json.dumps(values, ensure_ascii=False)
    try:
        line.encode()
    except UnicodeEncodeError:  # half a character, which the input had as an escape
        return json.dumps(values)
    return line
