"""Rules for one sentence of two clauses that a connective joins."""

import re
from collections.abc import Callable
from typing import Final

from warmstart.discourse.english import (
    is_finite,
    is_independent,
    sentence_of,
    starts_clause,
    tokens_of,
)
from warmstart.discourse.rule_pair import RulePair, SentenceRule, rule_pair

__all__ = ["CONNECTIVE_RULES"]


def _between(
    phenomenon: str,
    connective: str,
    pattern: str,
    opening: str | None,
    check: Callable[[str, str], bool] | None = None,
) -> SentenceRule:
    """``X CONNECTIVE Y.``, where both sides are clauses.

    Args:
        phenomenon: one of `PHENOMENA`.
        connective: its name.
        pattern: the text between the clauses.
        opening: opening of the second sentence when split; None: not for splitting.
        check: whether two clauses may be separated; None: always.
    """
    compiled = re.compile(pattern)

    def rule(sentence: str) -> RulePair | None:
        for match in compiled.finditer(sentence):
            left, right = sentence[: match.start()], sentence[match.end() :]
            if not is_independent(left) or not starts_clause(right):
                continue
            if _runs_on(left) or _runs_on(right) or right.count("(") != right.count(")"):
                continue
            if check is not None and not check(left, right):
                continue
            parts = (sentence_of(left), sentence_of(right))
            split = None
            if opening is not None:
                split = (parts[0], sentence_of(f"{opening}{right}"))
            return rule_pair(phenomenon, connective, sentence, parts, split)
        return None

    return rule


def _runs_on(text: str) -> bool:
    """Whether a second clause follows after a comma: which one is connected would be a guess."""
    return any(starts_clause(part) for part in text.split(", ")[1:])


# After these a clause defines the time or place, or completes the sentence.
_TIMES: Final = frozenset(
    "time day moment year night morning evening period point stage place case age week month "
    "hour instant occasion days times years hardly scarcely barely sooner just o'clock date".split()
)


def _depends(left: str, right: str) -> bool:
    """Whether the right side is one clause that depends on the whole left side, not on a part."""
    words = tokens_of(left)
    if words[-1].endswith("ly") or words[-1] in ("only", "just", "even", "soon", "long", "ever"):
        return False  # "chiefly because": the adverb belongs to the right
    if _INSIDE_LEFT.intersection(words):
        return False  # "He thought that X because Y": whose reason is it?
    return not any(_continues(part) for part in right.split(", ")[1:])


_INSIDE_LEFT: Final = frozenset("that who which whom what how".split())


def _continues(text: str) -> bool:
    """Whether it continues a clause before the last one: ``, but seemed to``."""
    first = tokens_of(text)[0]
    return first in ("and", "but", "or", "nor", "to", "so", "yet") or is_finite(
        first, after_subject=True
    )


def _in_time(left: str, right: str) -> bool:
    """Whether a clause of time can be separated: no word requires it."""
    words = tokens_of(left)
    if words[0] in ("it", "there") and words[1] in ("was", "is", "were", "had"):
        return False  # "It was not yet three when ..."
    if tokens_of(right)[0] in ("this", "that", "these", "those"):
        return False  # "after this" is no clause
    if words[-1] in _TIMES or _negated(left) or _SCARCELY & {*words}:
        return False
    return _depends(left, right)


_SCARCELY: Final = frozenset(("hardly", "scarcely", "barely", "sooner", "only"))


def _negated(text: str) -> bool:
    """Whether the negation may be of the following clause."""
    return any(word in ("not", "never", "no", "nor") or "n't" in word for word in tokens_of(text))


def _a_cause(left: str, right: str) -> bool:
    """Whether ``because Y`` is the reason of X, without a negation as in ``not because``."""
    return not _negated(left) and "because" not in right and _depends(left, right)


def _a_reason(left: str, right: str) -> bool:
    """Whether ``, as Y`` is a clause of its own and not an aside: ``, as they say``."""
    words = tokens_of(right)
    asides = ("say", "said", "says", "call", "called", "know", "think", "thought", "see", "seemed")
    if len(words) < 6 or words[1] in asides or words[2] in asides:
        return False
    return _depends(left, right)


def _no_exception(left: str, right: str) -> bool:
    """Whether ``but`` joins two clauses, unlike ``nothing but``."""
    return tokens_of(left)[-1] not in ("nothing", "anything", "all", "none", "one", "nobody")


def _in_front(connective: str, opening: str | None) -> SentenceRule:
    """``CONNECTIVE X, Y.``, where both are clauses and there is no other comma."""
    compiled = re.compile(rf"{connective} (?=\w)")

    def rule(sentence: str) -> RulePair | None:
        match = compiled.match(sentence)
        if match is None:
            return None
        left, comma, right = sentence[match.end() :].partition(", ")
        if not comma or not (starts_clause(left) and starts_clause(right)) or _runs_on(right):
            return None
        parts = (sentence_of(left), sentence_of(right))
        split = None if opening is None else (parts[0], sentence_of(f"{opening}{right}"))
        return rule_pair("forward connective", connective.lower(), sentence, parts, split)

    return rule


CONNECTIVE_RULES: Final[tuple[SentenceRule, ...]] = (
    _in_front("Although", "However, "),
    _in_front("Though", "However, "),
    _in_front("While", None),
    _in_front("Whereas", "However, "),
    _in_front("Because", "Therefore, "),
    _in_front("Since", None),
    _in_front("After", "Then, "),
    _in_front("Before", None),
    _in_front("When", None),
    _in_front("Once", "Then, "),
    _in_front("As", None),
    _in_front("Until", None),
    _in_front("Unless", None),
    _between("inner connective", "because", r",? because ", "This is because ", _a_cause),
    _between(
        "inner connective",
        "although",
        r",? (?:although|though|even though) ",
        "However, ",
        _depends,
    ),
    _between("inner connective", "whereas", r",? whereas ", "In contrast, ", _depends),
    _between("inner connective", "while", r", while ", "Meanwhile, ", _depends),
    _between("inner connective", "since", r", since ", None, _depends),
    _between("inner connective", "as", r", as ", None, _a_reason),
    _between("inner connective", "when", r",? when ", None, _in_time),
    _between("inner connective", "after", r",? after ", None, _in_time),
    _between("inner connective", "before", r",? before ", "After that, ", _in_time),
    _between("inner connective", "until", r",? until ", None, _in_time),
    _between("sentence coordination", "but", r",? but ", "However, ", _no_exception),
    _between("sentence coordination", "yet", r", yet ", "However, "),
    _between("sentence coordination", "so", r"[,;] (?:and )?so (?!that )", "Therefore, "),
    _between("sentence coordination", "for", r"[,;] for ", "This is because "),
    _between(
        "sentence coordination",
        "however",
        r"; (?:however|nevertheless|nonetheless), ",
        "However, ",
    ),
    _between(
        "sentence coordination",
        "therefore",
        r"; (?:therefore|thus|consequently|as a result|hence),? ",
        "Therefore, ",
    ),
    _between("sentence coordination", "and", r"[,;] and (?:then )?", ""),
    _between("sentence coordination", "semicolon", r"; ", ""),
)
