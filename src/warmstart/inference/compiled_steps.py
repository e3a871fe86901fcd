"""Compiled decoding steps: compiled in the background, cached on disk, used once they exist.

Until then, and for forms that cannot be compiled, decoding uses the model itself.
"""

import logging
import os
import platform
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import IO

import torch
from torch import Tensor, nn

from warmstart.cache import cache_folder, cache_path, distrust, fingerprint
from warmstart.inference.compile_worker import KIND, SUFFIX
from warmstart.inference.small_batch_kernels import FEW, for_few_rows
from warmstart.inference.traced_step import StepForm, TracedStep, arguments
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.key_value_cache import Cache

__all__ = ["CompiledSteps", "worker_command", "worker_environment"]

# Tokens of a step in all rows. For more, products take most of the time, and the libraries' are
# as fast: 128 rows took 1.15 times as long compiled, 32 rows 0.9 times.
_TOKENS = 64

_GRACE = 5.0  # seconds for a process to remove its half-written file

logger = logging.getLogger(__name__)


class CompiledSteps:
    """The compiled steps of one model. At most one is compiled at a time."""

    def __init__(self, model: EncoderDecoder, *, wait: bool, few_rows: bool = False) -> None:
        """Starts without any.

        Args:
            model: on a CPU and in evaluation mode; its weights must not change.
            wait: whether `step` waits until the form that it needs is compiled.
            few_rows: whether the model is quantized, see `small_batch_kernels.py`; otherwise it is
                in float32.
        """
        self._step, self._wait, self._few_rows = TracedStep(model), wait, few_rows
        self._ready: dict[StepForm, Callable[..., Tensor]] = {}
        self._impossible: dict[StepForm, str] = {}  # and why
        self._paths: dict[StepForm, Path] = {}
        self._job: _Job | None = None
        self._lock = threading.Lock()  # of all of these

    def step(self, tokens_RN: Tensor, cache: Cache) -> Tensor | None:
        """The output of `EncoderDecoder.step`; None: not compiled. Shape: [R, N] -> [R, N, V]"""
        rows, tokens = tokens_RN.shape
        if self._few_rows and (rows > FEW or cache.sources > 1 or tokens > 1):
            return None
        if rows * tokens > _TOKENS:
            return None
        form = StepForm.of(tokens_RN, cache)
        compiled = self._ready.get(form)
        if compiled is None:
            with self._lock:
                compiled = self._look(form)
        # Compiled steps need a source of at least two tokens.
        if compiled is None or (cache.cross and cache.cross[0][0].shape[2] < 2):
            return None
        logits = compiled(*arguments(tokens_RN, cache))
        cache.advance(tokens)
        return logits

    def _look(self, form: StepForm) -> Callable[..., Tensor] | None:
        """The compiled step, if it is on disk by now; otherwise it is requested."""
        while form not in self._ready and form not in self._impossible:
            if self._path(form).is_file():
                self._load(form)
            elif self._job is None:
                self._job = _Job(
                    self._exportable(), form, self._path(form).stem, few_rows=self._few_rows
                )
            elif self._job.ended(wait=self._wait):
                self._finish(self._job)
                self._job = None
            else:
                return None
        return self._ready.get(form)

    def _finish(self, job: "_Job") -> None:
        why = job.failure()
        if why is None and not self._path(job.form).is_file():
            why = f"the compiled step is missing from the folder {self._path(job.form).parent}"
        if why is not None:
            self._give_up(job.form, why)

    def _load(self, form: StepForm) -> None:
        from torch._inductor import aoti_load_package

        try:
            why = distrust(self._path(form))  # it is native code
            if why is not None:
                self._give_up(form, f"{why}, and a compiled step is a program; delete it")
                return
            self._ready[form] = aoti_load_package(str(self._path(form)))
        except (RuntimeError, OSError) as error:
            why = str(error).splitlines()[0].rstrip(".")
            self._give_up(form, f"{self._path(form)} cannot be read ({why}); delete it")

    def _give_up(self, form: StepForm, why: str) -> None:
        if why not in self._impossible.values():
            logger.warning("Decoding continues without a compiled step: %s.", why)
        self._impossible[form] = why

    def _path(self, form: StepForm) -> Path:
        if form not in self._paths:
            key = fingerprint(
                self._weights,
                repr(self._step.decoder.config),
                repr(form),
                torch.__version__,
                _code(),
                _processor(),
                torch.get_num_threads(),
            )
            self._paths[form] = cache_path(KIND, key, SUFFIX)
        return self._paths[form]

    def _exportable(self) -> nn.Module:
        """The step with layers that a compiler supports. Not kept: they may be copies."""
        return for_few_rows(self._step) if self._few_rows else self._step

    @cached_property
    def _weights(self) -> str:
        """A digest of the weights and their names."""
        state = self._exportable().state_dict()
        # One after the other, so that they are not all copied at once.
        return fingerprint([(name, fingerprint(_bytes(value))) for name, value in state.items()])


class _Job:
    """A process that compiles."""

    def __init__(self, step: nn.Module, form: StepForm, key: str, *, few_rows: bool) -> None:
        self.form = form
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # as long as the process
        request = {
            "step": step,
            "form": form,
            "few_rows": few_rows,
            "threads": torch.get_num_threads(),
        }
        with tempfile.TemporaryFile() as file:  # leaves nothing after any failure
            torch.save(request, file)
            file.seek(0)
            self._process = subprocess.Popen(
                worker_command(key),
                env=worker_environment(),
                stdin=file,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
            )
        # It ends with this process, or with the model.
        weakref.finalize(self, _end, self._process, self._errors)

    def ended(self, *, wait: bool) -> bool:
        """Whether it has ended, or once it has where `wait`."""
        if wait:
            self._process.wait()
        return self._process.poll() is not None

    def failure(self) -> str | None:
        """The reason of its failure; None: it succeeded. To be called once."""
        with self._errors as file:
            file.seek(0)
            lines = file.read().decode(errors="replace").split("\n")
        if self._process.returncode == 0:
            return None
        messages = [line.strip() for line in lines if line.strip()]
        return messages[-1].rstrip(".") if messages else f"exit status {self._process.returncode}"


def worker_command(key: str) -> list[str]:
    """Starts the process that compiles, without the modules of the working folder."""
    return [sys.executable, "-P", "-m", "warmstart.inference.compile_worker", key]


def worker_environment() -> dict[str, str]:
    """The same for the processes that it starts, and the compiler's files where we keep ours.

    Without a folder of its own the compiler takes one of a known name in the system's folder for
    temporary files, where others may have put theirs.
    """
    own = {"PYTHONSAFEPATH": "1", "TORCHINDUCTOR_CACHE_DIR": str(cache_folder() / "inductor")}
    return {**own, **os.environ, "PYTHONSAFEPATH": "1"}


def _end(process: "subprocess.Popen[bytes]", errors: IO[bytes]) -> None:
    errors.close()
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@cache
def _code() -> str:
    """A digest of the code that a step is compiled from."""
    package = Path(__file__).parents[1]
    files = [path for room in ("inference", "model") for path in (package / room).rglob("*.py")]
    return fingerprint(*(path.read_bytes() for path in sorted(files)))


@cache
def _processor() -> str:
    """A digest of its instruction sets, which compiled code uses."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    kinds = {line for line in lines if line.startswith(("flags", "Features"))}
    return fingerprint(platform.machine(), torch.backends.cpu.get_cpu_capability(), sorted(kinds))


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
