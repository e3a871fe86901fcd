"""Workers as actors of a Ray cluster, on any number of machines.

Plain actors rather than a Ray Data pipeline: outputs are in the order of the input, a resumed run
has the batches of an uninterrupted one, and every line gets a line. Ray Data splits its input into
blocks of its own choice, and reads files, not streams; here one process reads and writes, and the
cluster decodes. Reading takes microseconds a line, decoding milliseconds.
"""

import logging
import os
import time
from dataclasses import dataclass
from typing import Any, Final

from warmstart.bulk.blocks import Block
from warmstart.bulk.decode import Written
from warmstart.bulk.in_order import Failed, Finished, Lost
from warmstart.bulk.job import Job
from warmstart.bulk.worker import Worker
from warmstart.errors import UsageError, WarmstartError

__all__ = ["RayWorkers"]

logger = logging.getLogger(__name__)

_STARTS: Final = 3  # that may fail in a row, before any succeeds
_PATIENCE: Final = 60.0  # seconds without an event, before a warning


@dataclass(slots=True)
class _Actor:
    handle: Any
    number: int
    answer: Any  # reference of its pending result: loading first; None: idle
    block: Block | None = None
    ready: bool = False


class RayWorkers:
    """Actors that decode blocks, spread over the machines of a cluster. A lost one is replaced.

    Args:
        job: the settings. The model's folder must exist on every machine.
        address: "local" for a cluster of this machine only, or an address for `ray.init`.
        count: number of actors; None: one for each GPU, or for each machine without GPUs.

    Raises:
        UsageError: if Ray is not installed, or there is no such cluster.
    """

    def __init__(self, job: Job, address: str, count: int | None) -> None:
        try:
            import ray
        except ImportError:
            raise UsageError(
                "ray is given, but Ray is not installed; install it: pip install 'warmstart[ray]'."
            ) from None
        self.ray = ray
        self.job = job
        self.ours = not ray.is_initialized()
        if self.ours:
            _connect(ray, address)
        nodes = [
            node["Resources"]
            for node in ray.nodes()  # type: ignore[no-untyped-call]
            if node["Alive"]
        ]
        gpus = sum(int(node.get("GPU", 0)) for node in nodes)
        self.count = count or gpus or len(nodes)
        processors = [int(node.get("CPU", 0)) for node in nodes if node.get("CPU")]
        each = min(processors) if self.count <= len(nodes) else sum(processors) // self.count
        self.threads = max(1, each)
        self.gpus = 1 if gpus else 0
        logger.info(
            "starting %d actors on %d machines with %d threads each, which load the model",
            self.count,
            len(nodes),
            self.threads,
        )
        self.began = time.monotonic()
        self.failed_starts = 0
        self.announced = False
        self.actors = [self._start(number) for number in range(self.count)]

    def free(self) -> bool:
        """See `Workers`."""
        return any(actor.answer is None for actor in self.actors)

    def send(self, block: Block) -> None:
        """See `Workers`."""
        actor = next(actor for actor in self.actors if actor.answer is None)
        actor.block = block
        actor.answer = actor.handle.decode.remote(block)

    def wait(self) -> Finished | Failed | Lost | None:
        """See `Workers`."""
        by_answer = {actor.answer: actor for actor in self.actors if actor.answer is not None}
        answers, _ = self.ray.wait(list(by_answer), num_returns=1, timeout=_PATIENCE)
        if not answers:
            if not any(actor.ready for actor in self.actors):
                logger.warning("waiting for the cluster to start an actor; see `ray status`")
            return None
        actor = by_answer[answers[0]]
        try:
            answer = self.ray.get(answers[0])
        except self.ray.exceptions.RayTaskError:
            raise  # a bug, with its traceback
        except self.ray.exceptions.RayError as error:
            return self._replace(actor, type(error).__name__)
        block, actor.block, actor.answer = actor.block, None, None
        if isinstance(answer, WarmstartError):
            if block is None:
                raise answer
            return Failed(block, answer)
        if not isinstance(answer, Written):
            self._ready(actor)
            return None
        assert block is not None
        return Finished(block, answer)

    def close(self) -> None:
        """Ends the actors, and disconnects from the cluster if connected here."""
        for actor in self.actors:
            self.ray.kill(actor.handle)
        if self.ours:
            self.ray.shutdown()

    def _start(self, number: int) -> _Actor:
        remote: Any = self.ray.remote(
            num_cpus=self.threads,
            num_gpus=self.gpus,
            scheduling_strategy="SPREAD",
            max_restarts=0,  # replaced by `_replace`, once another has loaded the model
        )(Worker)
        # Ray shows an actor only its own GPU, as the first.
        handle = remote.remote(self.job, 0, self.threads)
        return _Actor(handle, number, handle.load.remote())

    def _ready(self, actor: _Actor) -> None:
        actor.ready = True
        self.failed_starts = 0
        if not self.announced and all(actor.ready for actor in self.actors):
            self.announced = True
            logger.info(
                "%d actors are ready after %.1f s", self.count, time.monotonic() - self.began
            )

    def _replace(self, actor: _Actor, reason: str) -> Lost | None:
        if not actor.ready:
            self.failed_starts += 1
            if self.failed_starts == _STARTS:
                raise WarmstartError(
                    f"{_STARTS} actors ended while they loaded the model ({reason}), perhaps out "
                    "of memory; see the logs of Ray."
                )
        self.actors[self.actors.index(actor)] = self._start(actor.number)
        return None if actor.block is None else Lost(actor.block, reason)


def _connect(ray: Any, address: str) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # The visibility of GPUs is set by `num_gpus` alone.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        if address == "local":
            ray.init(
                address="local", include_dashboard=False, log_to_driver=False, logging_level="error"
            )
        else:
            ray.init(address=address, log_to_driver=False, logging_level="error")
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"There is no Ray cluster at {address} ({str(error).splitlines()[0]}); start one with "
            "`ray start --head`, or give local."
        ) from None
