"""Passes that do not fit into memory are made in pieces; the update stays the same."""

import gc
import json
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from warmstart.errors import TrainingError
from warmstart.training.batches import Batch
from warmstart.training.processes import Processes, all_reduce_max, average_gradients
from warmstart.training.train_config import TrainConfig
from warmstart.writing import atomic_file

__all__ = ["OutOfMemory", "Passes", "is_out_of_memory", "out_of_memory_as_error"]

logger = logging.getLogger(__name__)

RECORD: Final = "out_of_memory.json"
# Messages of allocators' errors, which have no type of their own.
_MESSAGES: Final = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)

Make = Callable[[Batch, Tensor], Tensor]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is about memory, of a GPU or of the host."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(each in str(error) for each in _MESSAGES)


class OutOfMemory(TrainingError):
    """Not even a single example fits into memory."""


class Record:
    """The number of pieces that passes are made in, by step; a file in the run's folder.

    It is not part of a checkpoint: a run that ended because memory ran out has to know when it is
    resumed.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / RECORD
        self.entries: list[dict[str, int]] = []
        if self.path.is_file():
            self.entries = json.loads(self.path.read_text(encoding="utf-8"))

    def pieces(self, step: int) -> int:
        """The number of pieces of a pass at a step, counted from 0."""
        return max([1, *(entry["pieces"] for entry in self.entries if entry["step"] <= step)])

    def log(self) -> None:
        """Logs the number of pieces from before this run."""
        if self.entries:
            last = self.entries[-1]
            logger.info(
                "passes are split into %d pieces from step %d on, where memory ran out; remove %s "
                "to try whole passes again",
                last["pieces"],
                last["step"] + 1,
                self.path,
            )

    def add(self, step: int, pieces: int) -> None:
        """Records that passes are split into `pieces` from `step` on."""
        self.entries.append({"step": step, "pieces": pieces})
        with atomic_file(self.path) as partial:
            partial.write_text(json.dumps(self.entries) + "\n", encoding="utf-8")


class Passes:
    """Makes the passes of a step, and starts the step again in smaller pieces if memory runs out.

    A pass that fails may have added to some of the gradients and not to others, so the gradients of
    the whole step are dropped and all of its passes made again: a copy of the gradients before each
    pass would take the memory that is short. The random state of the step's beginning is restored,
    so that a resumed run, which starts the step with the smaller pieces, draws the same dropout.

    Every process makes its own passes, with nothing sent in between. At the end of the step all
    agree on the number of pieces; a process that had fewer makes its passes again. Then the
    gradients are averaged.

    Args:
        model: collects the gradients.
        make: makes one pass or piece, forward and backward, and returns its loss.
        read: makes the batch of some examples from their indices.
        config: of the run.
        processes: index and number of processes.
        sharded: whether the model is spread over the processes. A pass then takes all of them
            together, and one that fails ends the run, which makes smaller pieces when resumed.
    """

    def __init__(
        self,
        model: nn.Module,
        make: Make,
        read: Callable[[Sequence[int]], Batch],
        config: TrainConfig,
        processes: Processes,
        *,
        sharded: bool,
    ) -> None:
        self.model = model
        self.make = make
        self.read = read
        self.config = config
        self.processes = processes
        self.sharded = sharded
        self.record = Record(config.output_dir)
        if processes.is_first:
            self.record.log()
        self.step = 0
        self.pieces = 1
        self.current: Sequence[int] = ()  # indices of the examples of the pass or piece
        self.made: list[tuple[list[int], Batch, Tensor]] = []

    def begin(self, step: int) -> None:
        """Called before the first pass of a step, counted from 0."""
        self.step = step
        self.pieces = max(self.pieces, self.record.pieces(step))
        self.made = []
        self.random = _random_state()

    def add(self, indices: list[int], inputs: Batch, label_count: Tensor) -> Tensor:
        """Makes the next pass.

        Args:
            indices: of its examples.
            inputs: the batch.
            label_count: of the whole step.

        Returns:
            Its loss. Shape: []

        Raises:
            OutOfMemory: if not even a single example fits.
        """
        self.made.append((indices, inputs, label_count))
        return self._until_it_fits(lambda: self._make(*self.made[-1]))

    def finish(self) -> None:
        """Averages the gradients of the step over all processes, once all have made their passes.

        Raises:
            OutOfMemory: if another process has run out of memory for good.
        """
        if self.processes.count > 1 and not self.sharded:
            while True:
                most, fewest, lost = self._agree()
                if lost:
                    raise OutOfMemory("Another process has run out of memory; see its output.")
                if most == -fewest:
                    break
                if self.pieces < most:
                    self.pieces = most
                    self._until_it_fits(self._all_again)
            average_gradients([p for p in self.model.parameters() if p.requires_grad])
        if self.pieces > self.record.pieces(self.step) and self.processes.is_first:
            self.record.add(self.step, self.pieces)
        self.made = []

    def _agree(self, *, lost: bool = False) -> list[int]:
        return all_reduce_max([self.pieces, -self.pieces, lost], self.processes.device)

    def _until_it_fits(self, attempt: Callable[[], Tensor]) -> Tensor:
        while True:
            try:
                return attempt()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # Not above: until the error is gone, it keeps all that the pass had in memory.
            self._halve()
            attempt = self._all_again

    def _halve(self) -> None:
        self.model.zero_grad()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if len(self.current) == 1:
            if self.processes.count > 1 and not self.sharded:
                self._agree(lost=True)
            raise OutOfMemory(self._sentence(self.current[0]))
        size, accumulation = self._micro_batch(), self.config.accumulation_steps * self.pieces
        self.pieces *= 2
        logger.warning(
            "Out of memory at step %d, in a pass over %d examples: the micro-batch is halved from "
            "%d to %d %s, and accumulation doubled from %d to %d passes a step. The update stays "
            "the same.",
            self.step + 1,
            len(self.current),
            size,
            self._micro_batch(),
            "examples" if self.config.batch_tokens is None else "tokens",
            accumulation,
            2 * accumulation,
        )
        if self.sharded:
            self.record.add(self.step, self.pieces)
            raise OutOfMemory(
                "A process of a sharded run cannot restart a pass on its own; resume the run "
                "(--resume), which then makes the smaller passes."
            )

    def _micro_batch(self) -> int:
        return -(-(self.config.batch_tokens or self.config.batch_size) // self.pieces)

    def _sentence(self, index: int) -> str:
        source, target = self._tokens(index)
        return (
            f"Out of memory at step {self.step + 1} with a micro-batch of one example: the "
            f"training example {index} (counted from 0), of {source} source and {target} target "
            "tokens. Lower task.max_source_length or task.max_target_length, or use optimizer "
            "'adafactor' or a smaller model."
        )

    def _tokens(self, index: int) -> tuple[int, int]:
        inputs = self.read([index])
        return inputs["source_lengths"][0], inputs["target_lengths"][0]

    def _all_again(self) -> Tensor:
        """All passes so far of this step. Returns the loss of the last. Shape: []"""
        self.model.zero_grad()
        _set_random_state(self.random)
        losses = [self._make(*made) for made in self.made]
        return losses[-1]

    def _make(self, indices: list[int], inputs: Batch, label_count: Tensor) -> Tensor:
        if self.pieces == 1:
            self.current = indices
            return self.make(inputs, label_count)
        losses = []
        for piece in self._split(indices):
            self.current = piece
            losses.append(self.make(self.read(piece), label_count))
        if self.sharded:  # all processes make the same number of pieces; these add nothing
            for _ in range(self.pieces - len(losses)):
                losses.append(self.make(self.read(self.current), torch.tensor(math.inf)))
        return torch.stack(losses).sum()

    def _split(self, indices: Sequence[int]) -> Iterator[list[int]]:
        """Pieces that all have long and short examples."""
        ordered = sorted(indices, key=lambda index: (sum(self._tokens(index)), index))
        for piece in range(min(self.pieces, len(ordered))):
            yield ordered[piece :: self.pieces]


def _random_state() -> tuple[Tensor, Tensor | None]:
    on_gpu = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    return torch.get_rng_state(), on_gpu


def _set_random_state(state: tuple[Tensor, Tensor | None]) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1])


@contextmanager
def out_of_memory_as_error() -> Iterator[None]:
    """Turns an allocator's error outside of a training pass into a sentence.

    Raises:
        OutOfMemory: if memory runs out.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        reason = str(error).partition("\n")[0]
        raise OutOfMemory(
            f"Out of memory outside of a training pass ({reason}). Use optimizer 'adafactor' or a "
            "smaller model, or lower task.max_target_length; then resume."
        ) from None
