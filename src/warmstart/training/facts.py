"""The facts of a run for its model card."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from warmstart._version import __version__
from warmstart.cache import file_digest
from warmstart.data.source import DataSource, hub_name, parse_source
from warmstart.hub.card import DataFile, DataSplit, ScoreFact, Training
from warmstart.metrics.metric import Score
from warmstart.tasks.reading import local_files
from warmstart.tasks.task import Split, Task
from warmstart.training.train_config import TrainConfig

__all__ = ["data_changes", "score_facts", "training_facts"]


def training_facts(task: Task, config: TrainConfig) -> Training:
    """A run before its first step, with the sizes and digests of its data files."""
    origin = task.definition.origin
    data = []
    for name, split in task.splits.items():
        # Held-out examples are from the training files.
        source = task.data.get(name, task.data.get("train") if name == "validation" else None)
        files = () if source is None else _files(source)
        data.append(DataSplit(name=name, rows=len(split), files=files))
    on_hub = {
        dataset.name
        for source in task.data.values()
        for part in parse_source(source)
        if (dataset := hub_name(part.file)) is not None
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
        version=__version__,
        languages=tuple(origin.languages or ()),
        dataset=min(on_hub) if len(on_hub) == 1 else None,
    )


def data_changes(before: Training, now: Training) -> list[str]:
    """The differences between the data of a run and that of the same run when it is resumed."""
    old, new = ({split.name: split for split in training.data} for training in (before, now))
    changes = []
    for name in dict.fromkeys([*old, *new]):
        if name not in new:
            changes.append(f"{name} is missing")
        elif name not in old:
            changes.append(f"{name} is new")
        elif old[name].rows != new[name].rows:
            changes.append(f"{name} has {new[name].rows} examples, not {old[name].rows}")
        elif old[name].files != new[name].files:
            others = ", ".join(sorted(f.name for f in {*new[name].files} - {*old[name].files}))
            changes.append(f"{name} has other contents{others and f' ({others})'}")
    return changes


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
    """As JSON values, without the folder of the run on its machine."""
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


def _files(source: DataSource) -> tuple[DataFile, ...]:
    files: list[DataFile] = []
    for part in parse_source(source):
        paths: Sequence[Path] | None = local_files(part)
        if paths is None:
            several = part.file if isinstance(part.file, tuple) else (part.file,)
            files += [DataFile(name=str(file)) for file in several]
        else:
            files += [
                DataFile(name=path.name, bytes=path.stat().st_size, blake2b=file_digest(path))
                for path in paths
            ]
    return tuple(files)
