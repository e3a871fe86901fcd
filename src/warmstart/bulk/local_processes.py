"""Workers as processes of this machine, each with its share of the processors."""

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Final

from warmstart.bulk.blocks import Block
from warmstart.bulk.decode import Written
from warmstart.bulk.in_order import Failed, Finished, Lost
from warmstart.bulk.job import Job
from warmstart.bulk.worker import Worker
from warmstart.errors import WarmstartError

__all__ = ["ProcessWorkers"]

logger = logging.getLogger(__name__)

_STARTS: Final = 3  # that may fail in a row, before any succeeds
_GRACE: Final = 5.0  # seconds to end in, after SIGTERM


@dataclass(slots=True)
class _Child:
    process: BaseProcess
    pipe: Connection
    number: int
    ready: bool = False
    block: Block | None = None


class ProcessWorkers:
    """Processes that decode blocks. A killed one is replaced.

    Args:
        job: the settings.
        count: number of processes.
    """

    def __init__(self, job: Job, count: int) -> None:
        self.job = job
        self.count = count
        threads = os.environ.get("OMP_NUM_THREADS", "")
        own = processors() // count
        self.threads = max(1, int(threads) if threads.isdecimal() else own)
        if count > processors():
            logger.warning(
                "%d processes share %d processors; more processes than processors are slower",
                count,
                processors(),
            )
        logger.info(
            "starting %d processes with %d thread%s each, which load the model",
            count,
            self.threads,
            "" if self.threads == 1 else "s",
        )
        self.began = time.monotonic()
        self.failed_starts = 0
        self.announced = False
        self.children: list[_Child] = []
        try:
            for number in range(count):
                self.children.append(self._start(number))
        except BaseException:
            self.close()
            raise

    def free(self) -> bool:
        """See `Workers`."""
        return any(child.ready and child.block is None for child in self.children)

    def send(self, block: Block) -> None:
        """See `Workers`."""
        child = next(child for child in self.children if child.ready and child.block is None)
        child.block = block
        with suppress(OSError):  # it is gone, which `wait` detects
            child.pipe.send(block)

    def wait(self) -> Finished | Failed | Lost | None:
        """See `Workers`."""
        by_pipe = {child.pipe: child for child in self.children}
        for pipe in wait(list(by_pipe)):
            assert isinstance(pipe, Connection)
            child = by_pipe[pipe]
            try:
                answer = pipe.recv()
            except (EOFError, OSError):
                return self._replace(child)
            block, child.block = child.block, None
            if isinstance(answer, WarmstartError):
                if block is None:
                    raise answer
                return Failed(block, answer)
            if not isinstance(answer, Written):
                self._ready(child)
                return None
            assert block is not None
            return Finished(block, answer)
        return None

    def close(self) -> None:
        """Ends the processes."""
        for child in self.children:
            child.pipe.close()  # an idle one ends by itself
            child.process.terminate()
        until = time.monotonic() + _GRACE
        for child in self.children:
            child.process.join(max(0.0, until - time.monotonic()))
            if child.process.is_alive():
                child.process.kill()
                child.process.join()

    def _start(self, number: int) -> _Child:
        context = multiprocessing.get_context("spawn")  # torch's threads do not outlive a fork
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_run, args=(theirs, self.job, number, self.threads), daemon=True
        )
        with _interrupts_ignored(), _safe_path():
            process.start()
        theirs.close()  # so that the pipe closes with the child
        return _Child(process, ours, number)

    def _ready(self, child: _Child) -> None:
        child.ready = True
        self.failed_starts = 0
        if not self.announced and all(child.ready for child in self.children):
            self.announced = True
            logger.info(
                "%d processes are ready after %.1f s", self.count, time.monotonic() - self.began
            )

    def _replace(self, child: _Child) -> Lost | None:
        child.process.join()
        reason = _how_it_ended(child.process.exitcode)
        if not child.ready:
            self.failed_starts += 1
            if self.failed_starts == _STARTS:
                raise WarmstartError(
                    f"{_STARTS} processes ended while they loaded the model ({reason}), perhaps "
                    "out of memory; lower the number of processes."
                )
        self.children[self.children.index(child)] = self._start(child.number)
        return None if child.block is None else Lost(child.block, reason)


def processors() -> int:
    """Number of processors available to this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _how_it_ended(code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Children inherit that SIGINT is ignored: a terminal sends Ctrl-C to all, and we end them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _safe_path() -> Iterator[None]:
    """Keeps the modules of the working folder out of the processes that are started."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


def _run(pipe: Connection, job: Job, number: int, threads: int) -> None:
    """Runs a child until its pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not number:  # warnings about the model are logged once
        logging.basicConfig(format="%(message)s", level=logging.WARNING)
    else:
        logging.disable(logging.WARNING)
    worker = Worker(job, number, threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        pipe.send(worker.load())
        while True:
            pipe.send(worker.decode(pipe.recv()))
    except (EOFError, OSError):
        return  # the parent is gone, or has no more blocks


def _end_with_parent() -> None:
    """Ends this process with its parent: the rest of a block of a killed run is of no use."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
