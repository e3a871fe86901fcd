"""Rules for two consecutive sentences, joined by a connective or a pronoun."""

import re
from typing import Final

from warmstart.discourse.english import (
    capitalized,
    is_finite,
    name_at_start,
    starts_clause,
    tokens_of,
)
from warmstart.discourse.rule_pair import PairRule, RulePair, rule_pair

__all__ = ["PAIR_RULES"]

_CONNECTIVES: Final = (
    "however|therefore|thus|hence|moreover|furthermore|additionally|nevertheless|nonetheless"
    "|consequently|instead|meanwhile|similarly|likewise|accordingly|subsequently|otherwise|besides"
    "|afterwards|afterward|in addition|for example|for instance|as a result|in fact|indeed"
    "|on the other hand|in contrast|by contrast|on the contrary|at the same time|in turn"
    "|in particular|in other words|as a consequence|even so|still|finally|eventually|then|later"
    "|ultimately|conversely|rather|of course|after that|that said|by comparison"
)
_OPENING: Final = re.compile(rf"({_CONNECTIVES}), ", re.IGNORECASE)
_INSIDE: Final = re.compile(
    r", (however|therefore|nevertheless|moreover|furthermore|instead|meanwhile|consequently"
    r"|for example|for instance|of course|indeed|in turn|in fact), "
)
_BARE_OPENING: Final = re.compile(r"(But|And|So|Yet|Then|Thus|Hence) (?=\w)")


def _opening_connective(first: str, second: str) -> RulePair | None:
    """``X. However, Y.``"""
    match = _OPENING.match(second)
    if match is None:
        return None
    rest = second[match.end() :]
    return rule_pair(
        "discourse connective",
        match.group(1).lower(),
        f"{first} {second}",
        (first, capitalized(rest)),
        None,
    )


def _inside_connective(first: str, second: str) -> RulePair | None:
    """``X. Y, however, Z.``"""
    match = _INSIDE.search(second)
    if match is None or len(_INSIDE.findall(second)) != 1:
        return None
    left, right = second[: match.start()], second[match.end() :]
    # Between subject and verb, or after an auxiliary: so the commas belong to the connective.
    words = tokens_of(left)
    if (
        not words
        or len(words) > 7
        or words[0] in ("if", "when", "as", "while", "although", "because", "since")
    ):
        return None
    if not is_finite(tokens_of(right)[0], after_subject=True) and not starts_clause(second):
        return None
    rest = f"{left} {right}"
    if "," in left or not starts_clause(rest):
        return None
    return rule_pair(
        "discourse connective", match.group(1), f"{first} {second}", (first, rest), None
    )


def _bare_connective(first: str, second: str) -> RulePair | None:
    """``X. But Y.``"""
    match = _BARE_OPENING.match(second)
    if match is None:
        return None
    rest = second[match.end() :]
    if not starts_clause(rest):
        return None
    return rule_pair(
        "discourse connective",
        match.group(1).lower(),
        f"{first} {second}",
        (first, capitalized(rest)),
        None,
    )


_PERSON: Final = re.compile(r"(He|She) (?=[a-z])|(His|Her) (?=[a-z])")
_SPEAKERS: Final = frozenset("he him his she her hers they them their who whom whose".split())


def _person(first: str, second: str) -> RulePair | None:
    """``NAME X. He Y.``, where no other person is named: the name can be in both."""
    match = _PERSON.match(second)
    name = name_at_start(first)
    if match is None or name is None or len(name.split()) > 4:
        return None
    rest = first[len(name) :]
    words = tokens_of(rest)
    if not words or not is_finite(words[0], after_subject=True):
        return None
    others = re.findall(r"(?<=[a-z,;] )[A-Z][a-z]+(?: [A-Z][a-z]+)*", rest)
    # A second name could be the antecedent, but not months and places after "in".
    if any(_could_be_person(rest, other) for other in others) or _SPEAKERS.intersection(words):
        return None
    pronoun, own = match.groups()
    rest = second[match.end() :]
    if own == "Her" and is_finite(tokens_of(rest)[0], after_subject=False):
        return None
    if own is None and not starts_clause(second):
        return None
    subject = name if own is None else f"{name}'s"
    return rule_pair(
        "anaphora",
        (pronoun or own).lower(),
        f"{first} {second}",
        (first, f"{subject} {rest}"),
        None,
    )


def _could_be_person(text: str, name: str) -> bool:
    before = text[: text.index(name)].split()
    return not before or before[-1].lower() not in ("in", "at", "on", "of", "the", "since", "until")


PAIR_RULES: Final[tuple[PairRule, ...]] = (
    _opening_connective,
    _inside_connective,
    _bare_connective,
    _person,
)
