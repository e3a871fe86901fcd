"""Steps of decoding on a GPU, recorded once as a CUDA graph and then replayed by one call.

Without, the processor starts some hundred kernels a step one after the other, and a small step is
over on the GPU before the next one is started.

A graph reads and writes the memory that it was recorded with. So it is of one cache, and is
recorded anew where that grows or loses rows.

Shape legend: R rows decoded side by side, N new tokens a row, V vocabulary.
"""

import logging
import threading
from collections.abc import Callable
from typing import TypeAlias
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from warmstart.inference.traced_step import TracedStep, arguments
from warmstart.model.cache import Cache
from warmstart.model.encoder_decoder import EncoderDecoder

__all__ = ["Record", "RecordedSteps", "cuda_graph"]

# Makes of what launches kernels what launches them again, with what the memory holds by then. What
# comes back is the same tensor each time.
Record: TypeAlias = Callable[[Callable[[], Tensor]], Callable[[], Tensor]]

_recording = threading.Lock()  # torch records on one stream at a time

logger = logging.getLogger(__name__)


def cuda_graph(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Records a CUDA graph.

    Args:
        run: launches kernels and waits for none; running it twice has to be no other than once.
    """
    # Once beforehand on a stream of its own, for what libraries set up when they are first called.
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # Other threads, such as a server's, may use the GPU meanwhile.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        output = run()

    def replay() -> Tensor:
        graph.replay()
        return output

    return replay


class RecordedSteps:
    """The recorded steps of one model."""

    def __init__(self, model: EncoderDecoder, record: Record = cuda_graph) -> None:
        """None are there yet.

        Args:
            model: in evaluation mode; its weights have to stay where they are.
            record: see `Record`.
        """
        self._step, self._record = TracedStep(model), record
        self._by_cache: WeakKeyDictionary[Cache, dict[tuple[int, ...], _Recording | None]]
        self._by_cache = WeakKeyDictionary()
        self._works = True
        self._lock = threading.Lock()  # of the recordings; each is used by its cache's thread alone

    def step(self, tokens_RN: Tensor, cache: Cache) -> Tensor | None:
        """What `EncoderDecoder.step` gives, until the next call; None: not recorded.

        A step of new sizes is recorded when it comes for the second time, so that sizes which come
        once, as those of a prefix and of most drafts, cost nothing.

        Shape: [R, N] -> [R, N, V]
        """
        if not self._works:
            return None
        with self._lock:
            recordings = self._by_cache.setdefault(cache, {})
        sizes = tuple(tokens_RN.shape)
        if sizes not in recordings:
            recordings[sizes] = None
            return None
        recording = recordings[sizes]
        if recording is None or not recording.fits(cache):
            recordings[sizes] = None  # before the new one is made, so that there are never two
            try:
                with _recording:
                    recording = _Recording(self._step, tokens_RN, cache, self._record)
            except RuntimeError as error:
                self._works = False
                why = str(error).splitlines()[0].rstrip(".")
                logger.warning("Decoding goes on without a CUDA graph: %s.", why)
                return None
            recordings[sizes] = recording
        logits = recording.replay(tokens_RN, cache)
        cache.advance(tokens_RN.shape[1])
        return logits


class _Recording:
    """A step of one cache, and the memory that it reads and writes."""

    def __init__(self, step: TracedStep, tokens_RN: Tensor, cache: Cache, record: Record) -> None:
        tokens_RN, positions_RN, keys, values, *source = arguments(tokens_RN, cache)
        self._tokens_RN, self._positions_RN = tokens_RN.clone(), positions_RN
        self._memory = _memory(cache, tokens_RN.shape[1])
        # Lists of their own, for the cache puts others into its lists.
        given = (self._tokens_RN, positions_RN, list(keys), list(values), *source)
        self._replay = record(lambda: step(*given))

    def fits(self, cache: Cache) -> bool:
        """Whether the cache still lies where it did."""
        now = _memory(cache, self._tokens_RN.shape[1])
        return len(now) == len(self._memory) and all(map(_same, now, self._memory))

    def replay(self, tokens_RN: Tensor, cache: Cache) -> Tensor:
        """Shape: [R, N] -> [R, N, V]"""
        self._tokens_RN.copy_(tokens_RN)
        self._positions_RN.copy_(cache.positions(tokens_RN.shape[1]))
        return self._replay()


def _memory(cache: Cache, tokens: int) -> list[Tensor | None]:
    """All that a step reads or writes of a cache, but for what is copied."""
    keys, values = cache.storage(tokens)
    cross = [tensor for pair in cache.cross for tensor in pair]
    return [*keys, *values, *cross, cache.source_mask_B1S]


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    return one is other
