"""Checkpoint folders: finding, reading and writing them. Knows files, not models."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    NotASafetensorsRepoError,
)
from safetensors import SafetensorError, safe_open
from torch import Tensor

from warmstart.errors import CheckpointError, OutputError
from warmstart.special_files import special_file
from warmstart.writing import atomic_folder

__all__ = [
    "ADAPTER_CONFIG",
    "CONFIG",
    "Checkpoint",
    "atomic_model_folder",
    "check_replaceable",
    "find_folder",
    "open_checkpoint",
    "open_headers",
    "read_json",
]

ADAPTER_CONFIG = "adapter_config.json"  # of a folder with an adapter for another model
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
# Ends of names of tensors in quantized files: bitsandbytes, GPTQ, AWQ, compressed-tensors, fp8.
_QUANTIZED = (
    ".absmax",
    ".SCB",
    ".qweight",
    ".qzeros",
    ".weight_packed",
    ".weight_scale",
    ".weight_scale_inv",
)
_WEIGHT_TYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
# The files of a hub repository and its folders (decoder_tokenizer) that a model needs: no code, no
# pickles, no other frameworks' weights. Of the card only the licence is read.
_HUB_TOKENIZERS = ["*.txt", "*.model", "*.spm", "*.tiktoken", "*.codes", "*.bpe"]
_HUB_TEXTS = ["*.json", *_HUB_TOKENIZERS, "README.md"]
_HUB_FILES = [*_HUB_TEXTS, "model*.safetensors"]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder with a config and, unless only the architecture is needed, tensors.

    Attributes:
        name: the user's name for it: a folder or a hub id.
        folder: its folder on disk.
        config: the content of config.json.
        files: tensor name -> its safetensors file.
        headers: tensor name -> shape, if only the headers of the files were fetched and no tensor
            can be read; None if the files are local.
    """

    name: str
    folder: Path
    config: Mapping[str, Any]
    files: Mapping[str, Path]
    headers: Mapping[str, tuple[int, ...]] | None = None

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor, from the files' headers."""
        if self.headers is not None:
            return dict(self.headers)
        shapes = {}
        for path in sorted(set(self.files.values())):
            with _opened(path) as file:
                for name in file.keys():  # noqa: SIM118  # it is no mapping
                    shapes[name] = tuple(file.get_slice(name).get_shape())
        return {name: shapes[name] for name in self.files}

    def read(self, names: Iterator[str] | list[str]) -> dict[str, Tensor]:
        """Tensors by name."""
        assert self.headers is None, "only the headers of these tensors were fetched"
        by_file: dict[Path, list[str]] = {}
        for name in names:
            by_file.setdefault(self.files[name], []).append(name)
        tensors = {}
        for path, wanted in by_file.items():
            with _opened(path) as file:
                for name in wanted:
                    tensors[name] = _floats(file.get_tensor(name), name, path)
        return tensors


def open_checkpoint(name: str | os.PathLike[str], *, weights: bool = True) -> Checkpoint:
    """Finds a checkpoint and lists its tensors, without reading them.

    Args:
        name: a folder, or a hub id such as ``google-bert/bert-base-uncased``.
        weights: False if only config.json and the tokenizer are needed.

    Raises:
        CheckpointError: if the checkpoint does not exist or cannot be read.
    """
    folder = find_folder(name, weights=weights)
    config = _config(folder)
    files: dict[str, Path] = {}
    if weights:
        _check_full_precision(os.fspath(name), config)
        files = _tensor_files(folder)
        _check_full_precision(os.fspath(name), config, files)
    return Checkpoint(name=os.fspath(name), folder=folder, config=config, files=files)


def open_headers(name: str | os.PathLike[str]) -> Checkpoint:
    """Like `open_checkpoint`, but does not fetch the weights of a hub id.

    Names and shapes are read from the headers of the files on the hub; the tensors themselves
    cannot be read. A local checkpoint is opened normally.

    Args:
        name: a folder or hub id.

    Raises:
        CheckpointError: if the checkpoint does not exist or cannot be read.
    """
    folder = find_folder(name, weights=False)
    config = _config(folder)
    _check_full_precision(os.fspath(name), config)
    files, headers = {}, None
    if Path(name).expanduser().is_dir() or _weights_are_here(folder):
        files = _tensor_files(folder)
    else:
        headers = _fetch_headers(os.fspath(name), folder)
        files = dict.fromkeys(headers, folder / WEIGHTS)
    _check_full_precision(os.fspath(name), config, files)
    return Checkpoint(
        name=os.fspath(name), folder=folder, config=config, files=files, headers=headers
    )


def find_folder(name: str | os.PathLike[str], *, weights: bool = True) -> Path:
    """The local folder of a checkpoint; a hub id is looked up in the cache, then on the hub.

    ``HF_HOME``, ``HF_HUB_OFFLINE`` and ``HF_TOKEN`` have the same effect as in huggingface_hub.

    Args:
        name: a folder or hub id.
        weights: whether the weights of a hub id are fetched too.

    Raises:
        CheckpointError: if it does not exist.
    """
    name = os.fspath(name)
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / CONFIG).is_file() and (path / ADAPTER_CONFIG).is_file():
            raise CheckpointError(
                f"The folder {name} holds an adapter, not a full model; merge it with its base "
                f"model: warmstart export {name} --merge -o DIR."
            )
        if not (path / CONFIG).is_file():
            raise CheckpointError(
                f"The folder {name} has no {CONFIG}, so it is not a model folder. "
                "Give the folder that contains config.json."
            )
        return path
    if path.exists():
        raise CheckpointError(f"{name} is a file; give the folder that holds the checkpoint.")
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise CheckpointError(
            f"There is no folder {name}. Give an existing model folder or a hub id such as "
            "google-bert/bert-base-uncased."
        )
    return _download(name, _HUB_FILES if weights else _HUB_TEXTS)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        CheckpointError: if the file is missing or not a JSON object.
    """
    try:
        kind = special_file(path)
        if kind is not None:
            raise CheckpointError(f"{path} is {kind}, not a file; restore the file.")
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing; the checkpoint is not complete.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is not valid JSON ({error}); restore the file.") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds {type(value).__name__}, not an object.")
    return value


def check_replaceable(folder: Path) -> None:
    """Rejects a folder that `atomic_model_folder` would not replace.

    Raises:
        OutputError: if the folder holds something that is not a model, or is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; give a folder for the model.")
    ours = any((folder / name).is_file() for name in (CONFIG, ADAPTER_CONFIG))
    if folder.is_dir() and any(folder.iterdir()) and not ours:
        raise OutputError(
            f"The folder {folder} holds something that is not a model; it is left as it is. "
            "Give a new or empty folder."
        )


@contextmanager
def atomic_model_folder(folder: Path) -> Iterator[Path]:
    """An `atomic_folder` that replaces a model, and nothing else.

    Raises:
        OutputError: if the folder holds something that is not a model, or cannot be written.
    """
    check_replaceable(folder)
    with atomic_folder(folder) as partial:
        try:
            yield partial
        except SafetensorError as error:  # of writing
            raise OSError(str(error)) from None


def _config(folder: Path) -> dict[str, Any]:
    config = read_json(folder / CONFIG)
    if not isinstance(config.get("model_type"), str):
        raise CheckpointError(
            f"{folder / CONFIG} has no model_type, so its architecture is unknown. "
            'Add one, for example "model_type": "bert".'
        )
    return config


def _check_full_precision(
    name: str, config: Mapping[str, Any], tensors: Iterable[str] = ()
) -> None:
    quantization = config.get("quantization_config")
    if quantization is not None or any(tensor.endswith(_QUANTIZED) for tensor in tensors):
        method = quantization.get("quant_method") if isinstance(quantization, Mapping) else None
        raise CheckpointError(
            f"{name} is quantized{f' ({method})' if method else ''}: its weights are rounded and "
            "stored with scales, from which no model can be composed or trained. Give the "
            "checkpoint that it was quantized from."
        )


def _weights_are_here(folder: Path) -> bool:
    """Whether all weights of a snapshot of the hub were fetched before."""
    if (folder / WEIGHTS).is_file():
        return True
    if not (folder / INDEX).is_file():
        return False
    weight_map = read_json(folder / INDEX).get("weight_map")
    return isinstance(weight_map, dict) and all(
        (folder / file).is_file() for file in weight_map.values()
    )


def _fetch_headers(name: str, snapshot: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a hub id's tensors. The snapshot's folder is named by its commit."""
    try:
        metadata = huggingface_hub.get_safetensors_metadata(name, revision=snapshot.name)
    except NotASafetensorsRepoError:
        raise CheckpointError(
            f"The hub repository '{name}' has no {WEIGHTS} and no {INDEX}; there are no weights to "
            "read. (Pickles, such as pytorch_model.bin, are not.)"
        ) from None
    except Exception as error:  # huggingface_hub's own, httpx's, or the system's
        raise CheckpointError(
            f"The headers of the weights of '{name}' could not be fetched "
            f"({' '.join(str(error).split())}). Try again with a network, or download "
            f"it: hf download {name}"
        ) from None
    return {
        tensor: tuple(metadata.files_metadata[file].tensors[tensor].shape)
        for tensor, file in metadata.weight_map.items()
    }


def _download(name: str, patterns: list[str]) -> Path:
    try:
        folder = huggingface_hub.snapshot_download(name, allow_patterns=patterns)
    except HFValidationError:
        raise CheckpointError(
            f"'{name}' is neither an existing folder nor a possible hub id (owner/name)."
        ) from None
    except LocalEntryNotFoundError:
        raise CheckpointError(
            f"'{name}' is neither a local folder nor in the local cache, and the hub cannot be "
            "reached (offline, or HF_HUB_OFFLINE is set). Give a local folder, or download it "
            f"first with a network: hf download {name}"
        ) from None
    except HfHubHTTPError as error:
        reason = str(error).strip().splitlines()[-1]
        raise CheckpointError(
            f"The hub refused '{name}' ({reason}). Check the name, and HF_TOKEN for a "
            "private or gated repository."
        ) from None
    except OSError as error:
        raise CheckpointError(
            f"'{name}' is not a local folder and could not be fetched from the hub ({error})."
        ) from None
    if not (Path(folder) / CONFIG).is_file():
        raise CheckpointError(f"The hub repository '{name}' has no {CONFIG}.")
    return Path(folder)


def _tensor_files(folder: Path) -> dict[str, Path]:
    single, index = folder / WEIGHTS, folder / INDEX
    if single.is_file():
        with _opened(single) as file:
            return dict.fromkeys(file.keys(), single)
    if index.is_file():
        weight_map = read_json(index).get("weight_map")
        if not isinstance(weight_map, dict):
            raise CheckpointError(f"{index} has no weight_map; restore the file.")
        files = {name: folder / file for name, file in weight_map.items()}
        _check_shards(index, files)
        return files
    pickles = [name for name in _PICKLES if (folder / name).is_file()]
    if pickles:
        raise CheckpointError(
            f"{folder} has only a pickle ({pickles[0]}), which can run code when it is opened. "
            'Convert it once: python -c "import glob, torch, safetensors.torch as s; '
            f"files = glob.glob('{folder / 'pytorch_model*.bin'}'); "
            "s.save_file({k: v.clone().contiguous() for f in files for k, v in "
            f"torch.load(f, map_location='cpu', weights_only=True).items()}}, '{single}')\""
        )
    raise CheckpointError(
        f"{folder} has no {WEIGHTS} and no {INDEX}; there are no weights to read. (Pickles, such "
        "as pytorch_model.bin, are not fetched from the hub.)"
    )


def _check_shards(index: Path, files: Mapping[str, Path]) -> None:
    absent = sorted({path.name for path in files.values() if not path.is_file()})
    if absent:
        raise CheckpointError(f"{index} names files that are missing: {', '.join(absent)}.")
    held = set()
    for path in set(files.values()):
        with _opened(path) as file:
            held.update(file.keys())
    lost = sorted(set(files) - held)
    if lost:
        raise CheckpointError(
            f"{index} names tensors that its files lack: {', '.join(lost[:5])}"
            f"{' ...' if len(lost) > 5 else ''}."
        )


def _floats(tensor: Tensor, name: str, path: Path) -> Tensor:
    """A weight, if it is one that can be computed with."""
    if tensor.dtype not in _WEIGHT_TYPES:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise CheckpointError(
            f"{name} in {path} is of type {kind}, but weights are of type float32, bfloat16, "
            "float16 or float64. Quantized weights need their scales; take the checkpoint that was "
            "quantized."
        )
    return tensor


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is truncated or not a safetensors file ({error}). Fetch or save it again."
        ) from None
