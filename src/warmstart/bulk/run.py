"""Outputs for all of an input: the entry point of the package."""

import logging
import os
import stat
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import TypeAlias

from warmstart.bulk.blocks import Block, read_blocks
from warmstart.bulk.decode import Counts, Written, check_job, decode_block
from warmstart.bulk.file_output import MODEL_FILES, FileOutput, Output, Progress, StreamOutput
from warmstart.bulk.in_order import in_order
from warmstart.bulk.job import Job
from warmstart.bulk.local_processes import ProcessWorkers
from warmstart.bulk.sources import choose_column
from warmstart.data.compressed import open_bytes, read_problems
from warmstart.errors import DataError, OutputError, UsageError
from warmstart.special_files import special_file

__all__ = ["generate_files"]

logger = logging.getLogger(__name__)

OnText: TypeAlias = Callable[[], object]
OnBlock: TypeAlias = Callable[[Block, Counts], object]


def generate_files(
    job: Job,
    files: Sequence[Path] = (),
    *,
    output: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    processes: int = 1,
    ray: str | None = None,
    on_text: OnText | None = None,
    on_block: OnBlock | None = None,
) -> Counts:
    """Writes a line of output for each line of input, in order, in constant memory.

    Args:
        job: the settings.
        files: the input, one file after the other; none: standard input.
        output: a file, compressed if its name ends in .gz or .zst; None: standard output.
        resume: continue an interrupted run that wrote to `output`; a run that has not begun begins,
            and a finished one is left alone, if it has a line for each line.
        overwrite: replace an existing `output`.
        processes: number of processes on this machine; with `ray`, of actors in the cluster, where
            1 means one for each machine or GPU.
        ray: "local", or the address of a Ray cluster whose machines decode.
        on_text: called after each text, where one process decodes.
        on_block: called after each written block.

    Returns:
        Counts of the lines, those of earlier runs included.

    Raises:
        DataError: if the input is invalid.
        OutputError: if the output cannot be written.
        UsageError: if settings contradict each other, or those of the interrupted run.
    """
    _check(files, output, resume=resume, overwrite=overwrite, processes=processes)
    _check_apart(job.model, files, output)
    column = job.source_column
    # A file can be resumed, and so needs the same blocks each time.
    blocks = read_blocks(files, job.option("batch_size"), pauses=output is None)
    if job.input_format == "jsonl" and column is None:
        column, blocks = choose_column(blocks, job.errors)
    job = replace(job, source_column=column)
    target = _open_output(job, output, resume=resume, overwrite=overwrite)
    if isinstance(target, FileOutput) and target.finished:
        lines = _check_finished(target.path, blocks)
        logger.info(
            "%s is finished: it has a line for each of the input's %d. Nothing to do.",
            output,
            lines,
        )
        return Counts()
    counts, done = target.start.counts, False
    if target.start.lines:
        logger.info("continuing after %d lines", target.start.lines)
    try:
        blocks = _rest(blocks, target.start)
        with closing(_decoded(job, blocks, processes, ray, on_text)) as decoded:
            for block, written in decoded:
                target.write(block, written)
                counts += written.counts
                if on_block is not None:
                    on_block(block, counts)
        done = True
    finally:
        target.close(done=done)
    return counts


def _check(
    files: Sequence[Path], output: Path | None, *, resume: bool, overwrite: bool, processes: int
) -> None:
    for file in files:  # nothing is read: it may be a pipe
        if file.is_dir():
            raise DataError(f"{file} is a folder; give the files in it.")
        if not file.exists():
            raise DataError(f"There is no file {file}; check the path to the texts.")
        kind = special_file(file)
        if kind in ("a device", "a socket"):
            raise DataError(f"{file} is {kind}, not a file; give a file of texts, or a pipe.")
    if processes < 1:
        raise UsageError(f"processes is {processes}; it must be 1 or more.")
    if resume and overwrite:
        raise UsageError(
            "resume and overwrite are both given; the first continues a file, and the second "
            "replaces it. Leave one out."
        )
    if output is None:
        for name, given in (("resume", resume), ("overwrite", overwrite)):
            if given:
                raise UsageError(f"{name} needs a file to write to; give one (-o FILE).")
        return
    if output.is_dir():
        raise UsageError(f"{output} is a folder; give the name of a file in it.")
    if not output.absolute().parent.is_dir():
        raise UsageError(f"{output} cannot be written: there is no folder {output.parent}.")
    if resume and output.exists() and not output.is_file():
        raise UsageError(
            f"{output} is not a regular file, so it cannot be resumed; leave resume out."
        )


def _check_apart(model: str, files: Sequence[Path], output: Path | None) -> None:
    """Rejects an output that is the input or in the model's folder."""
    folder = Path(model).resolve()
    if output is not None and folder.is_dir() and output.resolve().is_relative_to(folder):
        # A resumed run detects another model by the files of this folder.
        raise UsageError(f"{output} is in the model's folder; put the output elsewhere.")
    inputs = [file.stat() for file in files]
    written: os.stat_result | None = None
    with suppress(OSError, ValueError, AttributeError):  # closed, or without a file descriptor
        if not files:
            inputs.append(os.fstat(sys.stdin.fileno()))
    with suppress(OSError, ValueError, AttributeError):
        written = os.fstat(sys.stdout.fileno()) if output is None else output.stat()
    if written is None or not stat.S_ISREG(written.st_mode):
        return
    name = "standard output" if output is None else str(output)
    if any(os.path.samestat(written, file) for file in inputs):
        raise UsageError(f"{name} is both input and output; give the output another name.")


def _check_finished(path: Path, blocks: Iterator[Block]) -> int:
    """Number of lines of a finished output.

    Raises:
        OutputError: if it is not that of the input.
    """
    with read_problems(path), open_bytes(path) as file:
        found = sum(1 for _ in file)
    lines = sum(len(block.lines) for block in blocks)
    if found != lines:
        raise OutputError(
            f"{path} has {found} lines and the input {lines}, and there is no progress file to "
            "resume from; --overwrite starts over."
        )
    return lines


def _open_output(job: Job, output: Path | None, *, resume: bool, overwrite: bool) -> Output:
    if output is None:
        if sys.stdout is None:
            raise OutputError("standard output is closed; give a file (-o FILE).")
        return StreamOutput(sys.stdout.buffer, "standard output")
    if output.exists() and not output.is_file():  # a pipe, or a device
        return StreamOutput(output.open("wb", buffering=0), str(output))
    settings = {**job.settings(), MODEL_FILES: _digest_of_model(job.model)}
    return FileOutput(output, settings, resume=resume, overwrite=overwrite)


def _digest_of_model(model: str) -> str:
    """Hash of all files of a model folder, to detect changes."""
    folder = Path(model)
    if not folder.is_dir():
        from warmstart.checkpoint.files import find_folder

        folder = find_folder(model)
    digest = blake2b(digest_size=16)
    for file in sorted(folder.rglob("*")):
        if file.suffix in (".safetensors", ".json", ".txt", ".model") and file.is_file():
            digest.update(f"{file.relative_to(folder)} {file.stat().st_size}\n".encode())
            with file.open("rb") as opened:
                while part := opened.read(2**20):
                    digest.update(part)
    return digest.hexdigest()


def _rest(blocks: Iterator[Block], start: Progress) -> Iterator[Block]:
    """The blocks after the written ones.

    Raises:
        DataError: if the input up to there has changed.
    """
    if not start.lines:
        return blocks
    for block in blocks:
        if block.end >= start.lines:
            if block.end == start.lines and block.digest == start.digest:
                return blocks
            break
    raise DataError(
        f"The input has changed: its first {start.lines} lines, whose outputs are written, are "
        "different; give the same input to continue, or --overwrite to start over."
    )


def _decoded(
    job: Job,
    blocks: Iterator[Block],
    processes: int,
    ray: str | None,
    on_text: OnText | None,
) -> Generator[tuple[Block, Written], None, None]:
    if ray is not None:
        from warmstart.bulk.over_ray import RayWorkers

        with closing(RayWorkers(job, ray, processes if processes > 1 else None)) as machines:
            yield from in_order(blocks, machines)
    elif processes > 1:
        with closing(ProcessWorkers(job, processes)) as workers:
            yield from in_order(blocks, workers)
    else:
        from warmstart.seq2seq import Seq2Seq

        model = Seq2Seq.from_pretrained(
            job.model, device=job.device, dtype=job.dtype, compile=job.compile
        )
        check_job(model, job)
        for block in blocks:
            yield block, decode_block(model, job, block, on_text)
