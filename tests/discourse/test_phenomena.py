"""What each rule makes of a text, and what it leaves alone."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmstart.discourse.phenomena import PHENOMENA, RulePair, pairs_of_sentence, pairs_of_two

# rule, text, the two parts, the second sentence when split (None: not for splitting)
ONE = [
    (
        "forward connective: although",
        "Although the house was old, it stood for many years.",
        ("The house was old.", "It stood for many years."),
        "However, it stood for many years.",
    ),
    (
        "forward connective: when",
        "When he came home again, the door was open.",
        ("He came home again.", "The door was open."),
        None,
    ),
    (
        "inner connective: because",
        "The road was closed because the river had risen.",
        ("The road was closed.", "The river had risen."),
        "This is because the river had risen.",
    ),
    (
        "inner connective: while",
        "The first song was a success, while the second was never sold.",
        ("The first song was a success.", "The second was never sold."),
        "Meanwhile, the second was never sold.",
    ),
    (
        "inner connective: before",
        "He worked in London before he moved to Paris.",
        ("He worked in London.", "He moved to Paris."),
        "After that, he moved to Paris.",
    ),
    (
        "sentence coordination: so",
        "This method provides no value, so it becomes a part of the list.",
        ("This method provides no value.", "It becomes a part of the list."),
        "Therefore, it becomes a part of the list.",
    ),
    (
        "verb phrase coordination",
        "It reads the whole file and returns the names in it.",
        ("It reads the whole file.", "It returns the names in it."),
        "It returns the names in it.",
    ),
    (
        "sentence coordination: but",
        "The army had won the battle, but Smith was wounded in it.",
        ("The army had won the battle.", "Smith was wounded in it."),
        "However, Smith was wounded in it.",
    ),
    (
        "sentence coordination: and",
        "The album was released in May, and it sold a million copies.",
        ("The album was released in May.", "It sold a million copies."),
        "It sold a million copies.",
    ),
    (
        "sentence coordination: semicolon",
        "The claws are large; they are used in fights.",
        ("The claws are large.", "They are used in fights."),
        "They are used in fights.",
    ),
    (
        "sentence coordination: however",
        "The plan was good; however, it was never tried.",
        ("The plan was good.", "It was never tried."),
        "However, it was never tried.",
    ),
    (
        "verb phrase coordination",
        "She opened the letter and read it to him.",
        ("She opened the letter.", "She read it to him."),
        "She read it to him.",
    ),
    (
        "verb phrase coordination",
        "Prince Andrew rose from his chair and went to the window.",
        ("Prince Andrew rose from his chair.", "Prince Andrew went to the window."),
        "Prince Andrew went to the window.",
    ),
    (
        "relative clause: which",
        "He lived for years in a house, which was built in 1900.",
        ("He lived for years in a house.", "The house was built in 1900."),
        "The house was built in 1900.",
    ),
    (
        "relative clause: who",
        "He was seen with Paul Heyman, who had been his manager.",
        ("He was seen with Paul Heyman.", "Paul Heyman had been his manager."),
        "Paul Heyman had been his manager.",
    ),
    (
        "relative clause: who",
        "The soldiers, who were tired, slept in the barn.",
        ("The soldiers slept in the barn.", "The soldiers were tired."),
        "The soldiers were tired.",
    ),
    (
        "relative clause: which, of a clause",
        "The bridge was closed in June, which meant that nobody could cross.",
        ("The bridge was closed in June.", "This meant that nobody could cross."),
        "This meant that nobody could cross.",
    ),
    (
        "apposition",
        "Joseph Greene, a merchant from Kemper County, bought the land.",
        ("Joseph Greene bought the land.", "Joseph Greene was a merchant from Kemper County."),
        "Joseph Greene was a merchant from Kemper County.",
    ),
    (
        "apposition",
        "WGBC-TV, the only station of the town, is on Main Street.",
        ("WGBC-TV is on Main Street.", "WGBC-TV is the only station of the town."),
        "WGBC-TV is the only station of the town.",
    ),
    (
        "cataphora",
        "Born in Ohio, he moved to Texas in 1910.",
        ("He was born in Ohio.", "He moved to Texas in 1910."),
        "He moved to Texas in 1910.",
    ),
]

TWO = [
    (
        "discourse connective: however",
        "The house was old.",
        "However, it stood for years.",
        "It stood for years.",
    ),
    (
        "discourse connective: as a result",
        "The river rose in spring.",
        "As a result, the road was closed.",
        "The road was closed.",
    ),
    (
        "discourse connective: however",
        "They won the war.",
        "It was, however, no easy victory.",
        "It was no easy victory.",
    ),
    (
        "discourse connective: but",
        "The house was old and cold.",
        "But he liked it very much.",
        "He liked it very much.",
    ),
    (
        "anaphora: he",
        "Warbrick started a team in 1888.",
        "He had no money for it.",
        "Warbrick had no money for it.",
    ),
    (
        "anaphora: her",
        "Lady Catherine was a tall woman.",
        "Her air was not friendly.",
        "Lady Catherine's air was not friendly.",
    ),
]

LEFT_ALONE = [
    "The dog and the cat slept on the mat.",
    "He did not come because he was ill, but he wrote.",  # what is denied?
    "It was not yet three when we came home again.",
    "It was the time when kings were strong and people poor.",
    "He said that he was tired and that he was hungry.",
    "She came in, took off her hat and sat down in a chair.",  # a list of verbs
    "The book written by Smith and published by Jones was red.",
    "If he comes and she is there, I will go home.",
    "He bought the house of the painter, which was red.",  # which of the two?
    "Apples, pears, and the plums were sold in the street.",
    "He was tired and bored by the long speech of the mayor.",
    "What he said was true, and it was not only he who said it was.",
]

NOT_NAMED = [
    ("Mary met John in the park.", "She was happy to see him."),  # two names
    ("He met a friend in London.", "He was happy to see him."),
    ("Critics praised the film in May.", "He was happy about it."),
    ("John was old and tired.", "They were happy about it."),
]


@pytest.mark.parametrize(("rule", "text", "parts", "second"), ONE)
def test_one_sentence(rule: str, text: str, parts: tuple[str, str], second: str | None) -> None:
    found = list(pairs_of_sentence(text))
    split = None if second is None else (parts[0], second)
    assert found == [RulePair(rule.partition(": ")[0], rule, text, parts, split)]


@pytest.mark.parametrize(("rule", "first", "second", "without"), TWO)
def test_two_sentences(rule: str, first: str, second: str, without: str) -> None:
    expected = RulePair(rule.partition(": ")[0], rule, f"{first} {second}", (first, without), None)
    assert list(pairs_of_two(first, second)) == [expected]


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_sentences_that_are_left_alone(text: str) -> None:
    assert list(pairs_of_sentence(text)) == []


@pytest.mark.parametrize(("first", "second"), NOT_NAMED)
def test_pronouns_that_are_left_alone(first: str, second: str) -> None:
    assert list(pairs_of_two(first, second)) == []


def test_every_phenomenon_has_a_rule() -> None:
    assert {rule.partition(": ")[0] for rule, *_ in (*ONE, *TWO)} == set(PHENOMENA)


WORD = st.sampled_from(
    "He The Paul Heyman a house , , . ; ; and but which who because when was went opened "
    "however , therefore Born in not ( ) his it May Although said that before . Her".split()
)


@settings(deadline=None, max_examples=300)
@given(
    first=st.lists(WORD, min_size=1, max_size=16), second=st.lists(WORD, min_size=1, max_size=16)
)
def test_any_text_is_taken(first: list[str], second: list[str]) -> None:
    """As it is written, and with punctuation where it belongs."""
    for texts in (map(" ".join, (first, second)), map(joined, (first, second))):
        one, two = texts
        for pair in (*pairs_of_sentence(one), *pairs_of_two(one, two)):
            for part in (*pair.parts, *(pair.split or ())):
                assert part[0].isupper() or not part[0].isalpha()
                assert part[-1] in ".!?"


def joined(words: list[str]) -> str:
    text = " ".join(words)
    return re.sub(r" (?=[,.;)])", "", text).replace("( ", "(") + "."
