"""Growth of memory with the number of different shapes of bfloat16 products on a CPU.

    python benchmarks/shape_caches.py > benchmarks/results/shape_caches.json

Each line is a process of its own: the capacities are read once.
"""

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

CAPACITIES = ((1024, 1024), (128, 1024), (1024, 128), (128, 128))  # oneDNN's, the layer's above it
NAMES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
STEPS = (20, 40, 60)  # after which memory is read
LAYERS, WIDTH, OUTPUTS = 6, 384, (1152, 384, 1536)


def resident() -> float:
    """Memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure() -> None:
    """Prints the growth in MB after each of `STEPS`, and the seconds of CPU, as JSON."""
    import torch

    torch.set_num_threads(1)
    weights = [torch.randn(size, WIDTH, dtype=torch.bfloat16) for size in OUTPUTS]
    gradients = [torch.randn(512, size, dtype=torch.bfloat16) for size in OUTPUTS]
    x = torch.randn(512, WIDTH, dtype=torch.bfloat16)
    torch.mm(x[:64], weights[0].T)
    before, started, grown = resident(), time.process_time(), []
    for step in range(1, max(STEPS) + 1):
        tokens = 100 + 3 * step
        for _ in range(LAYERS):
            for weight in weights:
                torch.mm(x[:tokens], weight.T)
        for _ in range(LAYERS):
            for weight, gradient in zip(weights, gradients, strict=True):
                torch.mm(gradient[:tokens], weight)
                torch.mm(gradient[:tokens].T, x[:tokens])
        if step in STEPS:
            grown.append(round(resident() - before))
    seconds = round(time.process_time() - started, 2)
    sys.stdout.write(json.dumps({"megabytes": grown, "cpu_seconds": seconds}))


def main() -> None:
    """Prints a line for each pair of capacities as JSON."""
    rows = []
    for capacities in CAPACITIES:
        environment = dict(zip(NAMES, map(str, capacities), strict=True))
        run = subprocess.run(
            [sys.executable, __file__, "measure"],
            env={**os.environ, **environment},
            capture_output=True,
            check=True,
        )
        rows.append({**environment, **json.loads(run.stdout)})
    machine = {"machine": platform.machine(), "steps": STEPS}
    sys.stdout.write(json.dumps({**machine, "runs": rows}, indent=2) + "\n")


if __name__ == "__main__":
    measure() if sys.argv[1:] == ["measure"] else main()
