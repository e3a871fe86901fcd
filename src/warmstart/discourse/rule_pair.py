"""Pairs made by discourse rules, and the phenomena of the rules."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

__all__ = ["PHENOMENA", "PairRule", "RulePair", "SentenceRule", "rule_pair"]

PHENOMENA: Final = (
    "discourse connective",
    "anaphora",
    "forward connective",
    "inner connective",
    "sentence coordination",
    "verb phrase coordination",
    "relative clause",
    "apposition",
    "cataphora",
)
_MIN_WORDS: Final = 4  # of a part


@dataclass(frozen=True, slots=True)
class RulePair:
    """A pair that one rule made of one sentence, or of two consecutive ones.

    Attributes:
        phenomenon: one of `PHENOMENA`.
        rule: the rule's name, with its connective: ``"inner connective: because"``.
        fused: the original text.
        parts: two sentences without their connection.
        split: two sentences of the same meaning; None: if they would lose it, or the text has two.
    """

    phenomenon: str
    rule: str
    fused: str
    parts: tuple[str, str]
    split: tuple[str, str] | None = None


SentenceRule: TypeAlias = Callable[[str], RulePair | None]
PairRule: TypeAlias = Callable[[str, str], RulePair | None]


def rule_pair(
    phenomenon: str,
    detail: str,
    fused: str,
    parts: tuple[str, str],
    split: tuple[str, str] | None,
) -> RulePair | None:
    """A pair, or None where a part is too short to be a sentence of prose."""
    if min(len(part.split()) for part in parts) < _MIN_WORDS:
        return None
    rule = f"{phenomenon}: {detail}" if detail else phenomenon
    return RulePair(phenomenon, rule, fused, parts, split)
