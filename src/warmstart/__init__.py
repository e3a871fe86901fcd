"""Compose two pre-trained checkpoints into a sequence-to-sequence model, and train and use it.

The public names are imported when they are first asked for, so that ``import warmstart`` and
``warmstart --help`` load no torch.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

from warmstart._version import __version__

__all__ = [
    "Constraints",
    "Generated",
    "GenerationConfig",
    "GenerationOptions",
    "Job",
    "Provenance",
    "Score",
    "Seq2Seq",
    "TrainConfig",
    "WarmstartError",
    "__version__",
    "compare",
    "evaluate",
    "generate_files",
    "load_task",
    "train",
]

# What torch prepares for bfloat16 products on a CPU is kept by shape: 1024 times by oneDNN, and
# as often by the layer above it. Batches without padding seldom have a shape twice, and memory grew
# until both were full. A step of a model has fewer shapes than 128. Both variables are read once,
# at the first product, hence here; docs/reference/training-performance.md has the figures.
for _cache in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
    os.environ.setdefault(_cache, "128")

if TYPE_CHECKING:
    from warmstart.bulk.job import Job
    from warmstart.bulk.run import generate_files
    from warmstart.composition.provenance import Provenance
    from warmstart.errors import WarmstartError
    from warmstart.evaluation.compare import compare
    from warmstart.evaluation.evaluate import evaluate
    from warmstart.generation.generation_config import Constraints, GenerationConfig
    from warmstart.generation.generation_config import GenerationConfig as GenerationOptions
    from warmstart.generation.result import Generated
    from warmstart.metrics.metric import Score
    from warmstart.seq2seq import Seq2Seq
    from warmstart.tasks.load import load_task
    from warmstart.training.train import train
    from warmstart.training.train_config import TrainConfig
else:
    _HOMES = {
        "Constraints": "warmstart.generation.generation_config",
        "Generated": "warmstart.generation.result",
        "GenerationConfig": "warmstart.generation.generation_config",
        "GenerationOptions": "warmstart.generation.generation_config",
        "Provenance": "warmstart.composition.provenance",
        "Score": "warmstart.metrics.metric",
        "Seq2Seq": "warmstart.seq2seq",
        "TrainConfig": "warmstart.training.train_config",
        "WarmstartError": "warmstart.errors",
        "compare": "warmstart.evaluation.compare",
        "Job": "warmstart.bulk.job",
        "evaluate": "warmstart.evaluation.evaluate",
        "generate_files": "warmstart.bulk.run",
        "load_task": "warmstart.tasks.load",
        "train": "warmstart.training.train",
    }

    # Former names.
    _RENAMED = {"GenerationOptions": "GenerationConfig"}

    # Hidden from type checkers: they would take any misspelt name for an attribute.
    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'warmstart' has no attribute {name!r}")
        value = getattr(import_module(_HOMES[name]), _RENAMED.get(name, name))
        globals()[name] = value  # the next look-up is an ordinary one
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
