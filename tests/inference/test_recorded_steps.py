"""Recorded steps compute what steps compute, whatever happens to the cache between them."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.inference.test_convert import COMPOSITIONS, model_of
from tests.model.test_encoder_decoder import random_model
from tests.support.searches import first_outputs
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from warmstart.generation.generation_config import GenerationConfig
from warmstart.generation.row_inputs import RowInputs
from warmstart.inference.convert import convert, prepare_for_decoding
from warmstart.inference.recorded_steps import Record, RecordedSteps, cuda_graph
from warmstart.inference.traced_step import TracedStep, arguments
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.sequences import Sequences
from warmstart.text.special_tokens import SpecialTokens

SPECIAL = SpecialTokens(start=1, end=2, pad=0)
ROWS = [[3, 4, 5, 6, 7], [5, 3], [4, 4, 6, 5]]
SOURCES = Sequences.of(ROWS)
MODELS = [*COMPOSITIONS, "all", "cross"]
SEARCHES: list[dict[str, Any]] = [{}, {"num_beams": 3}, {"draft": "source"}]
NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


class Recorder(TorchDispatchMode):
    """A CUDA graph's like on a CPU: kernels and the addresses of what they read and write.

    No Python of the step runs again, and no memory is looked up anew.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kernels: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(
        self, kernel: Any, _types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if kernel in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default):
            raise RuntimeError(f"operation not permitted when stream is capturing: {kernel}")
        output = kernel(*args, **(kwargs or {}))
        self.kernels.append((kernel, args, kwargs or {}, output))
        return output

    def replay(self) -> None:
        for kernel, args, kwargs, output in self.kernels:
            again = kernel(*args, **kwargs)
            pairs = zip(_tensors(output), _tensors(again), strict=True)
            for old, new in pairs:
                if old.data_ptr() != new.data_ptr():  # not a view, nor in place
                    old.copy_(new)


def _tensors(output: Any) -> list[Tensor]:
    return [output] if isinstance(output, Tensor) else [*filter(torch.is_tensor, output)]


class Recordings:
    """Makes recordings, and counts them."""

    def __init__(self) -> None:
        self.made = self.replayed = 0

    def __call__(self, run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        with Recorder() as recorder:
            output = run()
        self.made += 1

        def replay() -> Tensor:
            self.replayed += 1
            recorder.replay()
            return output

        return replay


def recorded(model: EncoderDecoder, record: Record) -> EncoderDecoder:
    """The model with recorded steps, on whatever device."""
    model.compiled_step = RecordedSteps(model, record).step
    return model


@pytest.mark.parametrize("tokens", [1, 3])
@pytest.mark.parametrize("name", MODELS)
@torch.inference_mode()
def test_a_recorded_step_is_a_step(name: str, tokens: int) -> None:
    model, recordings = model_of(name).eval(), Recordings()
    steps = RecordedSteps(model, recordings)
    ours, theirs = model.start(SOURCES, 12, 2), model.start(SOURCES, 12, 2)
    for at in range(4):
        rows = len(ours.lengths_R)
        given = (torch.arange(rows * tokens).view(rows, tokens) + at) % 7
        expected = model.step(given, theirs)
        found = steps.step(given, ours)
        if at == 0:  # of sizes that come for the first time
            assert found is None
            found = model.step(given, ours)
        assert found is not None
        torch.testing.assert_close(found, expected)
        for cache in (ours, theirs):
            match at:
                case 1:
                    cache.reorder(torch.arange(rows).view(-1, 2).flip(1).flatten())
                case 2 if tokens > 1:  # a draft, of which not all is right
                    cache.take_back(torch.arange(rows) % tokens)
    assert recordings.made == 1
    assert recordings.replayed == 3


@torch.inference_mode()
def test_a_cache_that_moves_is_recorded_anew() -> None:
    model, recordings = model_of("rotary with local layers").eval(), Recordings()
    steps = RecordedSteps(model, recordings)
    ours, theirs = model.start(SOURCES, 200), model.start(SOURCES, 200)
    for at in range(150):
        given = torch.full((len(ours.lengths_R), 1), at % 7)
        found = steps.step(given, ours)
        if found is None:
            found = model.step(given, ours)
        torch.testing.assert_close(found, model.step(given, theirs))
        if at == 100:
            for cache in (ours, theirs):
                cache.keep(torch.tensor([0, 2]))
    # For its first 64 slots and the next, and as many rows as are left; 128 slots are grown from.
    assert recordings.made == 4
    assert recordings.replayed == 150 - 2


@pytest.mark.parametrize("options", [*SEARCHES, {"do_sample": True}])
def test_searches_with_recorded_steps_find_what_searches_find(options: dict[str, Any]) -> None:
    settings = GenerationConfig(max_length=30, **options)
    inputs = RowInputs(draft_rows=ROWS) if options.get("draft") else RowInputs()
    for name in ("plain", "prefix"):
        expected = first_outputs(model_of(name).eval(), SOURCES, SPECIAL, settings, inputs=inputs)
        recordings = Recordings()
        model = recorded(model_of(name).eval(), recordings)
        assert first_outputs(model, SOURCES, SPECIAL, settings, inputs=inputs) == expected
        assert recordings.made


@pytest.mark.parametrize("name", MODELS)
def test_a_step_stays_on_its_device(name: str) -> None:
    # Tensors of the default device are not on the step's, wherever it is.
    model = model_of(name).eval()
    with torch.inference_mode():
        given = arguments(torch.ones((6, 2), dtype=torch.long), model.start(SOURCES, 12, 2))
        with torch.device("meta"):
            logits = TracedStep(model)(*given)
    assert logits.device.type == "cpu"


def test_where_it_cannot_be_recorded_decoding_continues(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(_run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        refused.append(1)
        raise RuntimeError("operation not permitted.\nMore of it")

    refused: list[int] = []
    options = GenerationConfig(max_length=12)
    expected = first_outputs(random_model().eval(), SOURCES, SPECIAL, options)
    model = recorded(random_model().eval(), refuse)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert first_outputs(model, SOURCES, SPECIAL, options) == expected
    said = "Decoding continues without a CUDA graph: operation not permitted."
    assert [record.getMessage() for record in caplog.records] == [said]
    assert len(refused) == 1


@NEEDS_GPU
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8"])
@pytest.mark.parametrize("options", SEARCHES)
def test_on_a_gpu(options: dict[str, Any], dtype: str) -> None:
    settings = GenerationConfig(max_length=30, **options)
    inputs = (
        RowInputs(draft_rows=ROWS) if options.get("draft") and dtype == "float32" else RowInputs()
    )
    source = Sequences.of(ROWS, "cuda")
    plain, model = (
        convert(random_model(), "cuda", dtype, "wait" if compiled else "no")
        for compiled in (False, True)
    )
    expected = first_outputs(plain, source, SPECIAL, settings, inputs=inputs)
    assert first_outputs(model, source, SPECIAL, settings, inputs=inputs) == expected
    steps: RecordedSteps = prepare_for_decoding(model).compiled_step.__self__  # type: ignore[union-attr]
    assert steps._record is cuda_graph
    assert steps._works
