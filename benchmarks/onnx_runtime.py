"""The same model in ONNX Runtime, for `generation.py`: exported, rounded and decoded.

The graphs are those of usual exports: an encoder that returns the keys and values of every source
once, and a step that takes the keys and values so far and returns them with one token more.

Shape legend: R rows of a batch, N new tokens, P tokens before, S source tokens, K heads,
D head size, V vocabulary.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim

from warmstart import Seq2Seq
from warmstart.model.encoder_decoder import EncoderDecoder

__all__ = ["decoder", "write"]


class _Slots:
    """The cache interface of `Stack.step`, for a graph that passes keys and values through."""

    def __init__(
        self,
        positions_RN: Tensor,
        mask_RNS: Tensor | None = None,
        before: list[Tensor] | None = None,
        cross: list[Tensor] | None = None,
        source_mask_B1S: Tensor | None = None,
    ) -> None:
        self._positions_RN, self._mask_RNS, self._before = positions_RN, mask_RNS, before
        self.cross = list(zip((cross or [])[::2], (cross or [])[1::2], strict=True))
        self.source_mask_B1S = source_mask_B1S
        self.held: list[Tensor] = []

    def positions(self, _tokens: int) -> Tensor:
        return self._positions_RN

    def slots(self, tokens: int) -> int:
        return tokens

    def extend(self, layer: int, k_RNKD: Tensor, v_RNKD: Tensor) -> tuple[Tensor, Tensor]:
        pair = [k_RNKD.transpose(1, 2), v_RNKD.transpose(1, 2)]
        if self._before is not None:
            pair = [
                torch.cat((old, new), dim=2)
                for old, new in zip(self._before[2 * layer : 2 * layer + 2], pair, strict=True)
            ]
        self.held += pair
        return pair[0], pair[1]

    def mask(self, _tokens: int, _window: int | None) -> Tensor | None:
        return self._mask_RNS

    def advance(self, tokens: int, lengths: tuple[int, ...] | None = None) -> None:
        pass


class _Reader(nn.Module):
    """Keys and values of the sources, of every layer of the decoder."""

    def __init__(self, model: EncoderDecoder) -> None:
        super().__init__()
        self.encoder, self.decoder = model.encoder, model.decoder

    def forward(self, tokens_RS: Tensor, mask_RS: Tensor) -> tuple[Tensor, ...]:
        positions_RS = torch.arange(tokens_RS.shape[1]).expand_as(tokens_RS)
        mask_RNS = mask_RS[:, None, :].expand(-1, mask_RS.shape[1], -1)
        states = self.encoder.step(tokens_RS, _Slots(positions_RS, mask_RNS))
        return tuple(
            part.transpose(1, 2)
            for block in self.decoder.blocks
            for part in block.cross_attention.keys_values(states)
        )


class _Step(nn.Module):
    """Logits after one token per row, and all keys and values including its own."""

    def __init__(self, model: EncoderDecoder) -> None:
        super().__init__()
        self.decoder, self.head = model.decoder, model.head

    def forward(
        self, tokens_R1: Tensor, mask_RS: Tensor, before: list[Tensor], cross: list[Tensor]
    ) -> tuple[Tensor, ...]:
        place_R1 = torch.full_like(tokens_R1, before[0].shape[2])
        slots = _Slots(place_R1, before=before, cross=cross, source_mask_B1S=mask_RS[:, None])
        logits = self.head(self.decoder.step(tokens_R1, slots))
        return logits[:, 0], *slots.held


def write(model: Seq2Seq, folder: Path) -> None:
    """Writes `reader` and `step`, in float32 and with weights of 8 bits."""
    network = model.model.eval()
    attention, layers = network.config.decoder.attention, network.config.decoder.layers
    tokens, mask = torch.full((2, 5), 7), torch.ones((2, 5), dtype=torch.bool)
    shape = (2, attention.key_value_heads, 3, attention.head_size)
    past = [torch.zeros(shape) for _ in range(2 * layers)]  # one tensor would be one input
    cross = list(_Reader(network)(tokens, mask))
    names = [f"{kind}_{at}" for at in range(layers) for kind in ("key", "value")]
    of_source = [f"source_{name}" for name in names]
    rows, source, before = Dim("rows"), Dim("source"), Dim("before")
    texts, states, held = {0: rows, 1: source}, {0: rows, 2: source}, {0: rows, 2: before}
    folder.mkdir()
    _export(
        folder / "reader",
        _Reader(network),
        (tokens, mask),
        ["tokens", "mask"],
        of_source,
        (texts, texts),
    )
    _export(
        folder / "step",
        _Step(network),
        (tokens[:, :1], mask, past, cross),
        ["tokens", "mask", *names, *of_source],
        ["logits", *(f"new_{name}" for name in names)],
        ({0: rows}, texts, [held] * len(past), [states] * len(cross)),
    )


def _export(
    path: Path,
    module: nn.Module,
    given: tuple[Any, ...],
    inputs: list[str],
    outputs: list[str],
    sizes: tuple[Any, ...],
) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    exact = path.with_name(f"{path.name}-float32.onnx")
    torch.onnx.export(
        module,
        given,
        str(exact),
        input_names=inputs,
        output_names=outputs,
        dynamic_shapes=sizes,
        external_data=False,
        dynamo=True,
        verbose=False,
    )
    rounded = path.with_name(f"{path.name}-int8.onnx")
    # Weights of 7 bits, for AVX2 adds two products of 8 bits up in 16.
    quantize_dynamic(exact, rounded, weight_type=QuantType.QInt8, reduce_range=True)


def decoder(
    folder: Path, dtype: str, *, threads: int, start: int, end: int, limit: int
) -> Callable[[list[list[int]], int, int | None], list[list[int]]]:
    """Greedy and beam search with the graphs; beam search only to a fixed length."""
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = threads
    reader, step = (
        InferenceSession(folder / f"{name}-{dtype}.onnx", options) for name in ("reader", "step")
    )
    inputs = [given.name for given in step.get_inputs()]
    heads, _, size = next(given.shape[1:] for given in step.get_inputs() if given.name == "key_0")
    layers = sum(name.startswith("key_") for name in inputs)

    def decode(sources: list[list[int]], beams: int, tokens: int | None) -> list[list[int]]:
        longest = max(map(len, sources))
        ids = np.array([row + [0] * (longest - len(row)) for row in sources])
        mask = np.array([[True] * len(row) + [False] * (longest - len(row)) for row in sources])
        of_source = reader.run(None, {"tokens": ids, "mask": mask})
        cross = [tensor.repeat(beams, 0) for tensor in of_source]
        mask = mask.repeat(beams, 0)
        count = len(sources)
        held = [np.zeros((count * beams, heads, 0, size), np.float32)] * (2 * layers)
        written = np.full((count * beams, 1), start)
        scores = np.full((count, beams), -np.inf)
        scores[:, 0] = 0
        for _ in range(limit if tokens is None else tokens):
            given = (written[:, -1:], mask, *held, *cross)
            logits, *held = step.run(None, dict(zip(inputs, given, strict=True)))
            if beams > 1:  # as log-probabilities, before the end token is ruled out
                top = logits.max(1, keepdims=True)
                logits -= top + np.log(np.exp(logits - top).sum(1, keepdims=True))
            if tokens is not None:
                logits[:, end] = -np.inf
            if beams == 1:
                best = logits.argmax(1)
                best[(written == end).any(1)] = end
            else:
                words = logits.shape[1]
                totals = (logits.reshape(count, beams, words) + scores[..., None]).reshape(
                    count, -1
                )
                places = np.argpartition(-totals, beams, axis=1)[:, :beams]
                scores = np.take_along_axis(totals, places, 1)
                rows = (places // words + np.arange(count)[:, None] * beams).ravel()
                best, written = (places % words).ravel(), written[rows]
                held = [tensor[rows] for tensor in held]
            written = np.concatenate((written, best[:, None]), axis=1)
            if tokens is None and (written == end).any(1).all():
                break
        firsts = written.reshape(count, beams, -1)[np.arange(count), scores.argmax(1), 1:].tolist()
        return [row[: row.index(end) + 1] if end in row else row for row in firsts]

    return decode
