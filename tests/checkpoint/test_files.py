"""Finding, reading and replacing checkpoint folders, and what is said when it cannot be done."""

import errno
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import NotASafetensorsRepoError
from huggingface_hub.utils._paths import filter_repo_objects
from huggingface_hub.utils._safetensors import (
    SafetensorsFileMetadata,
    SafetensorsRepoMetadata,
    TensorInfo,
)
from safetensors.torch import save_file
from torch import Tensor

from warmstart.checkpoint.files import (
    atomic_model_folder,
    find_folder,
    open_checkpoint,
    open_headers,
    read_json,
)
from warmstart.errors import CheckpointError, OutputError

TENSORS = {"a.weight": torch.arange(6.0).view(2, 3), "b.bias": torch.ones(4)}


def make_folder(folder: Path, tensors: dict[str, Tensor] | None = None) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    if tensors is not None:
        save_file(tensors, folder / "model.safetensors")
    return folder


def make_shards(folder: Path) -> Path:
    make_folder(folder)
    weight_map = {}
    for number, name in enumerate(TENSORS, start=1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({name: TENSORS[name]}, folder / file)
        weight_map[name] = file
    write_index(folder, weight_map)
    return folder


def write_index(folder: Path, weight_map: object) -> None:
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize("sharded", [False, True])
def test_tensors_are_listed_and_read(sharded: bool, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    checkpoint = open_checkpoint(make_shards(folder) if sharded else make_folder(folder, TENSORS))
    assert checkpoint.config == {"model_type": "bert"}
    assert checkpoint.shapes() == {"a.weight": (2, 3), "b.bias": (4,)}
    read = checkpoint.read(list(TENSORS))
    assert read.keys() == TENSORS.keys()
    assert all(torch.equal(read[name], TENSORS[name]) for name in TENSORS)


def test_an_architecture_needs_no_weights(tmp_path: Path) -> None:
    assert open_checkpoint(make_folder(tmp_path / "model"), weights=False).files == {}


def refusal(folder: str | Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_missing_folder(tmp_path: Path) -> None:
    assert f"There is no folder {tmp_path / 'none'}" in refusal(tmp_path / "none")
    assert "There is no folder ./none" in refusal("./none")
    assert "There is no folder a/b/c" in refusal("a/b/c")


def test_a_file_instead_of_a_folder(tmp_path: Path) -> None:
    file = make_folder(tmp_path / "model", TENSORS) / "model.safetensors"
    assert refusal(file) == f"{file} is a file; give the folder that holds the checkpoint."


def test_a_folder_that_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "has no config.json" in refusal(tmp_path / "empty")


def test_a_hub_id_without_a_network() -> None:
    message = refusal("nobody/has-this-checkpoint")
    assert "HF_HUB_OFFLINE" in message
    assert "hf download nobody/has-this-checkpoint" in message


def test_what_can_be_no_hub_id() -> None:
    assert "neither an existing folder nor a possible hub id" in refusal("no such:checkpoint")


def test_a_hub_id_in_the_local_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository, commit = tmp_path / "models--somebody--tiny", "0" * 40
    snapshot = make_folder(repository / "snapshots" / commit, TENSORS)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    assert find_folder("somebody/tiny") == snapshot
    assert open_checkpoint("somebody/tiny").name == "somebody/tiny"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not valid JSON"),
        ("[1]", "holds list, not an object"),
        ('{"hidden_size": 3}', "has no model_type"),
        ('{"model_type": 3}', "has no model_type"),
    ],
)
def test_a_config_that_says_nothing(text: str, reason: str, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model", TENSORS)
    (folder / "config.json").write_text(text)
    message = refusal(folder)
    assert reason in message
    assert str(folder / "config.json") in message


def test_json_that_is_missing_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is missing"):
        read_json(tmp_path / "none.json")
    (tmp_path / "latin.json").write_bytes(b'{"a": "\xe9"}')
    with pytest.raises(CheckpointError, match="is not valid JSON"):
        read_json(tmp_path / "latin.json")


def test_a_truncated_file(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model", TENSORS)
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    for length in (0, 5, 40, len(whole) - 1):
        file.write_bytes(whole[:length])
        assert f"{file} is truncated or not a safetensors file" in refusal(folder)


def test_a_truncated_shard(tmp_path: Path) -> None:
    folder = make_shards(tmp_path / "model")
    shard = folder / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-3])
    assert f"{shard} is truncated" in refusal(folder)


def test_a_missing_shard(tmp_path: Path) -> None:
    folder = make_shards(tmp_path / "model")
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert "names files that are missing: model-00002-of-00002.safetensors." in refusal(folder)


def test_an_index_of_tensors_that_are_nowhere(tmp_path: Path) -> None:
    folder = make_shards(tmp_path / "model")
    first = "model-00001-of-00002.safetensors"
    write_index(folder, {"a.weight": first, "c.weight": first, "b.bias": first})
    assert "names tensors that its files lack: b.bias, c.weight." in refusal(folder)


def test_an_index_without_a_map(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model")
    write_index(folder, None)
    assert "has no weight_map" in refusal(folder)


def test_no_weights(tmp_path: Path) -> None:
    message = refusal(make_folder(tmp_path / "model"))
    assert "has no model.safetensors and no model.safetensors.index.json" in message


@pytest.mark.parametrize("shards", [1, 2])
def test_a_pickle_is_refused_and_the_suggested_command_converts_it(
    shards: int, tmp_path: Path
) -> None:
    folder = make_folder(tmp_path / "model")
    if shards == 1:
        # Tied tensors, as pickles hold them: one storage under two names.
        torch.save({**TENSORS, "tied": TENSORS["a.weight"]}, folder / "pytorch_model.bin")
    else:
        for number, name in enumerate(TENSORS, start=1):
            file = folder / f"pytorch_model-0000{number}-of-00002.bin"
            torch.save({name: TENSORS[name]}, file)
        (folder / "pytorch_model.bin.index.json").write_text("{}")
    message = refusal(folder)
    assert "can run code when it is opened" in message
    command = shlex.split(message.partition("Convert it once: ")[2])
    assert command[0] == "python"
    subprocess.run([sys.executable, *command[1:]], check=True)
    checkpoint = open_checkpoint(folder)
    assert checkpoint.files.keys() >= TENSORS.keys()
    read = checkpoint.read(list(TENSORS))
    assert all(torch.equal(read[name], TENSORS[name]) for name in TENSORS)


def test_a_folder_gets_its_name_when_it_is_complete(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "model"
    with atomic_model_folder(folder) as partial:
        (partial / "config.json").write_text("{}")
        assert not folder.exists()
    assert [path.name for path in folder.iterdir()] == ["config.json"]
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    assert folder.stat().st_mode & 0o777 == 0o755


def test_a_model_is_replaced_whole(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model", TENSORS)
    with atomic_model_folder(folder) as partial:
        (partial / "config.json").write_text("new")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"config.json": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with (
        pytest.raises(OutputError, match="holds something that is not a model; it is left as it"),
        atomic_model_folder(tmp_path / "thesis"),
    ):
        pytest.fail("nothing may be written")
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"
    assert [path.name for path in tmp_path.iterdir()] == ["thesis"]


def test_a_file_in_the_way_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    for folder in (tmp_path / "file", tmp_path / "file" / "model"):
        with pytest.raises(OutputError), atomic_model_folder(folder):
            pytest.fail("nothing may be written")
    assert (tmp_path / "file").read_text() == "text"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), ValueError()])
@pytest.mark.parametrize("existed", [False, True])
def test_a_failure_leaves_everything_as_it_was(
    error: Exception, existed: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    if existed:
        make_folder(folder, TENSORS)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    expected = OutputError if isinstance(error, OSError) else ValueError
    with pytest.raises(expected) as caught:
        write_half(folder, error)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(list(tmp_path.iterdir())) == existed
    if isinstance(error, OSError):
        assert "the disk is full" in str(caught.value)


def write_half(folder: Path, error: Exception) -> None:
    with atomic_model_folder(folder) as partial:
        (partial / "config.json").write_text("half")
        raise error


class Hub:
    """A hub with one repository, "somebody/tiny": what is asked of it, and what it gives.

    Stands in for two functions of huggingface_hub, with its own way of choosing files.
    """

    def __init__(self, repository: Path, cache: Path) -> None:
        self.repository = repository
        self.snapshot = cache / ("0" * 40)
        self.asked: list[str] = []

    def snapshot_download(self, name: str, allow_patterns: list[str]) -> str:
        assert name == "somebody/tiny"
        files = [str(path.relative_to(self.repository)) for path in self.repository.rglob("*")]
        for file in filter_repo_objects(files, allow_patterns=allow_patterns):
            (self.snapshot / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.repository / file, self.snapshot / file)
        self.asked.append("files")
        return str(self.snapshot)

    def get_safetensors_metadata(self, name: str, revision: str) -> SafetensorsRepoMetadata:
        assert (name, revision) == ("somebody/tiny", self.snapshot.name)
        self.asked.append("headers")
        held = {}
        for path in self.repository.glob("*.safetensors"):
            size = int.from_bytes(path.read_bytes()[:8], "little")
            header = json.loads(path.read_bytes()[8 : 8 + size])
            header.pop("__metadata__", None)
            held[path.name] = SafetensorsFileMetadata(
                metadata={}, tensors={name: TensorInfo(**info) for name, info in header.items()}
            )
        if not held:
            raise NotASafetensorsRepoError("none here")
        weight_map = {name: file for file, found in held.items() for name in found.tensors}
        return SafetensorsRepoMetadata(
            metadata=None, sharded=len(held) > 1, weight_map=weight_map, files_metadata=held
        )

    def fetched(self) -> set[str]:
        """The names of the files that are here."""
        return {path.name for path in self.snapshot.iterdir()}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    made = Hub(tmp_path / "repository", tmp_path / "cache")
    for name in ("snapshot_download", "get_safetensors_metadata"):
        monkeypatch.setattr(f"huggingface_hub.{name}", getattr(made, name))
    return made


@pytest.mark.parametrize("sharded", [False, True])
def test_headers_alone_are_fetched_where_no_tensor_is_wanted(sharded: bool, hub: Hub) -> None:
    folder = make_shards(hub.repository) if sharded else make_folder(hub.repository, TENSORS)
    (folder / "vocab.txt").write_text("a")
    texts = {path.name for path in folder.iterdir() if path.suffix != ".safetensors"}
    checkpoint = open_headers("somebody/tiny")
    assert checkpoint.shapes() == {"a.weight": (2, 3), "b.bias": (4,)}
    assert checkpoint.files.keys() == checkpoint.shapes().keys()
    assert checkpoint.config == {"model_type": "bert"}
    assert hub.fetched() == texts
    assert hub.asked == ["files", "headers"]
    with pytest.raises(AssertionError, match="only the headers"):
        checkpoint.read(["a.weight"])
    # Once the weights are here they are read as they are.
    open_checkpoint("somebody/tiny")
    again = open_headers("somebody/tiny")
    assert again.shapes() == checkpoint.shapes()
    assert torch.equal(again.read(["a.weight"])["a.weight"], TENSORS["a.weight"])
    assert hub.asked == ["files", "headers", "files", "files"]


def test_an_architecture_on_the_hub_is_fetched_without_weights(hub: Hub) -> None:
    make_folder(hub.repository, TENSORS)
    assert open_checkpoint("somebody/tiny", weights=False).files == {}
    assert hub.fetched() == {"config.json"}
    assert open_checkpoint("somebody/tiny").files.keys() == TENSORS.keys()
    assert hub.asked == ["files", "files"]


def test_a_folder_is_opened_as_ever(tmp_path: Path) -> None:
    checkpoint = open_headers(make_folder(tmp_path / "model", TENSORS))
    assert checkpoint.shapes() == {"a.weight": (2, 3), "b.bias": (4,)}
    assert torch.equal(checkpoint.read(["b.bias"])["b.bias"], TENSORS["b.bias"])
    with pytest.raises(CheckpointError, match=r"has no model\.safetensors"):
        open_headers(make_folder(tmp_path / "bare"))


def test_a_hub_that_has_no_headers_or_does_not_give_them(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder(hub.repository)
    with pytest.raises(CheckpointError, match=r"'somebody/tiny' has no model\.safetensors"):
        open_headers("somebody/tiny")

    def away(*_: object, **__: object) -> None:
        raise ConnectionError("no\nroute")

    monkeypatch.setattr("huggingface_hub.get_safetensors_metadata", away)
    with pytest.raises(CheckpointError, match=r"\(no route\).*hf download somebody/tiny"):
        open_headers("somebody/tiny")


@pytest.mark.parametrize(
    "name",
    ["h.weight.absmax", "h.qweight", "h.qzeros", "h.weight_packed", "h.weight_scale_inv", "h.SCB"],
)
def test_quantized_files_are_named_as_such_whatever_the_config(name: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    save_file({name: torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"is quantized: .* that it was quantized from"):
        open_checkpoint(tmp_path)
