"""What a model card says of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import warmstart
from warmstart.cache import file_digest
from warmstart.data.source import DataSource, hub_name, parse_source
from warmstart.hub.card import DataFile, DataSplit, ScoreFact, Training
from warmstart.metrics.metric import Score
from warmstart.tasks.reading import local_files
from warmstart.tasks.task import Split, Task
from warmstart.training.config import TrainConfig

__all__ = ["score_facts", "training_facts"]


def training_facts(task: Task, config: TrainConfig) -> Training:
    """A run that has made no step yet, with the sizes and digests of its data's files."""
    origin = task.definition.origin
    data = []
    for name, split in task.splits.items():
        # Held-out examples are from the training files.
        given = task.data.get(name, task.data.get("train") if name == "validation" else None)
        files = () if given is None else _files(given)
        data.append(DataSplit(name=name, rows=len(split), files=files))
    on_hub = {
        found.name
        for given in task.data.values()
        for part in parse_source(given)
        if (found := hub_name(part.file)) is not None
    }
    settings = _settings(config)
    defaults = _settings(TrainConfig(output_dir=config.output_dir))
    return Training(
        task=task.name,
        description=_sentence(task.definition.description),
        steps=0,
        data=tuple(data),
        settings=settings,
        changed=tuple(name for name in settings if settings[name] != defaults[name]),
        version=warmstart.__version__,
        languages=tuple(origin.languages or ()),
        dataset=min(on_hub) if len(on_hub) == 1 else None,
    )


def score_facts(split: Split, scores: Mapping[str, Score]) -> tuple[ScoreFact, ...]:
    """Scores over a split."""
    return tuple(
        ScoreFact(
            metric=name,
            value=score.value,
            ci=score.ci,
            signature=score.signature,
            split=split.name,
            examples=len(split),
        )
        for name, score in scores.items()
    )


def _settings(config: TrainConfig) -> dict[str, Any]:
    """As JSON values; where the run lay on its machine says nothing of the model."""
    values = asdict(config)
    names = [each.name for each in fields(config) if each.name != "output_dir"]
    return {name: _plain(values[name]) for name in names}


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return value.name if isinstance(value, Path) else value


def _files(given: DataSource) -> tuple[DataFile, ...]:
    found: list[DataFile] = []
    for part in parse_source(given):
        paths: Sequence[Path] | None = local_files(part)
        if paths is None:
            several = part.file if isinstance(part.file, tuple) else (part.file,)
            found += [DataFile(name=str(file)) for file in several]
        else:
            found += [
                DataFile(name=path.name, bytes=path.stat().st_size, blake2b=file_digest(path))
                for path in paths
            ]
    return tuple(found)
