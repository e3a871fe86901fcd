"""A process that compiles one decoding step, for `compiled_steps.py`.

    python -m warmstart.inference.compile_worker KEY < REQUEST

It is a separate process because compilation takes a minute or more, most of it in Python, which
would block decoding in the meantime.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from warmstart.cache import cached_file
from warmstart.errors import WarmstartError
from warmstart.inference.traced_step import traced

__all__ = ["KIND", "SUFFIX"]

KIND, SUFFIX = "compiled", ".pt2"  # folder of the cache, and suffix of its files
_OPTIONS: dict[str, Any] = {
    "freezing": True,  # weights are constants, which kernels store in their own layout
    "max_autotune_gemm": True,
    # Inductor's own products are more than twice as fast as the libraries' for a few rows.
    "max_autotune_gemm_backends": "CPP",
}


def compile_step(
    program: torch.export.ExportedProgram, path: Path, *, few_rows: bool = False
) -> None:
    """Writes a package for `torch._inductor.aoti_load_package`.

    Args:
        program: the step.
        path: of the package; the compiler requires the suffix `SUFFIX`.
        few_rows: whether its layers are those of `small_batch_kernels.py`, whose weights would be
            widened at compile time if they were constants.
    """
    from torch._inductor import aoti_compile_and_package

    options = {} if few_rows else _OPTIONS
    aoti_compile_and_package(program, package_path=str(path), inductor_configs=options)


def main() -> str | None:
    """Compiles the request on standard input, and returns the reason of a failure."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # removes the half-written file
    os.nice(5)  # decoding goes first
    request = torch.load(sys.stdin.buffer, weights_only=False)  # from our parent process
    torch.set_num_threads(request["threads"])
    try:
        get_cpp_compiler()  # before the long part
        cached_file(
            KIND,
            sys.argv[1],
            lambda path: compile_step(
                traced(request["step"], request["form"]), path, few_rows=request["few_rows"]
            ),
            SUFFIX,
        )
    except InvalidCxxCompiler:
        return "there is no C++ compiler; install g++ or clang, or set CXX to one"
    except WarmstartError as error:
        return str(error)
    except Exception as error:  # any failure of a compiler; decoding works without it
        return f"the compiler failed ({type(error).__name__}: {str(error).strip().splitlines()[0]})"
    return None


if __name__ == "__main__":
    raise SystemExit(main())
