from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.cli.test_train import Run
from tests.support.tiny import Checkpoints

from warmstart.errors import OutputError, UsageError
from warmstart.hub.push import check_push
from warmstart.seq2seq import Seq2Seq


class FakeHub:
    """Stands in for the hub."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files: dict[str, str] = {}
        self.made: dict[str, Any] = {}
        self.fails: Exception | None = None
        monkeypatch.setattr("huggingface_hub.constants.is_offline_mode", lambda: False)
        monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_token")
        monkeypatch.setattr("huggingface_hub.whoami", lambda: {"name": "me"})
        monkeypatch.setattr("huggingface_hub.HfApi", lambda: self)

    def create_repo(self, repo: str, *, private: bool | None, exist_ok: bool) -> SimpleNamespace:
        self.made = {"repo": repo, "private": private, "exist_ok": exist_ok}
        return SimpleNamespace(repo_id=f"me/{repo}" if "/" not in repo else repo)

    def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> None:
        if self.fails is not None:
            raise self.fails
        self.files = {path.name: str(path) for path in folder_path.iterdir()}
        self.card = (folder_path / "README.md").read_text()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    return FakeHub(monkeypatch)


def test_a_model_is_pushed(hub: FakeHub, checkpoints: Checkpoints) -> None:
    model = Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=checkpoints("bert"))
    assert model.push_to_hub("split", private=True) == "https://huggingface.co/me/split"
    assert hub.made == {"repo": "split", "private": True, "exist_ok": True}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= set(hub.files)
    assert 'from_pretrained("split")' in hub.card


def test_a_finished_run_is_pushed(
    hub: FakeHub, warmstart: Run, recipe: Path, tmp_path: Path
) -> None:
    one = ("--set", "training.max_steps=1", "--set", "evaluation.metrics=[sari]")
    finished = warmstart("train", recipe, *one, "--push-to-hub", "me/split")
    assert finished.code == 0, finished.err
    assert "pushed to https://huggingface.co/me/split" in finished.err
    assert hub.files["model.safetensors"] == str(tmp_path / "run" / "final" / "model.safetensors")
    assert 'from_pretrained("me/split")' in hub.card
    assert "On 8 examples of the validation split" in hub.card


def test_a_failed_push_loses_nothing(
    hub: FakeHub, warmstart: Run, recipe: Path, tmp_path: Path
) -> None:
    hub.fails = ConnectionError("the cable is out\nand more")
    one = ("--set", "training.max_steps=1")
    finished = warmstart("train", recipe, *one, "--push-to-hub", "me/split")
    folder = tmp_path / "run" / "final"
    assert finished.code == 1
    assert f"model in {folder}" in finished.out
    error = finished.err.splitlines()[-1]
    assert error.endswith(f"Push it later with: hf upload me/split {folder} .")
    assert "(the cable is out)" in error
    assert Seq2Seq.from_pretrained(folder).card.trainings[0].steps == 1


@pytest.mark.parametrize("repo", ["me/split/more", "me /split", "-split", "../split", ""])
def test_names_that_the_hub_does_not_have(repo: str, hub: FakeHub) -> None:
    with pytest.raises(UsageError, match="cannot be the name"):
        check_push(repo)


def test_what_cannot_be_pushed_is_refused_before_anything_is_read(
    hub: FakeHub, warmstart: Run, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("train", recipe, "--set", "task.data=nowhere.tsv", "--push-to-hub", "me/split")

    def unknown() -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.whoami", unknown)
    warmstart(*command).assert_failed(1, "no route")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    warmstart(*command).assert_failed(2, "hf auth login")
    monkeypatch.setattr("huggingface_hub.constants.is_offline_mode", lambda: True)
    warmstart(*command).assert_failed(1, "HF_HUB_OFFLINE")
    assert not (tmp_path / "run").exists()
    with pytest.raises(OutputError, match="HF_HUB_OFFLINE"):
        check_push("me/split")
