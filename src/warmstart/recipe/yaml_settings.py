"""YAML files of settings, read and changed from the command line."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from warmstart.errors import UsageError
from warmstart.special_files import special_file

__all__ = ["Tree", "read_settings"]

Tree = dict[str, Any]


def read_settings(path: Path, overrides: Sequence[str] = ()) -> Tree:
    """The sections of a file as plain values.

    ``${NAME}`` in a text is replaced by the environment variable of that name. A section without
    keys, as when all of them are commented out, is an empty one.

    Args:
        path: the YAML file.
        overrides: changes such as ``"training.max_steps=100"``; the value is YAML.

    Raises:
        UsageError: if the file cannot be read or is not YAML, an override is not a setting, or a
            variable is not set.
    """
    tree = _parse(_read(path), str(path))
    if not isinstance(tree, dict):
        raise UsageError(f"{path} holds no sections; it needs lines such as 'training:'.")
    for override in overrides:
        _set(tree, override)
    unset: list[str] = []
    tree = _expand(tree, unset)
    if unset:
        raise UsageError(
            f"{path} names environment variables that are not set: {', '.join(unset)}; set them, "
            "or write the values themselves."
        )
    return {section: {} if value is None else value for section, value in tree.items()}


def _read(path: Path) -> str:
    kind = special_file(path)
    if kind is not None:
        raise UsageError(f"{path} is {kind}, not a file; give a recipe, such as recipe.yaml.")
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"There is no file {path}; give a recipe, such as recipe.yaml.") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text; give a YAML file.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None


class _Loader(yaml.SafeLoader):
    """YAML that refuses repeated keys, of which one would be lost silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Called by PyYAML for each mapping."""
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise ConstructorError(None, None, f"'{key.value}' is repeated", key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
        return super().construct_mapping(node, deep)


def _parse(text: str, what: str) -> Any:
    try:
        return yaml.load(text, _Loader)  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = "" if mark is None else f", line {mark.line + 1}"
        raise UsageError(
            f"{what}{line} is not valid YAML: {error.problem}. Correct that line."
        ) from None
    except yaml.YAMLError as error:
        raise UsageError(f"{what} is not valid YAML: {' '.join(str(error).split())}.") from None


def _set(tree: Tree, override: str) -> None:
    """Applies one ``section.key=value``."""
    place, equals, text = override.partition("=")
    names = place.strip().split(".")
    if not equals or not all(names):
        raise UsageError(f"'{override}' is not a setting; give KEY=VALUE: training.max_steps=100.")
    node = tree
    for depth, name in enumerate(names[:-1], start=1):
        if node.get(name) is None:
            node[name] = {}
        if not isinstance(node[name], dict):
            raise UsageError(
                f"'{override}' cannot be set: {'.'.join(names[:depth])} is {node[name]!r} and has "
                "no keys; set all of it, in braces."
            )
        node = node[name]
    node[names[-1]] = _parse(text, f"the value of '{override}'")


def _expand(value: Any, unset: list[str]) -> Any:
    if isinstance(value, dict):
        return {key: _expand(inner, unset) for key, inner in value.items()}
    if isinstance(value, list):
        return [_expand(inner, unset) for inner in value]
    if not isinstance(value, str):
        return value
    names = re.findall(r"\$\{(\w+)\}", value)
    unset += [name for name in names if name not in os.environ and name not in unset]
    return re.sub(r"\$\{(\w+)\}", lambda found: os.environ.get(found[1], ""), value)
