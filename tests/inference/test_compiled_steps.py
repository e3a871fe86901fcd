"""Compiled steps compute what steps compute, are kept, and are done without if they must be."""

import itertools
import logging
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.inference.test_convert import model_of
from tests.model.test_encoder_decoder import random_batch, random_model
from tests.support.searches import first_outputs
from torch import Tensor

from warmstart.cache import CACHE_VARIABLE
from warmstart.errors import UsageError
from warmstart.generation.generation_config import GenerationConfig
from warmstart.inference import compiled_steps
from warmstart.inference.convert import convert, prepare_for_decoding
from warmstart.inference.small_batch_kernels import for_few_rows
from warmstart.inference.traced_step import StepForm, TracedStep, arguments, traced
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.sequences import Sequences
from warmstart.text.special_tokens import SpecialTokens

SPECIAL = SpecialTokens(start=1, end=2, pad=0)
SOURCES = Sequences.of([[3, 4, 5, 6, 7], [5, 3], [4, 4, 6, 5]])
FORMS = [
    StepForm(beams=1, many_sources=True, many_tokens=False),
    StepForm(beams=2, many_sources=True, many_tokens=False),
    StepForm(beams=2, many_sources=False, many_tokens=False),
    StepForm(beams=1, many_sources=True, many_tokens=True),
]

NEEDS_COMPILER = pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None, reason="there is no C++ compiler"
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def sources_of(form: StepForm) -> Sequences:
    return SOURCES if form.many_sources else Sequences.of([[3, 4, 5]])


# Every form of the plain model, and one of each other, for a trace takes seconds.
OTHERS = ["prefix", "merged", "rotary with local layers", "grouped queries", "cross"]
OTHERS += ["relative bias both ways, windows and soft cap"]
TRACES = [
    *itertools.product(["plain"], FORMS),
    *zip(OTHERS, itertools.cycle(reversed(FORMS)), strict=False),
]


@pytest.mark.parametrize(
    ("name", "form"),
    [TRACES[0], *(pytest.param(*trace, marks=pytest.mark.slow) for trace in TRACES[1:])],
)
def test_a_traced_step_is_a_step(name: str, form: StepForm) -> None:
    model = model_of(name).eval()
    module = traced(TracedStep(model), form).module()
    source, tokens = sources_of(form), 3 if form.many_tokens else 1
    rows = len(source.lengths) * form.beams
    with torch.inference_mode():
        ours, theirs = model.start(source, 12, form.beams), model.start(source, 12, form.beams)
        for step in range(3):
            given = (torch.arange(rows * tokens).view(rows, tokens) + step) % 7
            found: Tensor = module(*arguments(given, theirs))
            theirs.advance(tokens)
            torch.testing.assert_close(found, model.step(given, ours))
            if form.many_tokens:  # a draft, of which not all is right
                for held in (ours, theirs):
                    held.take_back(torch.arange(rows) % tokens)


@pytest.mark.slow
@pytest.mark.timeout(900)  # minutes where nothing was compiled before
@NEEDS_COMPILER
def test_compiled_searches_find_what_searches_find(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, model = random_model().eval(), random_model().eval()
    model.compile_steps = "wait"
    # As long as can be, so that no source leaves the others: one by itself has another form.
    options = GenerationConfig(num_beams=2, max_length=12, min_length=12)
    expected = first_outputs(plain, SOURCES, SPECIAL, options)
    assert first_outputs(model, SOURCES, SPECIAL, options) == expected
    steps: compiled_steps.CompiledSteps = prepare_for_decoding(model).compiled_step.__self__  # type: ignore[union-attr]
    assert not steps._impossible
    assert steps._ready.keys() == {FORMS[1]}
    assert len(list(cache.glob("compiled/*.pt2"))) == len(steps._ready)

    def never(*_: Any, **__: Any) -> None:
        pytest.fail("what was compiled is compiled again")

    monkeypatch.setattr(subprocess, "Popen", never)
    again = random_model().eval()
    again.compile_steps = "wait"
    assert first_outputs(again, SOURCES, SPECIAL, options) == expected


@pytest.mark.slow
@pytest.mark.timeout(900)  # minutes where nothing was compiled before
@NEEDS_COMPILER
def test_a_reduced_model_is_compiled_for_one_source() -> None:
    model = convert(random_model().eval(), "cpu", "int8", "wait")
    assert model.compiled_step is not None
    steps: compiled_steps.CompiledSteps = model.compiled_step.__self__  # type: ignore[attr-defined]
    options = GenerationConfig(num_beams=2, max_length=6, min_length=6)
    first_outputs(model, SOURCES, SPECIAL, options)
    assert not steps._ready  # several sources are left to the libraries
    form = StepForm(beams=2, many_sources=False, many_tokens=False)
    first_outputs(model, sources_of(form), SPECIAL, options)
    assert steps._ready.keys() == {form}
    with torch.inference_mode():
        layers = for_few_rows(TracedStep(model))
        ours, theirs = (model.start(sources_of(form), 9, 2) for _ in range(2))
        for at in range(3):
            given = torch.tensor([[3 + at], [4]])
            expected = layers(*arguments(given, theirs))
            theirs.advance(1)
            torch.testing.assert_close(model.step(given, ours), expected)


def decoded_without(
    model: EncoderDecoder, caplog: pytest.LogCaptureFixture, *, batches: int = 2
) -> str:
    """What is said while a model decodes as it does uncompiled."""
    options = GenerationConfig(max_length=8)
    expected = first_outputs(random_model().eval(), SOURCES, SPECIAL, options)
    with caplog.at_level(logging.WARNING):
        for _ in range(batches):
            assert first_outputs(model, SOURCES, SPECIAL, options) == expected
    return caplog.text


def test_meanwhile_decoding_continues(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Unending:
        returncode = None

        def __init__(self, *_: Any, **__: Any) -> None:
            started.append(self)

        def poll(self) -> None:
            return None

        def terminate(self) -> None:
            started.remove(self)

        def wait(self, _timeout: float | None = None) -> int:
            return 0

    started: list[Unending] = []
    monkeypatch.setattr(subprocess, "Popen", Unending)
    model = random_model().eval()
    model.compile_steps = "background"
    assert not decoded_without(model, caplog)
    assert len(started) == 1  # one at a time, and once
    del model
    assert not started  # ended with the model


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param("no compiler", marks=pytest.mark.slow),
        pytest.param("a file in the way", marks=[NEEDS_COMPILER, pytest.mark.slow]),
        "damaged",
    ],
)
def test_a_failure_is_logged_once_and_decoding_continues(
    trouble: str, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = random_model().eval()
    model.compile_steps = "wait"
    if trouble == "no compiler":
        monkeypatch.setenv("CXX", "no-such-compiler")
        expected = "there is no C++ compiler"
    elif trouble == "a file in the way":
        cache.write_text("not a folder")
        expected = str(cache)
    else:
        forms = itertools.product((True, False), (True, False))
        steps = compiled_steps.CompiledSteps(model, wait=True)
        for many_sources, many_tokens in forms:
            path = steps._path(StepForm(1, many_sources, many_tokens))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"PK damaged")
        expected = "delete it"
    said = decoded_without(model, caplog)
    assert expected in said
    reasons = said.count("Decoding continues without a compiled step")
    assert reasons <= (2 if trouble == "damaged" else 1)  # files: of many sources, and of one
    assert "Traceback" not in said


def test_wide_batches_are_left_to_the_libraries(cache: Path) -> None:
    model = random_model().eval()
    model.compile_steps = "wait"
    many = Sequences.of([[3, 4, 5]] * 65)
    options = GenerationConfig(max_length=4)
    expected = first_outputs(random_model().eval(), many, SPECIAL, options)
    assert first_outputs(model, many, SPECIAL, options) == expected
    assert not cache.exists()


@pytest.mark.parametrize(
    ("device", "dtype"), [("cpu", "bfloat16"), ("cpu", torch.bfloat16), ("meta", "float32")]
)
def test_what_is_not_compiled_is_refused(device: str, dtype: str | torch.dtype) -> None:
    with pytest.raises(UsageError, match="on a GPU, or on a CPU in float32, float16 or int8"):
        convert(random_model(), device, dtype, "wait")
    with pytest.raises(UsageError, match="did you mean 'wait'"):
        convert(random_model(), device, "float32", "wai")  # type: ignore[arg-type]


def test_gradients_are_not_asked_for(cache: Path) -> None:
    model = random_model()
    model.compile_steps = "background"
    source, target, labels = random_batch()
    model(source, target, labels).backward()
    assert not cache.exists()
