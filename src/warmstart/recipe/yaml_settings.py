"""YAML files of settings: read, changed from the command line, checked whole. Loads no torch."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from yaml.constructor import ConstructorError

from warmstart.errors import UsageError, did_you_mean

__all__ = ["check_settings", "read_settings"]

Tree = dict[str, Any]
T = TypeVar("T")

# What pydantic calls a wrong value -> what it should be.
_WANTED: Mapping[str, str] = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "path_type": "a path",
    "sequence_str": "a list",
    "string_type": "text",
    "too_short": "a list with something in it",
    "tuple_type": "a list",
}


def read_settings(path: Path, overrides: Sequence[str] = ()) -> Tree:
    """The sections of a file as plain values.

    ``${NAME}`` in a text is replaced by the environment variable of that name. A section of which
    every key is commented out is an empty one.

    Args:
        path: the YAML file.
        overrides: changes such as ``"training.max_steps=100"``; the value is YAML.

    Raises:
        UsageError: if the file cannot be read or is no YAML, or an override or a variable is
            not as it should be.
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
            "or write the value itself."
        )
    return {section: {} if value is None else value for section, value in tree.items()}


def check_settings(
    adapter: TypeAdapter[T], tree: Tree, path: Path, keys: Mapping[str, Iterable[str]]
) -> T:
    """Makes of plain values what they stand for.

    Args:
        adapter: says what is allowed.
        tree: from `read_settings`.
        path: names the file in the error.
        keys: the keys that each section may have, by its place in the schema; "" is the top.

    Raises:
        UsageError: with every problem at once.
    """
    try:
        return adapter.validate_python(tree)
    except ValidationError as error:
        problems = _problems(error.errors(include_url=False), tree, keys)
    except UsageError as error:  # of a check that needs several sections
        problems = [str(error)]
    problems = [problem.rstrip(".") for problem in problems]
    if len(problems) == 1:
        raise UsageError(f"{path}: {problems[0]}.")
    raise UsageError(f"{path} has {len(problems)} problems: {'; '.join(problems)}.")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"There is no file {path}; give a recipe, such as recipe.yaml.") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text; give a YAML file.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None


class _Loader(yaml.SafeLoader):
    """YAML in which a key stands once: of two, one would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Called by PyYAML for each mapping."""
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise ConstructorError(None, None, f"'{key.value}' stands twice", key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
        return super().construct_mapping(node, deep)


def _parse(text: str, what: str) -> Any:
    try:
        return yaml.load(text, _Loader)  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = "" if mark is None else f", line {mark.line + 1}"
        raise UsageError(
            f"{what}{line} is not valid YAML: {error.problem}. Mend that line."
        ) from None
    except yaml.YAMLError as error:
        raise UsageError(f"{what} is not valid YAML: {' '.join(str(error).split())}.") from None


def _set(tree: Tree, override: str) -> None:
    """Applies one ``section.key=value``."""
    place, equals, text = override.partition("=")
    names = place.strip().split(".")
    if not equals or not all(names):
        raise UsageError(f"'{override}' is no setting; give KEY=VALUE: training.max_steps=100.")
    node = tree
    for depth, name in enumerate(names[:-1], start=1):
        if node.get(name) is None:
            node[name] = {}
        if not isinstance(node[name], dict):
            raise UsageError(
                f"'{override}' cannot be set: {'.'.join(names[:depth])} is {node[name]!r} and has "
                "no keys; set the whole of it, in braces."
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


def _problems(
    errors: Iterable[ErrorDetails], tree: Tree, keys: Mapping[str, Iterable[str]]
) -> list[str]:
    """A sentence for each value that is wrong."""
    by_place: dict[str, list[ErrorDetails]] = {}
    for error in errors:
        by_place.setdefault(".".join(_place(error, tree)), []).append(error)
    return [_sentence(place, found, keys) for place, found in by_place.items()]


def _place(error: ErrorDetails, tree: Tree) -> Iterator[str]:
    """The keys that lead to a value; pydantic also names the types that it tried on the way."""
    value: Any = tree
    for part in error["loc"]:
        inside = isinstance(value, dict) and part in value
        if inside or (isinstance(value, list) and isinstance(part, int) and part < len(value)):
            value = value[part]
            yield str(part)
    if error["type"] == "missing":
        yield str(error["loc"][-1])


def _sentence(place: str, errors: Sequence[ErrorDetails], keys: Mapping[str, Iterable[str]]) -> str:
    error = errors[0]
    given = _shown(error["input"])
    section, _, name = place.rpartition(".")
    match error["type"]:
        case "missing":
            return f"{place} is missing"
        case "unexpected_keyword_argument" | "extra_forbidden":
            allowed = keys[".".join(map(str, error["loc"][:-1]))]
            return f"{section or 'the recipe'} has no '{name}'; {did_you_mean(name, allowed)}"
        case "dataclass_type" | "dict_type" | "mapping_type":
            return f"{place} is {given}; it should be a section, with keys of its own"
        case "value_error":
            return f"{place}: {error['ctx']['error']}"
        case "literal_error" if len(errors) == 1:
            choices = re.findall(r"'([^']*)'", error["ctx"]["expected"])
            if error["loc"][-1] == "[key]":
                return f"{section} has no '{name}'; {did_you_mean(name, choices)}"
            return f"{place} is {given}; {did_you_mean(str(error['input']), choices)}"
    wanted = " or ".join(_wanted(found) for found in errors)
    return f"{place} is {given}; it should be {wanted}"


def _wanted(error: ErrorDetails) -> str:
    if error["type"] == "greater_than_equal":
        return f"{error['ctx']['ge']} or more"
    return _WANTED.get(error["type"], error["msg"].removeprefix("Input should be "))


def _shown(value: object) -> str:
    """A value as YAML has it, or the beginning of a long one."""
    words = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
