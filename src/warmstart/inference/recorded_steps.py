"""Decoding steps on a GPU, recorded once as a CUDA graph and then replayed by one call.

Without a graph, the processor launches some hundred kernels a step, and the GPU finishes a small
one before the next is launched.

A graph reads and writes the memory that it was recorded with. It therefore belongs to one cache,
and is recorded again when that grows or loses rows.

Shape legend: R rows decoded together, N new tokens a row, V vocabulary.
"""

import logging
import threading
from collections.abc import Callable
from typing import TypeAlias
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from warmstart.inference.traced_step import TracedStep, arguments
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.key_value_cache import Cache

__all__ = ["Record", "RecordedSteps", "cuda_graph"]

# From a function that launches kernels, makes one that launches them again with the memory's
# current content. It returns the same tensor each time.
Record: TypeAlias = Callable[[Callable[[], Tensor]], Callable[[], Tensor]]

_recording = threading.Lock()  # torch records on one stream at a time

logger = logging.getLogger(__name__)


def cuda_graph(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Records a CUDA graph.

    Args:
        run: launches kernels without waiting for them; running it twice must equal running it once.
    """
    # Once beforehand on another stream, because libraries initialise themselves in the first call.
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # Other threads, such as a server's, may use the GPU at the same time.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        output = run()

    def replay() -> Tensor:
        graph.replay()
        return output

    return replay


class RecordedSteps:
    """The recorded steps of one model."""

    def __init__(self, model: EncoderDecoder, record: Record = cuda_graph) -> None:
        """Starts without any.

        Args:
            model: in evaluation mode; its weights must not move.
            record: see `Record`.
        """
        self._step, self._record = TracedStep(model), record
        self._by_cache: WeakKeyDictionary[Cache, dict[tuple[int, ...], _Recording | None]]
        self._by_cache = WeakKeyDictionary()
        self._works = True
        self._lock = threading.Lock()  # of the recordings; each is used by its cache's thread alone

    def step(self, tokens_RN: Tensor, cache: Cache) -> Tensor | None:
        """The output of `EncoderDecoder.step`, valid until the next call; None: not recorded.

        A step of new sizes is recorded when it occurs for the second time, so that sizes which
        occur once, as those of a prefix and of most drafts, cost nothing.

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
            recordings[sizes] = None  # before the new one is made, so that memory never holds two
            try:
                with _recording:
                    recording = _Recording(self._step, tokens_RN, cache, self._record)
            except RuntimeError as error:
                self._works = False
                why = str(error).splitlines()[0].rstrip(".")
                logger.warning("Decoding continues without a CUDA graph: %s.", why)
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
        # Copies of the lists, because the cache replaces their elements.
        inputs = (self._tokens_RN, positions_RN, list(keys), list(values), *source)
        self._replay = record(lambda: step(*inputs))

    def fits(self, cache: Cache) -> bool:
        """Whether the cache still uses the same memory."""
        now = _memory(cache, self._tokens_RN.shape[1])
        return len(now) == len(self._memory) and all(map(_same, now, self._memory))

    def replay(self, tokens_RN: Tensor, cache: Cache) -> Tensor:
        """Shape: [R, N] -> [R, N, V]"""
        self._tokens_RN.copy_(tokens_RN)
        self._positions_RN.copy_(cache.positions(tokens_RN.shape[1]))
        return self._replay()


def _memory(cache: Cache, tokens: int) -> list[Tensor | None]:
    """The tensors of a cache that a step reads or writes, except those copied for it."""
    keys, values = cache.storage(tokens)
    cross = [tensor for pair in cache.cross for tensor in pair]
    return [*keys, *values, *cross, cache.source_mask_B1S]


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    return one is other
