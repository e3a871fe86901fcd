"""Sentence splitting and fusion pairs from plain text, by rule.

A *splitting* rule finds a discourse device in one sentence (a connective between two clauses, a
relative clause, a shared subject) and says the same in two: `X because Y.` becomes `X. This is
because Y.` A *joining* rule goes the other way, from two sentences that follow one another to one:
`X. It is Y.` becomes `X, which is Y.` Both give pairs of one whole and two parts, and at least one
side is text as a person wrote it. Such pairs were first made at scale for DiscoFuse (Geva et al.
2019), whose catalogue of phenomena this one follows; its pairs drop the connective, these keep its
meaning.

The rules look at words, not at a parse. They fire only where a clause shows its subject and its
finite verb, and leave alone what they do not recognise.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from warmstart.data.example import Example
from warmstart.quickstart.clauses import (
    as_sentence,
    command_form,
    has_finite_verb,
    is_balanced,
    is_clause,
    is_main_clause,
    is_third_person,
    lower_first,
    third_person_of_participle,
    words_of,
)

__all__ = [
    "JOINING_RULES",
    "SPLITTING_RULES",
    "DiscoursePair",
    "JoiningRule",
    "SplittingRule",
    "discourse_pairs",
    "join_sentences",
    "split_sentence",
]

_MIN_PART_WORDS = 3  # words of a part, the fewest

Parts: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class DiscoursePair:
    """One sentence, and two that say the same."""

    rule: str  # name of the rule that made one side from the other
    whole: str
    parts: Parts

    def splitting(self) -> Example:
        """One sentence in, two out."""
        return Example(self.whole, (" ".join(self.parts),))

    def fusion(self) -> Example:
        """Two sentences in, one out."""
        return Example(" ".join(self.parts), (self.whole,))


@dataclass(frozen=True, slots=True)
class SplittingRule:
    """A discourse device inside a sentence; `split` undoes it, or gives None."""

    name: str
    split: Callable[[str], Parts | None]


@dataclass(frozen=True, slots=True)
class JoiningRule:
    """A discourse device that joins two sentences; `join` applies it, or gives None."""

    name: str
    join: Callable[[str, str], str | None]


# --- splitting ---------------------------------------------------------------------------------


def _between(connective: str, opening: str) -> Callable[[str], Parts | None]:
    """`X CONNECTIVE Y.` becomes `X. OPENING Y.`, where X and Y are full clauses."""
    pattern = re.compile(connective)

    def split(sentence: str) -> Parts | None:
        for match in pattern.finditer(sentence):
            left, right = sentence[: match.start()], sentence[match.end() :]
            if is_balanced(left) and is_main_clause(left) and is_clause(right):
                return as_sentence(left), as_sentence(opening + right)
        return None

    return split


def _in_front(connective: str, opening: str) -> Callable[[str], Parts | None]:
    """`CONNECTIVE X, Y.` becomes `X. OPENING Y.`"""
    pattern = re.compile(connective)

    def split(sentence: str) -> Parts | None:
        match = pattern.match(sentence)
        if match is None or sentence.count(", ") != 1:
            return None  # with more commas, which one ends the first clause is a guess
        left, right = sentence[match.end() :].split(", ")
        if is_balanced(left) and is_clause(left) and is_clause(right):
            return as_sentence(left), as_sentence(opening + right)
        return None

    return split


def _pronoun_for(verb: str) -> str | None:
    """The pronoun that can stand before the verb form, if its number shows."""
    if is_third_person(verb):
        return "It"
    return "They" if verb in ("are", "were", "have", "do") else None


def _final_relative(sentence: str) -> Parts | None:
    """`X, which is Y.` becomes `X. It is Y.`, or `They are Y.`"""
    left, comma, right = sentence.partition(", which ")
    if not comma or ", which " in right or not (is_balanced(left) and is_main_clause(left)):
        return None
    pronoun = _pronoun_for(right.split(maxsplit=1)[0])
    # "which means that" speaks of the whole clause before it
    if right.startswith(("means that ", "allows ", "makes ")):
        pronoun = "This"
    return (as_sentence(left), as_sentence(f"{pronoun} {right}")) if pronoun else None


def _inner_relative(sentence: str) -> Parts | None:
    """`The X, which is Y, does Z.` becomes `The X does Z. The X is Y.`"""
    match = re.match(r"((?:The|A|An|This|Each) [\w -]{2,40}), which ([^,]+), (\w+ .+)$", sentence)
    if match is None:
        return None
    subject, relative, rest = match.groups()
    if any(_pronoun_for(word) for word in words_of(subject)):
        return None  # a clause stands before the comma, not a subject alone
    if not (_pronoun_for(words_of(relative)[0]) and _pronoun_for(words_of(rest)[0])):
        return None
    return as_sentence(f"{subject} {rest}"), as_sentence(f"{subject} {relative}")


_SUBORDINATORS = frozenset("that which who if when where while whether how what".split())


def _shared_subject(sentence: str) -> Parts | None:
    """`The X is A and has B.` becomes `The X is A. It has B.`"""
    first_words = words_of(sentence)[:2]
    if not first_words or first_words[0] not in ("the", "this", "it", "a", "an", "each"):
        return None
    for match in re.finditer(r",? and (?=(\w+) )", sentence):
        left, right = sentence[: match.start()], sentence[match.end() :]
        words = words_of(left)
        # the second verb of a relative or conditional clause has another subject
        if not is_third_person(match.group(1)) or _SUBORDINATORS.intersection(words):
            continue
        has_verb = any(is_third_person(word) for word in words[1:-1])
        if has_verb and is_balanced(left) and is_clause(left):
            this_alone = first_words[0] == "this" and is_third_person(first_words[1])
            return as_sentence(left), as_sentence(f"{'This' if this_alone else 'It'} {right}")
    return None


_OBJECT_STARTS = frozenset(
    "the a an it its them their all any each every this that these those both no one your".split()
)


def _two_commands(sentence: str) -> Parts | None:
    """`Open the file and return its text.` becomes `Open the file. Return its text.`"""
    form = command_form(sentence)
    for match in re.finditer(r",? and (?:then )?", sentence):
        left, right = sentence[: match.start()], sentence[match.end() :]
        words = words_of(right)
        # A list of nouns looks the same up to here ("the encode and decode methods"): ask for an
        # object behind the second verb.
        alike = form is not None and command_form(right) == form == command_form(left)
        if alike and words[1] in _OBJECT_STARTS and is_balanced(left):
            return as_sentence(left), as_sentence(right)
    return None


def _participle(sentence: str) -> Parts | None:
    """`X, making Y.` becomes `X. This makes Y.`"""
    match = re.search(r", (?:thus |thereby )?(\w+ing) (?=\w)", sentence)
    if match is None or sentence.count(",") != 1:
        return None
    left, right = sentence[: match.start()], sentence[match.end() :]
    verb = third_person_of_participle(match.group(1))
    # "..., meaning X" and "..., depending on X" explain a word and have no subject of their own
    if verb is None or match.group(1) in ("meaning", "depending", "including", "starting", "using"):
        return None
    if not (is_balanced(left) and is_main_clause(left)):
        return None
    return as_sentence(left), as_sentence(f"This {verb} {right}")


# A sentence gives one pair, by the first rule that fires: the rarer device first.
SPLITTING_RULES: tuple[SplittingRule, ...] = (
    SplittingRule("inner relative", _inner_relative),
    SplittingRule("relative", _final_relative),
    SplittingRule("although", _in_front(r"(?:Although|Though|Even though) ", "However, ")),
    SplittingRule("although", _between(r",? (?:although|though|whereas) ", "However, ")),
    SplittingRule("because", _in_front(r"(?:Since|Because) ", "Therefore, ")),
    SplittingRule("because", _between(r",? (?:because|since) ", "This is because ")),
    SplittingRule("however", _between(r"[;,] however,? ", "However, ")),
    SplittingRule("so", _between(r"[,;] (?:and )?so (?!that )", "Therefore, ")),
    SplittingRule("so", _between(r"[,;] (?:and )?(?:therefore|thus|hence),? ", "Therefore, ")),
    SplittingRule("but", _between(r",? but ", "However, ")),
    SplittingRule("participle", _participle),
    SplittingRule("and", _between(r", and ", "")),
    SplittingRule("semicolon", _between(r"; ", "")),
    SplittingRule("shared subject", _shared_subject),
    SplittingRule("commands", _two_commands),
)


# --- joining -----------------------------------------------------------------------------------


def _connect(openings: tuple[str, ...], connective: str) -> Callable[[str, str], str | None]:
    """`X. OPENING Y.` becomes `X CONNECTIVE Y.`"""

    def join(first: str, second: str) -> str | None:
        for opening in openings:
            rest = second.removeprefix(opening)
            if rest != second and is_clause(rest) and is_main_clause(first):
                return f"{first[:-1]}{connective}{rest}"
        return None

    return join


def _relative(first: str, second: str) -> str | None:
    """`X. It is Y.` becomes `X, which is Y.`"""
    pronoun, _, rest = second.partition(" ")
    verb = rest.split(maxsplit=1)[0] if rest else ""
    modal = verb in ("can", "may", "must", "should", "will", "could", "might", "would", "cannot")
    if pronoun not in ("It", "This", "They", "These") or not (modal or _pronoun_for(verb)):
        return None
    return f"{first[:-1]}, which {rest}" if is_main_clause(first) and "which" not in first else None


def _same_subject(first: str, second: str) -> str | None:
    """`The X is A. It can B.` becomes `The X is A and can B.`"""
    pronoun, _, rest = second.partition(" ")
    if pronoun != "It" or not is_clause(first) or not is_clause(second) or " and " in first:
        return None
    return f"{first[:-1]} and {rest}"


def _join_commands(first: str, second: str) -> str | None:
    """`Open the file. Return its text.` becomes `Open the file and return its text.`"""
    form = command_form(first)
    if form is None or command_form(second) != form or " and " in first:
        return None
    return f"{first[:-1]} and {lower_first(second)}"


def _coordinate(connective: str) -> Callable[[str, str], str | None]:
    def join(first: str, second: str) -> str | None:
        lowered = lower_first(second)
        if lowered is None or not is_main_clause(first):
            return None
        if not (is_clause(second) or (has_finite_verb(second) and command_form(second) is None)):
            return None
        return f"{first[:-1]}{connective}{lowered}"

    return join


# Where `", and "` would stand a second time, a semicolon keeps the parts apart.
def _and_or_semicolon(first: str, second: str) -> str | None:
    crowded = ", and " in first + second or ";" in first + second
    return None if crowded else _coordinate(", and ")(first, second)


JOINING_RULES: tuple[JoiningRule, ...] = (
    JoiningRule("but", _connect(("However, ", "Nevertheless, "), ", but ")),
    JoiningRule("so", _connect(("Therefore, ", "Thus, ", "Hence, ", "So, ", "So "), ", so ")),
    JoiningRule("because", _connect(("This is because ", "That is because "), " because ")),
    JoiningRule("relative", _relative),
    JoiningRule("shared subject", _same_subject),
    JoiningRule("commands", _join_commands),
    JoiningRule("and", _and_or_semicolon),
    JoiningRule("semicolon", _coordinate("; ")),
)


def split_sentence(sentence: str) -> DiscoursePair | None:
    """The pair by the first splitting rule that fires and leaves each part three words or more."""
    if ". " in sentence:
        return None  # an abbreviation, or two sentences that were taken for one
    for rule in SPLITTING_RULES:
        parts = rule.split(sentence)
        if parts is not None and min(len(part.split()) for part in parts) >= _MIN_PART_WORDS:
            return DiscoursePair(rule.name, sentence, parts)
    return None


def join_sentences(first: str, second: str) -> DiscoursePair | None:
    """The pair by the first joining rule that fires on two sentences that follow one another."""
    if not (first.endswith(".") and second.endswith(".")) or ". " in first + second:
        return None
    for rule in JOINING_RULES:
        whole = rule.join(first, second)
        if whole is not None:
            return DiscoursePair(rule.name, whole, (first, second))
    return None


def discourse_pairs(run: Sequence[str], max_words: int = 60) -> list[DiscoursePair]:
    """Every pair of a run of sentences that follow one another in a text.

    Args:
        run: Sentences in their order. One that a splitting rule fires on is not joined as well, so
            no sentence is in two pairs.
        max_words: Words of the whole, the most.
    """
    pairs: list[DiscoursePair] = []
    waiting: str | None = None  # the sentence before, if it is free to be joined
    for sentence in run:
        pair = split_sentence(sentence)
        if pair is None and waiting is not None:
            pair = join_sentences(waiting, sentence)
            waiting = sentence if pair is None else None
        else:
            waiting = sentence if pair is None else None
        if pair is not None and len(pair.whole.split()) <= max_words:
            pairs.append(pair)
    return pairs
