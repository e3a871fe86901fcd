import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from tests.support.tiny import Checkpoints
from tests.training.runs import copy_task, quick

from warmstart.checkpoint.files import open_checkpoint
from warmstart.errors import CheckpointError
from warmstart.evaluation.evaluate import evaluate
from warmstart.hub.card import CardFacts, base_of
from warmstart.seq2seq import Seq2Seq
from warmstart.tasks.load import load_task
from warmstart.training.train import train


def licensed(folder: Path, copy: Path, front: str) -> Path:
    shutil.copytree(folder, copy)
    (copy / "README.md").write_text(f"---\n{front}\n---\n# A checkpoint\n")
    return copy


def front_matter(folder: Path) -> Any:
    """As the hub's own library reads it."""
    return ModelCard((folder / "README.md").read_text()).data


@pytest.fixture(scope="module")
def trained(checkpoints: Checkpoints, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that keeps the model of its first evaluation or its second. Do not change it."""
    folder = tmp_path_factory.mktemp("cards")
    encoder = licensed(checkpoints("bert"), folder / "my-bert", "license: mit")
    model = Seq2Seq.warm_start(encoder=encoder, decoder=checkpoints("gpt2"))
    file = folder / "pairs.tsv"
    words = ("cat", "dog", "bird", "house")
    rows = [f"the {a} the {b}\tthe {b}\n" for a in words for b in words]
    file.write_text("de\ten\n" + "".join(rows))
    task = load_task("translation/de-en", data=str(file), validation_size=4)
    config = replace(quick(folder / "run"), max_steps=2, evaluate_every=1)
    return train(model, task, config).folder


def test_a_card_says_what_the_model_is_made_of(trained: Path) -> None:
    text = (trained / "README.md").read_text()
    card = front_matter(trained)
    assert card.library_name == "warmstart"
    assert card.pipeline_tag == "translation"
    assert card.language == ["de", "en"]
    assert card.license is None  # one of the two does not say
    assert "| encoder | my-bert | mit |" in text
    assert "| unknown: see the checkpoint |" in text
    assert str(trained.parent.parent) not in text  # where it lay is nobody's business
    assert "pairs.tsv, 426 bytes, blake2b `" in text
    assert "| train | 12 | pairs.tsv" in text
    assert "| `max_steps` | `2` |" in text
    assert "| `label_smoothing` |" not in text  # a default, told among all
    assert '"label_smoothing": 0.0' in text
    assert "leveraged" in text
    code = text.partition("```python\n")[2].partition("```")[0]
    assert len(code.strip().splitlines()) <= 5
    exec(code.replace("this/folder", str(trained)), {})


def test_scores_are_those_of_the_model(trained: Path) -> None:
    model = Seq2Seq.from_pretrained(trained)
    (training,) = model.card.trainings
    file = trained.parent.parent / "pairs.tsv"
    split = load_task("translation/de-en", data=str(file), validation_size=4).split("validation")
    scores = evaluate(model, split)
    assert {score.metric: score.value for score in model.card.scores} == pytest.approx(
        {name: score.value for name, score in scores.items()}
    )
    results = front_matter(trained).eval_results
    assert results is not None
    assert {result.metric_type: result.metric_value for result in results} == pytest.approx(
        {name: score.value for name, score in scores.items()}, abs=1e-4
    )
    assert all(result.metric_args["signature"] for result in results)
    state = json.loads((trained.parent / "checkpoint-2" / "trainer_state.json").read_text())
    assert training.steps == state["best_global_step"]


def test_loaded_and_saved_again_it_says_the_same(trained: Path, tmp_path: Path) -> None:
    Seq2Seq.from_pretrained(trained).save_pretrained(tmp_path / "again")
    for name in ("README.md", "model_card.json"):
        assert (tmp_path / "again" / name).read_bytes() == (trained / name).read_bytes()


def test_a_licence_that_somebody_added_stays(trained: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(trained, tmp_path / "model")
    text = (folder / "README.md").read_text()
    (folder / "README.md").write_text(text.replace("---\n", "---\nlicense: cc-by-4.0\n", 1))
    Seq2Seq.from_pretrained(folder).save_pretrained(tmp_path / "again")
    assert front_matter(tmp_path / "again").license == "cc-by-4.0"


def test_trained_again_the_card_has_both_runs(trained: Path, tmp_path: Path) -> None:
    model = Seq2Seq.from_pretrained(trained)
    folder = train(model, copy_task(8), replace(quick(tmp_path / "run"), max_steps=1)).folder
    facts = Seq2Seq.from_pretrained(folder).card
    assert [training.task for training in facts.trainings] == ["translation/de-en", "pairs"]
    assert facts.scores == ()  # those of before are not of this model
    assert facts.bases[0].name == "my-bert"


@pytest.mark.parametrize(
    ("front", "told"),
    [
        ("license: apache-2.0", "apache-2.0"),
        ("license: other\nlicense_name: gemma", "gemma"),
        ("license:\n- mit", "mit"),
        ("language: en", None),
        ("license: [unclosed", None),
        ("license: 3", None),
    ],
)
def test_licences_of_checkpoints(
    front: str, told: str | None, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    folder = licensed(checkpoints("bert"), tmp_path / "bert", front)
    assert base_of(open_checkpoint(folder), "encoder").license == told


def test_checkpoints_of_the_hub_are_named(checkpoints: Checkpoints, tmp_path: Path) -> None:
    cached = tmp_path / "models--google-bert--bert-base-uncased" / "snapshots" / "0123"
    folder = licensed(checkpoints("bert"), cached, "license: apache-2.0")
    model = Seq2Seq.warm_start(encoder=folder, decoder=folder)
    model.save_pretrained(tmp_path / "model")
    data = front_matter(tmp_path / "model")
    assert data.base_model == ["google-bert/bert-base-uncased"]
    assert data.license == "apache-2.0"
    random = Seq2Seq.warm_start(encoder=f"random:{folder}", decoder=folder)
    assert [base.role for base in random.card.bases] == ["decoder"]


def test_facts_that_cannot_be_read(trained: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(trained, tmp_path / "model")
    (folder / "model_card.json").write_text('{"bases": 3}')
    with pytest.raises(CheckpointError, match="does not hold the facts"):
        Seq2Seq.from_pretrained(folder)
    (folder / "model_card.json").unlink()
    assert Seq2Seq.from_pretrained(folder).card != CardFacts()
