"""The README.md of a saved model, and its source, the facts.

``model_card.json`` keeps the facts in the same folder, so that a model keeps its origin, training
data and scores when it is loaded and saved again.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, Self

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from pydantic import TypeAdapter, ValidationError

from warmstart._version import __version__
from warmstart.checkpoint.files import Checkpoint
from warmstart.composition.composition import Composition
from warmstart.composition.provenance import Provenance
from warmstart.errors import CheckpointError
from warmstart.special_files import special_file
from warmstart.writing import atomic_file

__all__ = [
    "CardFacts",
    "DataFile",
    "DataSplit",
    "ScoreFact",
    "Training",
    "base_of",
    "read_card",
    "write_card",
    "write_facts",
]

README: Final = "README.md"
FACTS: Final = "model_card.json"
_HUB_ID: Final = re.compile(r"[\w.-]+(/[\w.-]+)?")
_CACHED: Final = re.compile(r"models--(.+)")  # a folder of the hub's cache
_UNKNOWN: Final = "unknown: see the checkpoint"
Role = Literal["encoder", "decoder", "model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A base checkpoint of a model."""

    role: Role  # "model": a pre-trained encoder-decoder
    name: str  # a hub id, or else the name of a folder
    on_hub: bool
    license: str | None  # None: unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """A file of training or evaluation data."""

    name: str
    bytes: int | None = None  # None: on the hub
    blake2b: str | None = None  # digest of 16 bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSplit:
    """Examples of one split, and their files."""

    name: str
    rows: int
    files: tuple[DataFile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One run of training."""

    task: str
    description: str
    steps: int  # of the run, up to this model
    data: tuple[DataSplit, ...]
    settings: Mapping[str, Any]
    changed: tuple[str, ...]  # names of settings that differ from the defaults
    version: str  # of warmstart
    languages: tuple[str, ...] = ()
    dataset: str | None = None  # hub id


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreFact:
    """A score of a model."""

    metric: str
    value: float
    ci: tuple[float, float] | None
    signature: str
    split: str
    examples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """The content of a card that is not in the model's other files."""

    bases: tuple[Base, ...] = ()
    trainings: tuple[Training, ...] = ()  # in order
    scores: tuple[ScoreFact, ...] = ()  # after the last of them
    license: str | None = None  # of the model, from its card when it was loaded
    version: str = field(default_factory=lambda: __version__)

    def trained(self, training: Training) -> Self:
        """A copy with another run, without scores yet."""
        return replace(self, trainings=(*self.trainings, training), scores=())

    def at(self, steps: int) -> Self:
        """A copy for a number of steps of the last run."""
        *before, last = self.trainings
        return replace(self, trainings=(*before, replace(last, steps=steps)))


def base_of(checkpoint: Checkpoint, role: Role) -> Base:
    """Facts of a checkpoint: its name, and the licence in its own card."""
    name, on_hub = checkpoint.name, not Path(checkpoint.name).expanduser().exists()
    for part in Path(checkpoint.name).parts:
        cached = _CACHED.fullmatch(part)
        if cached:
            name, on_hub = cached[1].replace("--", "/"), True
    if not on_hub:
        name = checkpoint.folder.resolve().name  # paths are private
    front = _front_matter(checkpoint.folder)
    given = front.get("license")
    given = given[0] if isinstance(given, list) and given else given
    if given == "other":
        given = front.get("license_name", given)
    return Base(
        role=role,
        name=name,
        on_hub=on_hub and _HUB_ID.fullmatch(name) is not None,
        license=given if isinstance(given, str) else None,
    )


def read_card(folder: Path) -> CardFacts | None:
    """The facts of a saved model; None if the folder has no facts.

    A licence in its README.md overrides theirs.

    Raises:
        CheckpointError: if the file is invalid.
    """
    file = folder / FACTS
    if not file.is_file():
        return None
    try:
        facts = TypeAdapter(CardFacts).validate_json(file.read_bytes())
    except ValidationError:
        raise CheckpointError(
            f"{file} does not hold the facts of a model card; restore it, or remove it."
        ) from None
    given = _front_matter(folder).get("license")
    return replace(facts, license=given if isinstance(given, str) else None)


def write_card(
    folder: Path,
    facts: CardFacts,
    composition: Composition,
    provenance: Provenance | None,
    *,
    name: str = "this/folder",
) -> None:
    """Writes the card and its facts.

    Args:
        folder: of the model.
        facts: of the model.
        composition: of the model.
        provenance: of its parameters.
        name: of the model, in the code example.
    """
    write_facts(folder, facts)
    _write(folder / README, model_card(composition, provenance, facts, name=name))


def write_facts(folder: Path, facts: CardFacts) -> None:
    """Writes only the facts, for a folder that is not a model yet."""
    _write(folder / FACTS, json.dumps(asdict(facts), indent=2, ensure_ascii=False) + "\n")


def _write(file: Path, text: str) -> None:
    with atomic_file(file) as partial:
        partial.write_text(text, encoding="utf-8")


def model_card(
    composition: Composition,
    provenance: Provenance | None,
    facts: CardFacts | None = None,
    *,
    name: str = "this/folder",
) -> str:
    """The card as Markdown: origin, usage, scores and training of the model.

    For the arguments see `write_card`.
    """
    facts = facts or CardFacts()
    encoder, decoder = composition.family_names
    halves = decoder if encoder is None or composition.pretrained else f"{encoder} to {decoder}"
    title = f"A sequence-to-sequence model: {halves}"
    sections = [
        f"---\n{_metadata(facts, title).to_yaml()}\n---",
        f"# {title}",
        _origin(composition),
        _bases(facts),
        f'```python\nfrom warmstart import Seq2Seq\n\nmodel = Seq2Seq.from_pretrained("{name}")\n'
        'print(model.generate(["A text."]))\n```',
        _elsewhere(composition),
        _scores(facts),
        *(_training(training) for training in facts.trainings),
    ]
    if provenance is not None:
        sections.append(f"Where its parameters began:\n\n```\n{provenance}\n```")
    sections.append(f"Written by warmstart {facts.version}.")
    return "\n\n".join(section for section in sections if section) + "\n"


def _metadata(facts: CardFacts, title: str) -> ModelCardData:
    """The front matter, in the hub's terms."""
    last = facts.trainings[-1] if facts.trainings else None
    task = _pipeline(last)
    on_hub = list(dict.fromkeys(base.name for base in facts.bases if base.on_hub))
    results = None
    if last is not None and facts.scores:
        dataset = last.dataset or last.task
        results = [
            EvalResult(
                task_type=task,
                dataset_type=dataset,
                dataset_name=dataset,
                dataset_split=score.split,
                metric_type=score.metric,
                metric_name=score.metric,
                metric_value=round(score.value, 4),
                metric_args={"signature": score.signature, "ci": _interval(score)},
            )
            for score in facts.scores
        ]
    data = ModelCardData(
        language=list(last.languages) if last is not None and last.languages else None,
        license=_license(facts),
        library_name="warmstart",
        pipeline_tag=task,
        base_model=on_hub or None,
        datasets=[last.dataset] if last is not None and last.dataset else None,
        model_name=title if results else None,
        eval_results=results,
    )
    if on_hub:  # a composition of two checkpoints is a merge until it is trained
        data["base_model_relation"] = "finetune" if last or len(on_hub) == 1 else "merge"
    return data


def _license(facts: CardFacts) -> str | None:
    """The licence in the model's card, or that common to all of its checkpoints."""
    if facts.license is not None:
        return facts.license
    named = {base.license for base in facts.bases}
    return named.pop() if len(named) == 1 else None


def _pipeline(training: Training | None) -> str:
    kinds = {
        "translation": ("translation", "wmt14"),
        "summarization": ("summarization", "xsum", "cnn_dailymail", "gigaword"),
    }
    task = "" if training is None else training.task.partition("/")[0]
    return next((kind for kind, tasks in kinds.items() if task in tasks), "text2text-generation")


def _bases(facts: CardFacts) -> str:
    if not facts.bases:
        return ""
    rows = [
        [
            base.role,
            f"[{base.name}](https://huggingface.co/{base.name})" if base.on_hub else base.name,
            base.license or _UNKNOWN,
        ]
        for base in facts.bases
    ]
    return _table(["began as", "checkpoint", "licence"], rows)


def _scores(facts: CardFacts) -> str:
    if not facts.scores:
        return ""
    first = facts.scores[0]
    rows = [
        [score.metric, f"{score.value:.2f}", _shown_interval(score), f"`{score.signature}`"]
        for score in facts.scores
    ]
    return f"## Scores\n\nOn {first.examples:,} examples of the {first.split} split.\n\n" + _table(
        ["metric", "score", "95 % interval", "signature"], rows
    )


def _training(training: Training) -> str:
    data = [
        [split.name, f"{split.rows:,}", "<br>".join(map(_shown_file, split.files)) or "unknown"]
        for split in training.data
    ]
    changed = [
        [f"`{name}`", f"`{json.dumps(training.settings[name])}`"] for name in training.changed
    ]
    every = json.dumps(dict(training.settings), indent=2, ensure_ascii=False)
    where = f" on {training.dataset}" if training.dataset else ""
    return "\n\n".join(
        [
            f"## Training: {training.task}{where}",
            f"{training.description} {training.steps:,} steps, with warmstart {training.version}.",
            _table(["data", "rows", "files"], data),
            _table(["setting", "value"], changed) if changed else "All settings are the defaults.",
            f"<details>\n<summary>All settings</summary>\n\n```json\n{every}\n```\n\n</details>",
        ]
    )


def _shown_file(file: DataFile) -> str:
    size = "" if file.bytes is None else f", {file.bytes:,} bytes"
    digest = "" if file.blake2b is None else f", blake2b `{file.blake2b}`"
    return f"{file.name}{size}{digest}"


def _interval(score: ScoreFact) -> list[float] | None:
    return None if score.ci is None else [round(end, 4) for end in score.ci]


def _shown_interval(score: ScoreFact) -> str:
    return "" if score.ci is None else f"{score.ci[0]:.2f} to {score.ci[1]:.2f}"


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; bars are escaped, or one in a signature would end its cell."""
    lines = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    rendered = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([rendered[0], "|" + "---|" * len(lines[0]), *rendered[1:]])


def _front_matter(folder: Path) -> dict[str, Any]:
    """The front matter of a README.md; empty if there is no file, or it is invalid."""
    if special_file(folder / README) is not None:
        return {}
    try:
        text = (folder / README).read_text(encoding="utf-8")
        data: dict[str, Any] = ModelCard(text, ignore_metadata_errors=True).data.to_dict()  # type: ignore[no-untyped-call]
        return data
    except (OSError, ValueError, TypeError, yaml.YAMLError):  # people edit it
        return {}


def _origin(composition: Composition) -> str:
    if composition.pretrained:
        return "An encoder-decoder that was pre-trained whole, saved by warmstart."
    return (
        f"Composed by warmstart (share: {composition.share}, language-modelling head: "
        f"{composition.lm_head}, cross-attention: {composition.cross_attention})."
    )


def _elsewhere(composition: Composition) -> str:
    if composition.pretrained:
        return "transformers loads it as it is, with `AutoModelForSeq2SeqLM.from_pretrained`."
    if not composition.in_transformers():
        return "transformers has no class that computes this composition."
    if composition.encoder is None:
        return "transformers loads it with `AutoModelForCausalLM`; give it the source as prefix."
    if composition.share == "all":
        return (
            "transformers loads it with `EncoderDecoderModel.from_pretrained`, without sharing: "
            "shared tensors are stored under both of their names."
        )
    if composition.share != "none":
        return (
            "Shared tensors are stored once. transformers 5 does not share weights; for it, run "
            "`warmstart export MODEL --format transformers -o DIR`, which writes them twice."
        )
    return "transformers loads it as it is, with `EncoderDecoderModel.from_pretrained`."
