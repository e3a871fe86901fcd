"""Rules for one sentence with two statements on one noun: on its subject, or on its last word."""

import re
from typing import Final

from warmstart.discourse.english import (
    is_finite,
    is_independent,
    is_present,
    name_at_start,
    sentence_of,
    starts_clause,
    tokens_of,
)
from warmstart.discourse.rule_pair import RulePair, SentenceRule, rule_pair

__all__ = ["PHRASE_RULES"]

_SUBJECT: Final = re.compile(r"(He|She|It|They|We|I) (?=[a-z])")
_AFTER_VERB: Final = frozenset(
    "the a an his her its their my our him them it me us to into in on out up off down at for from "
    "with by that as over through away back upon no not all some two three several many again "
    "there about against another one this these".split()
)
_BLOCKING: Final = frozenset(
    "that which who whom whose if when where while whether how what why because although though "
    "than between both either".split()
)


def _verb_phrases(sentence: str) -> RulePair | None:
    """``He X and did Y.`` becomes ``He X. He did Y.``"""
    match = _SUBJECT.match(sentence)
    name = None if match is not None else name_at_start(sentence)
    if match is not None:
        subject = match.group(1)
    elif name is not None and " and " not in name:
        subject = name
    else:
        return None
    rest = sentence[len(subject) :].strip()
    first_verb = tokens_of(rest)[0] if rest else ""
    # After an auxiliary, the word after "and" may depend on it: "was tired and bored".
    if not _is_full_verb(first_verb):
        return None
    for place in re.finditer(r",? and (?:then )?(?=([a-z]+) (\w+))", rest):
        verb, following = place.groups()
        left, right = rest[: place.start()], rest[place.end() :]
        if _BLOCKING.intersection(tokens_of(left)) or left.count("(") != left.count(")"):
            continue
        if any(starts_clause(part) for part in re.split(r",? and ", left)[1:]):
            continue  # the subject is ambiguous
        after_commas = re.findall(r", (\w+)", left)
        if any(_is_full_verb(word) or word.endswith("ing") for word in after_commas):
            continue  # a list of verbs, or a participle between
        finite = verb in ("was", "were", "had", "did", "could", "would")
        second = _is_full_verb(verb) and is_present(verb) == is_present(first_verb)
        if not finite and not (second and following in _AFTER_VERB):
            continue
        parts = (sentence_of(f"{subject} {left}"), sentence_of(f"{subject} {right}"))
        again = subject if match is not None else None
        split = (parts[0], sentence_of(f"{again} {right}")) if again else parts
        return rule_pair("verb phrase coordination", "", sentence, parts, split)
    return None


def _is_full_verb(verb: str) -> bool:
    return (
        is_finite(verb, after_subject=True)
        and verb
        not in (
            *("is", "are", "was", "were", "am", "has", "have", "had", "do", "does", "did", "can"),
            *("could", "will", "would", "shall", "should", "may", "might", "must", "cannot"),
        )
        and not verb.endswith("n't")
    )


_NOUN: Final = r"(?:the|a|an|his|her|its|their) (?:[a-z][a-z-]+ ){0,2}[a-z][a-z-]+"
_FINAL_RELATIVE: Final = re.compile(
    rf"^(?P<left>.+ (?P<before>[a-z]+) )(?P<noun>{_NOUN}), (?P<who>which|who) (?P<rest>[^,;:]+)[.]$"
)
_FINAL_NAME_RELATIVE: Final = re.compile(
    r"^(?P<left>.+ (?P<before>[a-z]+) )(?P<noun>(?:[A-Z][\w'’-]+ )*[A-Z][\w'’-]+), "
    r"(?P<who>which|who) (?P<rest>[^,;:]+)[.]$"
)
_WHOLE_CLAUSE: Final = re.compile(
    r"^(?P<left>[^;:]+), which (?P<rest>(?:means|meant|caused|allowed|enabled|prompted|resulted in"
    r"|led to|made it|forced) .+)$"
)


def _final_relative(sentence: str) -> RulePair | None:
    """``X the NOUN, which Y.`` becomes ``X the NOUN. The NOUN Y.``"""
    for pattern in (_FINAL_RELATIVE, _FINAL_NAME_RELATIVE):
        match = pattern.match(sentence)
        if match is None:
            continue
        left, before, noun, who, rest = match.group("left", "before", "noun", "who", "rest")
        # After "of" or "and", or with two nouns in a row, the antecedent is a guess.
        if before in ("of", "and", "or", "as", "than", "like", "between") or "," in left:
            continue
        if not is_finite(tokens_of(rest)[0], after_subject=False):
            continue
        if not is_independent(f"{left}{noun}") or " and " in noun or left.startswith("It was "):
            continue
        again = re.sub(r"^(?:a|an) ", "the ", noun)
        parts = (sentence_of(f"{left}{noun}"), sentence_of(f"{again} {rest}"))
        return rule_pair("relative clause", who, sentence, parts, parts)
    return None


def _clause_relative(sentence: str) -> RulePair | None:
    """``X, which meant Y.`` becomes ``X. This meant Y.``"""
    match = _WHOLE_CLAUSE.match(sentence)
    if match is None or not is_independent(match.group("left")):
        return None
    parts = (sentence_of(match.group("left")), sentence_of(f"This {match.group('rest')}"))
    return rule_pair("relative clause", "which, of a clause", sentence, parts, parts)


_START_NOUN: Final = (
    r"(?:(?:The|A|An|His|Her|Its|Their|This|Each) (?:[\w’'-]+ ){0,4}?[\w’'-]+"
    r"|(?:[A-Z][\w’'.-]+ )*[A-Z][\w’'.-]+)"
)
_INNER_RELATIVE: Final = re.compile(
    rf"^(?P<noun>{_START_NOUN}), (?P<who>which|who) (?P<relative>[^,;:]+), (?P<rest>[^;:]+)$"
)
_APPOSITION: Final = re.compile(
    rf"^(?P<noun>{_START_NOUN}), (?P<what>(?:an?|the) [^,;:]+), (?P<rest>[^;:]+)$"
)


def _inner_relative(sentence: str) -> RulePair | None:
    """``The NOUN, which X, Y.`` becomes ``The NOUN Y. The NOUN X.``"""
    match = _INNER_RELATIVE.match(sentence)
    if match is None:
        return None
    noun, who, relative, rest = match.group("noun", "who", "relative", "rest")
    if not _is_subject(noun) or not _verb_at_start(rest) or not _verb_at_start(relative):
        return None
    again = re.sub(r"^(?:A|An) ", "The ", noun)
    parts = (sentence_of(f"{noun} {rest}"), sentence_of(f"{again} {relative}"))
    return rule_pair("relative clause", who, sentence, parts, parts)


def _apposition(sentence: str) -> RulePair | None:
    """``NAME, a NOUN, did Y.`` becomes ``NAME did Y. NAME was a NOUN.``"""
    match = _APPOSITION.match(sentence)
    if match is None:
        return None
    noun, what, rest = match.group("noun", "what", "rest")
    if not _is_subject(noun) or not _verb_at_start(rest) or len(what.split()) > 14:
        return None
    verb = tokens_of(rest)[0]
    if verb in ("are", "were", "have") or what.split()[1] in ("few", "lot", "number", "same"):
        return None
    be = "is" if verb in ("is", "has", "does", "can", "will", "may") else "was"
    again = re.sub(r"^(?:A|An) ", "The ", noun)
    parts = (sentence_of(f"{noun} {rest}"), sentence_of(f"{again} {be} {what}"))
    return rule_pair("apposition", "", sentence, parts, parts)


def _verb_at_start(text: str) -> bool:
    words = tokens_of(text)
    place = (
        1 if len(words) > 1 and (words[0].endswith("ly") or words[0] in ("also", "never")) else 0
    )
    return bool(words) and is_finite(words[place], after_subject=True)


def _is_subject(noun: str) -> bool:
    """Whether it is a noun phrase without a verb, and not a phrase of time."""
    words = tokens_of(noun)
    if any(is_finite(word, after_subject=False) or word.endswith("ing") for word in words):
        return False
    if any(word[0].islower() and is_finite(word, after_subject=True) for word in noun.split()):
        return False
    blocked = (
        "and",
        "or",
        "that",
        "time",
        "day",
        "year",
        "night",
        "morning",
        "week",
        "moment",
        "way",
    )
    if any(word in blocked for word in words):
        return False
    return words[0] in ("the", "a", "an", "his", "her", "its", "their", "this", "each") or (
        name_at_start(noun) == noun
    )


_PARTICIPLE: Final = re.compile(
    r"^(?P<participle>(?:Born|Known|Built|Written|Founded|Located|Situated|Named|Led"
    r"|Armed|Surprised|Impressed|Inspired|Influenced|Released|Published|Described|Considered"
    r"|Encouraged|Educated|Raised|Trained|Directed|Produced|Designed|Discouraged|Exhausted"
    r"|Wounded|Captured|Defeated|Appointed|Elected|Faced|Accompanied) "
    r"[^,;:]+), (?P<rest>[^;:]+)$"
)


def _participle_front(sentence: str) -> RulePair | None:
    """``Born in X, he did Y.`` becomes ``He was born in X. He did Y.``"""
    match = _PARTICIPLE.match(sentence)
    if match is None:
        return None
    participle, rest = match.group("participle", "rest")
    words = tokens_of(rest)
    pronoun = re.match(r"(he|she|it|they|we|I) ", rest)
    subject = pronoun.group(1) if pronoun else name_at_start(rest)
    if subject is None or not starts_clause(rest) or len(participle.split()) < 3:
        return None
    if words[len(subject.split())] == "and" or " and with " in participle:
        return None
    lasting = participle.startswith(("Known", "Located", "Situated", "Considered"))
    verb = words[len(subject.split())]
    present = lasting and (verb in ("is", "are", "has", "have", "can") or is_present(verb))
    plural = subject in ("they", "we")
    be = ("are" if plural else "is") if present else ("were" if plural else "was")
    participle = participle[0].lower() + participle[1:]
    first = sentence_of(f"{subject} {be} {participle}")
    parts = (first, sentence_of(rest))
    return rule_pair("cataphora", "", sentence, parts, parts)


PHRASE_RULES: Final[tuple[SentenceRule, ...]] = (
    _verb_phrases,
    _inner_relative,
    _final_relative,
    _clause_relative,
    _apposition,
    _participle_front,
)
