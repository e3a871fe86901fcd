r"""Python's regular expressions in the plain parts of another engine's syntax.

Only unambiguous parts are used: groups, alternatives, repetitions, and classes spelled out as
ranges of code points, found with Python's own engine. So each class has its meaning in `re`:
``\w``, ``.`` or a letter without case.
"""

import importlib
import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, NoReturn

from warmstart.errors import UsageError

__all__ = ["LAST_CHARACTER", "translate"]

LAST_CHARACTER: Final = "\U0010ffff"  # in no text: excluded from every class

# The only access to the tree of an expression in Python.
_parser: Any = importlib.import_module("re._parser")

_LONGEST: Final = 5000  # characters of an expression with repetitions spelled out
_OF_CLASSES: Final = re.ASCII | re.IGNORECASE | re.DOTALL  # the flags that change a class
_CATEGORIES: Final = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
}
_REJECTED: Final = {
    "ASSERT": "a look-around",
    "ASSERT_NOT": "a look-around",
    "GROUPREF": "a back-reference",
    "GROUPREF_EXISTS": "a conditional group",
    "POSSESSIVE_REPEAT": "a possessive repetition",
    "ATOMIC_GROUP": "an atomic group",
}
_FIRST_ANCHORS: Final = ("AT_BEGINNING", "AT_BEGINNING_STRING")
_LAST_ANCHORS: Final = ("AT_END", "AT_END_STRING")


def translate(regex: str, most: int | None = None) -> str | None:
    """Translates an expression for whole texts to the syntax of the Rust crate ``regex``.

    Args:
        regex: in the syntax of Python's `re`. Anchors may stand at the ends of the whole text.
        most: greater counts of repetitions are lowered to this. Default: no limit.

    Returns:
        None if it matches no text at all.

    Raises:
        UsageError: if it is not a regular expression, not regular, or too long.
    """
    if not regex:
        raise UsageError(
            "regex is empty and matches only an empty output; give a regular expression for whole "
            "outputs, or leave it out."
        )
    try:
        regex.encode()
        tree = _parser.parse(regex)
    except (re.error, RecursionError, OverflowError, UnicodeEncodeError) as error:
        raise UsageError(
            f"regex is {regex!r:.80}, which is not a regular expression: {error}; see Python's re "
            "for the syntax."
        ) from None
    return _Walk(regex, most).sequence(list(tree), tree.state.flags, first=True, last=True)


class _Walk:
    """Walks through the tree of an expression and translates each part."""

    def __init__(self, regex: str, most: int | None) -> None:
        self.regex, self.most = regex, most
        self.characters = 0

    def sequence(
        self, nodes: Sequence[Any], flags: int, *, first: bool, last: bool, times: int = 1
    ) -> str | None:
        """Translates a sequence of nodes.

        Args:
            nodes: of the tree.
            flags: flags of `re` in effect.
            first: whether the whole text begins here.
            last: whether it ends after the nodes.
            times: number of copies from the repetitions around them.

        Returns:
            None if no text matches.
        """
        translated = []
        for index, (kind, value) in enumerate(nodes):
            part = self.part(
                str(kind),
                value,
                flags,
                first=first and all(_is_anchor(node) for node in nodes[:index]),
                last=last and all(_is_anchor(node) for node in nodes[index + 1 :]),
                times=times,
            )
            if part is None:
                return None
            translated.append(part)
        return "".join(translated)

    def part(
        self, kind: str, value: Any, flags: int, *, first: bool, last: bool, times: int
    ) -> str | None:
        """Translates one node of the tree. Arguments as in `sequence`."""
        match kind:
            case "LITERAL" | "NOT_LITERAL" | "ANY" | "IN":
                self.characters += times
                if self.characters > _LONGEST:
                    self._reject_long()
                if kind == "LITERAL" and not flags & re.IGNORECASE and value < ord(LAST_CHARACTER):
                    return f"\\x{{{value:x}}}"
                return _class(_python_class(kind, value), flags & _OF_CLASSES)
            case "BRANCH":
                branches = [
                    self.sequence(list(branch), flags, first=first, last=last, times=times)
                    for branch in value[1]
                ]
                return _either([branch for branch in branches if branch is not None])
            case "SUBPATTERN":
                _, added, taken, inner = value
                flags = (flags | added) & ~taken
                group = self.sequence(list(inner), flags, first=first, last=last, times=times)
                return None if group is None else f"(?:{group})"
            case "MAX_REPEAT" | "MIN_REPEAT":
                return self._repetition(value, flags, first=first, last=last, times=times)
            case "AT":
                allowed = (*(_FIRST_ANCHORS if first else ()), *(_LAST_ANCHORS if last else ()))
                if str(value) in allowed:
                    return ""
                self._reject("an anchor or \\b inside")
            case _:
                self._reject(_REJECTED.get(kind, kind))

    def _repetition(
        self, value: Any, flags: int, *, first: bool, last: bool, times: int
    ) -> str | None:
        least, most, inner = int(value[0]), value[1], list(value[2])
        bounded = most != _parser.MAXREPEAT
        if self.most is not None:
            least, most = min(least, self.most), min(int(most), self.most) if bounded else most
        once = least == most == 1
        copies = max(int(most) if bounded else least + 1, 1)
        part = self.sequence(
            inner, flags, first=first and once, last=last and once, times=times * copies
        )
        if part is None:
            return "" if least == 0 else None
        return f"(?:{part}){{{least},{int(most) if bounded else ''}}}"

    def _reject(self, what: str) -> NoReturn:
        raise UsageError(
            f"regex is '{self.regex:.80}', which has {what}; allowed are "
            "characters, classes, groups, alternatives, repetitions, and anchors at the ends of "
            "the whole text."
        )

    def _reject_long(self) -> None:
        raise UsageError(
            f"regex is '{self.regex:.80}', which with its repetitions spelled out has more than "
            f"{_LONGEST} characters; lower the counts, or use * or +."
        )


def _is_anchor(node: Any) -> bool:
    return str(node[0]) == "AT"


def _either(branches: Sequence[str]) -> str | None:
    return f"(?:{'|'.join(branches)})" if branches else None


def _python_class(kind: str, value: Any) -> str:
    """A character or class of the tree in Python's syntax."""
    if kind == "ANY":
        return "."
    if kind != "IN":
        value = [(kind, value)]
    items = []
    negated = ""
    for item, content in value:
        match str(item):
            case "NEGATE":
                negated = "^"
            case "NOT_LITERAL":
                negated = "^"
                items.append(_code(content))
            case "LITERAL":
                items.append(_code(content))
            case "RANGE":
                items.append(f"{_code(content[0])}-{_code(content[1])}")
            case _:
                items.append(_CATEGORIES[str(content)])
    return f"[{negated}{''.join(items)}]"


def _code(character: int) -> str:
    return f"\\U{character:08x}"


@cache
def _class(python: str, flags: int) -> str | None:
    """A class as ranges of code points, found by Python's engine."""
    ranges = [
        (found.group()[0], found.group()[-1])
        for found in re.finditer(f"{python}+", _characters(), flags)
    ]
    if not ranges:
        return None
    return "[" + "".join(f"\\x{{{ord(a):x}}}-\\x{{{ord(b):x}}}" for a, b in ranges) + "]"


@cache
def _characters() -> str:
    """All characters of texts, in order."""
    return "".join(map(chr, (*range(0xD800), *range(0xE000, ord(LAST_CHARACTER)))))
