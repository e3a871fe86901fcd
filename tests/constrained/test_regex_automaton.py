"""Automata over bytes, against Python's own engine on many texts."""

import random
import re

import pytest

from warmstart.constrained.preimage import preimage
from warmstart.constrained.regex_automaton import automaton_of, stripped

EXPRESSIONS = (
    r"yes|no|yesterday",
    r"a( b)*",
    r"a|axb|ax",
    r"(a b ?)*!?",
    r"[a-z']+( [a-z']+)*\.?",
    r"(\w|[ '.,!?])*",
    r"\s*ab\s*",
    r"[^a]{1,5}",
    r"(?i)straße|ﬀ|K",
    r"(?s:.){2,4}",
    r".{0,3}n't",
    r"\W\D?\S*",
    r"x[^\s\S]|[b-]|()",
    r"(?a:\w)+é?",
    r"^(a|^b$|)$",
    r"(?x) a  b  # one space",
    r"it( ?'| )s( n'| ?n')t",
    r"a??b*?c+?",
)
CLEANED = ((" .", "."), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 's", "'s"))
PIECES = (
    *"ab .'stnx!é\n\u00a0😀Kk\u212aß-1_",
    *(
        "ab",
        "no",
        "yes",
        "terday",
        "it",
        "n't",
        "STRASSE",
        "straße",
        "\u0301",
        "\x1c",
        "٣",
        "ff",
        "ﬀ",
    ),
)


def texts(seed: int) -> list[str]:
    dice = random.Random(seed)
    made = ["".join(dice.choices(PIECES, k=dice.randint(0, 6))) for _ in range(3000)]
    return [*made, "it's n't", "it 's n't", "aabbc", "abbc", "yesterday"]


@pytest.mark.parametrize("regex", EXPRESSIONS)
def test_an_automaton_allows_what_matches(regex: str) -> None:
    automaton = automaton_of(regex)
    led = stripped(automaton)
    matched = 0
    for text in texts(0):
        matches = re.fullmatch(regex, text) is not None
        assert automaton.matches(text) == matches, text
        # One space may come before, but none after.
        cut = text.removeprefix(" ")
        assert led.matches(text) == (
            re.fullmatch(regex, cut) is not None and cut == text.strip()
        ), text
        matched += matches
    assert matched


@pytest.mark.parametrize("regex", EXPRESSIONS)
def test_what_is_rewritten_matches(regex: str) -> None:
    pairs = tuple((old.encode(), new.encode()) for old, new in CLEANED)
    automaton = automaton_of(regex)
    led = preimage(automaton, pairs)
    for text in texts(1):
        written = text
        for old, new in CLEANED:
            written = written.replace(old, new)
        expected = automaton.matches(written) and "  " not in text
        assert led.matches(text) == expected, (text, written)


def test_classes_are_pythons() -> None:
    """Of every character, among them those that other engines count differently."""
    for regex in (r"\w", r"\s", r"\d", r"[^\W_]", r".", r"(?i)[k-s]", r"(?a)\w", r"[^\n]"):
        automaton = automaton_of(regex)
        for code in (*range(0x3100), *range(0xFB00, 0xFC00), *range(0x1F600, 0x1F700), 0x10FFFE):
            text = chr(code)
            assert automaton.matches(text) == (re.fullmatch(regex, text) is not None), text
