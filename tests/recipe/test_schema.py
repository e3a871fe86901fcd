import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from warmstart.composition.composition_options import CompositionOptions
from warmstart.composition.variants import VariantOptions
from warmstart.errors import UsageError
from warmstart.generation.generation_config import GenerationConfig
from warmstart.recipe.build import build_model, build_task
from warmstart.recipe.schema import (
    EvaluationSettings,
    Pretrained,
    Recipe,
    load_recipe,
)
from warmstart.training.train_config import TrainConfig

if TYPE_CHECKING:
    from tests.support.tiny import Checkpoints

RECIPES = Path(__file__).parents[2] / "recipes"
SMALLEST: dict[str, Any] = {
    "model": {"encoder": "a", "decoder": "b"},
    "task": {"name": "pairs", "data": "pairs.tsv"},
    "training": {"output_dir": "out"},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(SMALLEST))
    return path


@pytest.mark.parametrize("path", sorted(RECIPES.rglob("*.yaml")), ids=lambda path: path.name)
def test_every_recipe_of_the_project_loads(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in re.findall(r"\$\{(\w+)\}", path.read_text()):
        monkeypatch.setenv(name, "somewhere")
    recipe = load_recipe(path)
    (tmp_path / "again.yaml").write_text(recipe.to_yaml())
    assert load_recipe(tmp_path / "again.yaml") == recipe


def test_the_template_names_every_section() -> None:
    template = yaml.safe_load((RECIPES / "pairs.yaml").read_text())
    assert list(template) == [field.name for field in fields(Recipe)]


def test_the_smallest_recipe_has_the_defaults(file: Path) -> None:
    assert load_recipe(file) == Recipe(
        model=CompositionOptions(encoder="a", decoder="b"),
        task=load_recipe(file).task,
        training=TrainConfig(output_dir=Path("out")),
        generation={},
        evaluation=None,
    )


@pytest.mark.parametrize(
    ("change", "model"),
    [
        ("{encoder: none, decoder: b}", CompositionOptions(encoder="none", decoder="b")),
        (
            "{encoder: a, decoder: b, share: all, lm_head: tied, seed: 3}",
            CompositionOptions(encoder="a", decoder="b", share="all", lm_head="tied", seed=3),
        ),
        (
            "{encoder: a, decoder: b, cross_attention: copy, encoder_layers: [0, 3], "
            "decoder_layers: 2, target_vocabulary: encoder}",
            CompositionOptions(
                encoder="a",
                decoder="b",
                cross_attention="copy",
                encoder_layers=(0, 3),
                decoder_layers=2,
                target_vocabulary="encoder",
            ),
        ),
        (
            "{variant: bertShare, checkpoints: {bert: a}, size: large}",
            VariantOptions(variant="bertShare", checkpoints={"bert": "a"}, size="large"),
        ),
        ("{pretrained: a}", Pretrained(pretrained="a")),
    ],
)
def test_the_three_forms_of_a_model(file: Path, change: str, model: object) -> None:
    assert load_recipe(file, [f"model={change}"]).model == model


def test_values_become_what_they_stand_for(file: Path) -> None:
    changes = [
        "training.learning_rate=1e-3",  # a text for YAML 1.1
        "training.best_metric=sari",
        "task.data={train: [a.de, a.en], test: b.tsv}",
        "task.columns={source: 1, target: [2, 3]}",
        "task.limits.train=5",
        "task.metrics=[sari]",
        "generation={num_beams: 4, early_stopping: never}",
        "evaluation=null",
    ]
    recipe = load_recipe(file, changes)
    assert recipe.training.learning_rate == 1e-3
    assert recipe.task.data == {"train": ["a.de", "a.en"], "test": "b.tsv"}
    assert recipe.task.columns == {"source": 1, "target": [2, 3]}
    assert recipe.task.limits == {"train": 5}
    assert recipe.generation == {"num_beams": 4, "early_stopping": "never"}
    assert recipe.evaluation == EvaluationSettings()


def test_data_is_files_folders_hub_names_or_a_mixture(file: Path, tmp_path: Path) -> None:
    parts = [
        {"file": "a.tsv", "weight": 2, "columns": {"source": 1, "target": 2}},
        {"file": "hub:a/b:c", "weight": 1, "split": "dev"},
    ]
    for data in ("a", "hub:a/b", parts, {"train": parts, "test": ["a.en", "a.de"]}, parts[0]):
        recipe = load_recipe(file, [f"task.data={json.dumps(data)}", "task.fraction=0.1"])
        assert recipe.task.data == data
        assert recipe.task.fraction == 0.1
        (tmp_path / "again.yaml").write_text(recipe.to_yaml())
        assert load_recipe(tmp_path / "again.yaml") == recipe


def test_a_task_may_have_data_of_its_own(file: Path) -> None:
    recipe = load_recipe(file, ["task={name: wmt14/de-en}"])
    assert recipe.task.data is None
    assert recipe.task.definition().origin.languages == ("de", "en")


def test_a_mixture_is_read_as_a_recipe_says(file: Path, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("".join(f"a{n}\tx\n" for n in range(60)))
    (tmp_path / "b.csv").write_text("p,q\nb,y\n")
    parts = [
        {"file": str(tmp_path / "a.tsv"), "weight": 2},
        {"file": str(tmp_path / "b.csv"), "weight": 1, "columns": {"source": "p", "target": "q"}},
    ]
    data = {"train": parts, "validation": str(tmp_path / "a.tsv")}
    task = build_task(load_recipe(file, [f"task.data={json.dumps(data)}"]))
    train = task.split("train").sources
    assert len(train) == 60 + train.count("b")
    assert 10 < train.count("b") < 60
    halved = build_task(load_recipe(file, [f"task.data={json.dumps(data)}", "task.fraction=0.5"]))
    assert 20 < len(halved.split("train")) < len(train) - 20


def test_a_recipe_written_out_is_the_same_recipe(file: Path, tmp_path: Path) -> None:
    for changes in (
        [],
        ["model={variant: bertShare}", "evaluation={}", "generation.num_beams=2"],
        ["task.columns={source: a, target: [b, c]}", "task.metrics=[sari]", "training.dropout=0.2"],
    ):
        recipe = load_recipe(file, changes)
        (tmp_path / "again.yaml").write_text(recipe.to_yaml())
        assert load_recipe(tmp_path / "again.yaml") == recipe


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("trainig={}", "the recipe has no 'trainig'; did you mean 'training'?"),
        ("training.max_step=1", "training has no 'max_step'; did you mean 'max_steps'?"),
        ("task.colums={}", "task has no 'colums'; did you mean 'columns'?"),
        ("generation.num_beam=1", "generation has no 'num_beam'; did you mean 'num_beams'?"),
        ("evaluation.metric=[]", "evaluation has no 'metric'; did you mean 'metrics'?"),
        ("model.shore=all", "model has no 'shore'; did you mean 'share'?"),
        ("model={variant: bertShare, share: all}", "model has no 'share'; Allowed: variant,"),
        ("model={varaint: bertShare}", "model has no 'varaint'; did you mean 'variant'?"),
        ("model={encoder: a}", "model.decoder is missing."),
        ("model=bert", "model is 'bert'; give a section"),
        (
            "model={variant: bertshare}",
            "model.variant: There is no variant 'bertshare'; did you mean ",
        ),
        (
            "model={variant: gpt, checkpoints: {bert: a}}",
            "gpt has no checkpoint of the kind 'bert'; Allowed: gpt2.",
        ),
        ("model.share=al", "model.share is 'al'; did you mean 'all'? Allowed: none, embeddings"),
        ("training=null", "training.output_dir is missing."),
        (
            "training.max_steps=many",
            "training.max_steps is 'many'; give a whole number, 1 or more.",
        ),
        ("training.max_steps=2.5", "training.max_steps is 2.5; give a whole number, 1 or more."),
        ("training.max_steps=null", "training.max_steps is null; give a whole number, 1 or more."),
        ("training.dropout=[1]", "training.dropout is [1]; give a number"),
        ("training.output_dir=5", "training.output_dir is 5; give a path."),
        (
            "training.precision=half",
            "training.precision is 'half'; Allowed: auto, float32, bfloat16",
        ),
        ("training.max_steps=0", "training.max_steps is 0; it must be 1 or more."),
        ("training.lora={rank: 0}", "training.lora.rank is 0; it must be 1 or more."),
        ("training.lora={rnk: 1}", "training.lora has no 'rnk'; did you mean 'rank'?"),
        ("training.lora=yes", "training.lora is true;"),
        ("training.best_metric=srai", "training.best_metric is 'srai', which the task does not"),
        ("task.name=wikisplt", "task.name: There is no task 'wikisplt'; did you mean 'wikisplit'?"),
        ("task.data=5", "task.data: train: 5 is not data; give a path"),
        ("task.data={trian: a}", "task.data: data has no split 'trian'; did you mean 'train'?"),
        ("task.data={}", "task.data: data names no file"),
        ("task.data=null", "task: The task pairs has no data of its own; give data=FILE"),
        ("task.data=[{file: a, weight: 0}]", "task.data: train: the weight of a is 0; it must be"),
        ("task.data={test: {file: a, wieght: 1}}", "test: data has no setting 'wieght'; did you"),
        ("task.data=[a.tsv]", "which needs two text files or more"),
        ("task.data='hub:'", "task.data: train: hub: names no data set; give hub:NAME"),
        ("task.fraction=0", "task.fraction is 0"),
        ("task.fraction=2", "task.fraction is 2"),
        ("task.columns={source: a}", "task.columns: columns name source; they need"),
        ("task.columns=a", "task.columns: 'a' is not a mapping"),
        (
            "task.metrics=[sari, blue]",
            "task.metrics: There is no metric 'blue'; did you mean 'bleu'",
        ),
        ("task.metrics=sari", "task.metrics is 'sari'; give a list: ['sari']."),
        ("task.metrics=[]", "task.metrics is []; give at least one."),
        ("task.limits.trian=5", "task.limits is {'trian': 5}; did you mean 'train'?"),
        ("task.limits.train=0", "task.limits is {'train': 0}; it must be 1 or more."),
        ("task.max_source_length=1", "task.max_source_length is 1; it must be 2 or more."),
        ("generation.early_stopping=so", "is 'so'; give true or false. 'never' is allowed"),
        ("generation.num_beams=0", "generation.num_beams is 0; it must be 1 or more."),
        (
            "generation.min_length=500",
            "generation: min_length is 500; it must be at most",
        ),
        ("evaluation.reference_text=as-given", "is 'as-given'; did you mean 'as_given'?"),
    ],
)
def test_errors_are_one_sentence(file: Path, change: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        load_recipe(file, [change])
    text = str(raised.value)
    assert text.startswith(str(file))
    assert message in text
    assert "\n" not in text
    assert text.endswith(".")


def test_every_problem_is_reported_at_once(file: Path) -> None:
    changes = [
        "model.shore=1",
        "task.name=x",
        "training.max_steps=many",
        "generation.beams=2",
        "a=1",
    ]
    with pytest.raises(UsageError) as raised:
        load_recipe(file, changes)
    text = str(raised.value)
    assert text.startswith(f"{file} has 5 problems: ")
    for words in ("'shore'", "no task 'x'", "'many'", "'beams'", "no 'a'"):
        assert words in text


def test_a_recipe_builds_the_task_with_its_settings(file: Path, tmp_path: Path) -> None:
    lines = [f"source {number}\ttarget {number}" for number in range(30)]
    (tmp_path / "pairs.tsv").write_text("\n".join(lines) + "\n")
    changes = [
        f"task.data='{tmp_path / 'pairs.tsv'}'",
        "task.validation_size=5",
        "task.limits.train=20",
        "task.max_target_length=16",
        "task.metrics=[sari]",
        "generation={num_beams: 3, max_length: 12}",
    ]
    task = build_task(load_recipe(file, changes))
    train, validation = task.split("train"), task.split("validation")
    assert (len(train), len(validation)) == (20, 5)
    assert validation.metrics == ("sari",)
    assert validation.max_target_length == 16
    for generation in (task.definition.generation, train.generation, validation.generation):
        assert generation == GenerationConfig(num_beams=3, max_length=12)


def test_a_recipe_builds_each_form_of_model(
    file: Path, tmp_path: Path, checkpoints: "Checkpoints"
) -> None:
    bert, gpt2 = checkpoints("bert"), checkpoints("gpt2")
    pair = build_model(load_recipe(file, [f"model={{encoder: '{bert}', decoder: '{gpt2}'}}"]).model)
    assert pair.composition.decoder_family.name == "gpt2"
    change = f"model={{variant: bertShare, checkpoints: {{bert: '{bert}'}}}}"
    assert build_model(load_recipe(file, [change]).model).composition.share == "all"
    change = f"model={{encoder: none, decoder: 'random:{gpt2}'}}"
    alone = build_model(load_recipe(file, [change]).model)
    assert alone.composition.encoder is None
    assert alone.provenance is not None
    assert alone.provenance.count("leveraged") == 0
    pair.save_pretrained(tmp_path / "model")
    change = f"model={{pretrained: '{tmp_path / 'model'}'}}"
    saved = build_model(load_recipe(file, [change]).model)
    assert saved.composition.options() == pair.composition.options()


def test_recipes_load_no_torch(file: Path) -> None:
    code = (
        "import sys; from warmstart.recipe.schema import load_recipe\n"
        f"load_recipe({str(file)!r}); sys.exit('torch' in sys.modules)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
