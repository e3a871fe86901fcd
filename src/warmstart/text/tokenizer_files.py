"""Tokenizers from the files of a folder, as the files define them. No code of a folder is run.

transformers builds most tokenizers from the name of a class and takes the vocabulary alone from the
files, so that a normalizer in tokenizer.json or the spaces of a SentencePiece model can be lost.
What it builds is therefore compared with tokenizers and sentencepiece, which read the files.
"""

import json
import logging
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Any, Final

import tokenizers
import transformers
from transformers import PreTrainedTokenizerBase

from warmstart.errors import CheckpointError
from warmstart.special_files import special_file
from warmstart.text.sentencepiece_rules import cuts_alike, open_model, rebuild

__all__ = ["load_tokenizer"]

_JSON: Final = "tokenizer.json"
_SETTINGS: Final = "tokenizer_config.json"
_FILES: Final = (
    _JSON,
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "spm.model",
)
_SENTENCEPIECE: Final = tuple(name for name in _FILES if name.endswith(".model"))
_OTHER_FILES: Final = (
    "config.json",
    _SETTINGS,
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    "chat_template.jinja",
    "source.spm",
    "target.spm",
)
_PARTS: Final = ("normalizer", "pre_tokenizer", "model", "post_processor", "decoder")
# Levels of loggers and filters of warnings are the process's: one thread changes them at a time.
_quiet: Final = threading.RLock()

logger = logging.getLogger(__name__)


def load_tokenizer(folder: str | os.PathLike[str], whose: str) -> PreTrainedTokenizerBase:
    """Loads the tokenizer of a folder.

    Args:
        folder: a local folder.
        whose: names it in the error, such as "the source tokenizer of DIR".

    Raises:
        CheckpointError: if it is missing, cannot be read, or needs code of its own.
    """
    path = Path(folder)
    named = f"{whose[0].upper()}{whose[1:]}"
    if not any((path / name).is_file() for name in _FILES) and not _needs_no_file(path):
        raise CheckpointError(
            f"{named} is missing: {path} has none of {', '.join(_FILES)}. Copy the tokenizer's "
            "files there."
        )
    for name in (*_FILES, *_OTHER_FILES):  # transformers would wait for the other end of a pipe
        kind = special_file(path / name)
        if kind is not None:
            raise CheckpointError(f"{path / name} is {kind}, not a file; restore the file.")
    try:
        with _without_warnings():
            tokenizer = _load(path)
    except _OwnCodeError as error:
        raise CheckpointError(
            f"{named} in {path} needs code of its own ({error}), which is not run. Convert it to "
            f"{_JSON} where you trust the code, and copy that file there."
        ) from None
    except Exception as error:  # transformers raises anything, from KeyError to pyo3's
        reason = shorten(str(error) or repr(error), width=300)
        raise CheckpointError(f"{named} in {path} cannot be read: {reason}") from error
    if tokenizer.is_fast:  # a limit or padding of the file's own is not wanted, and not thread-safe
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
    return tokenizer


class _OwnCodeError(Exception):
    """A tokenizer whose class is in the folder or on the hub."""


def _load(folder: Path) -> PreTrainedTokenizerBase:
    settings = _json_object(folder / _SETTINGS)
    if (folder / _JSON).is_file():
        return _load_json(folder, settings)
    own_code = _own_code(settings)
    if own_code is not None and _transformers_class(settings) is None:
        raise _OwnCodeError(own_code)
    loaded = _by_class(folder, settings)
    present = [folder / name for name in _SENTENCEPIECE if (folder / name).is_file()]
    model = open_model(present[0]) if len(present) == 1 and loaded.is_fast else None
    if model is None or cuts_alike(loaded, model):
        return loaded
    rebuilt = rebuild(loaded, model)
    if rebuilt is None:
        logger.warning(
            "The tokenizer in %s does not cut texts as its SentencePiece model %s does; convert it "
            "to %s with the library that it was made with.",
            folder,
            present[0].name,
            _JSON,
        )
        return loaded
    return rebuilt


def _load_json(folder: Path, settings: dict[str, Any]) -> PreTrainedTokenizerBase:
    """The tokenizer of tokenizer.json, with the special tokens of its class."""
    file = tokenizers.Tokenizer.from_file(str(folder / _JSON))
    if _own_code(settings) is not None and _transformers_class(settings) is None:
        return _as_in_file(folder)
    try:
        loaded = _by_class(folder, settings)
    except Exception as error:  # a class that cannot be built of this file
        logger.debug("%s is loaded without its class: %r", folder, error)
        return _as_in_file(folder)
    if loaded.is_fast and all(
        _state(loaded.backend_tokenizer, part) == _state(file, part) for part in _PARTS
    ):
        return loaded
    vocabulary = file.get_vocab(with_added_tokens=True)
    special = {
        name: token for name, token in loaded.special_tokens_map.items() if token in vocabulary
    }
    return _as_in_file(
        folder,
        **special,
        model_input_names=loaded.model_input_names,
        padding_side=loaded.padding_side,
        truncation_side=loaded.truncation_side,
        clean_up_tokenization_spaces=loaded.clean_up_tokenization_spaces,
    )


def _state(tokenizer: tokenizers.Tokenizer, part: str) -> bytes | None:
    value = getattr(tokenizer, part)
    return None if value is None else bytes(value.__getstate__())


def _as_in_file(folder: Path, **settings: Any) -> PreTrainedTokenizerBase:
    tokenizer: PreTrainedTokenizerBase = transformers.PreTrainedTokenizerFast.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False, **settings
    )
    return tokenizer


def _by_class(folder: Path, settings: dict[str, Any]) -> PreTrainedTokenizerBase:
    """What transformers makes of the folder, by the class that its files name."""
    for named in (settings, _json_object(folder / "config.json")):
        # Some classes of that library load others by a folder's word, or models.
        value = named.get("tokenizer_class")
        if value is not None and not _is_tokenizer_class(value):
            raise ValueError(f"tokenizer_class is {value!r}, which is no tokenizer of transformers")
    composed = _json_object(folder / "config.json")
    encoder = composed.get("encoder")
    given: dict[str, Any] = {}
    if composed.get("model_type") == "encoder_decoder" and isinstance(encoder, dict):
        # A spelling of encoder-decoder that transformers does not know.
        given["config"] = transformers.AutoConfig.for_model(str(encoder.get("model_type")))
    tokenizer: PreTrainedTokenizerBase = transformers.AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False, **given
    )
    return tokenizer


def _needs_no_file(folder: Path) -> bool:
    """Whether the folder's tokenizer is of bytes, without a vocabulary (ByT5)."""
    found = _transformers_class(_json_object(folder / _SETTINGS))
    return found is not None and getattr(found, "vocab_files_names", None) == {}


def _own_code(settings: dict[str, Any]) -> str | None:
    """The class outside transformers that a folder asks for; None: none."""
    named = settings.get("auto_map")
    if isinstance(named, dict):
        named = named.get("AutoTokenizer")
    if named is None:
        return None
    names = [name for name in named if name] if isinstance(named, list | tuple) else [named]
    return f"auto_map: {', '.join(map(str, names))}"


def _transformers_class(settings: dict[str, Any]) -> type | None:
    from transformers.models.auto.tokenization_auto import tokenizer_class_from_name

    name = settings.get("tokenizer_class")
    found = tokenizer_class_from_name(name) if isinstance(name, str) else None
    return found if isinstance(found, type) else None


def _is_tokenizer_class(name: object) -> bool:
    """Whether it names a tokenizer, or nothing that transformers knows, which it passes over."""
    found = _transformers_class({"tokenizer_class": name})
    known = isinstance(name, str) and not name.startswith("Auto")
    return known and (found is None or issubclass(found, PreTrainedTokenizerBase))


def _json_object(path: Path) -> dict[str, Any]:
    """What a JSON file holds; nothing if it is missing."""
    if not path.is_file():
        return {}
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} holds {type(value).__name__}, not an object")
    return value


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Silences warnings of a config that transformers cannot hold: a tokenizer is all we want.

    And of a package that its Marian tokenizer looks for and never uses.
    """
    noisy = logging.getLogger("transformers.configuration_utils")
    with _quiet, warnings.catch_warnings():
        level = noisy.level
        noisy.setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")
        try:
            yield
        finally:
            noisy.setLevel(level)
