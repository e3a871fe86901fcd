import pytest

from warmstart.quickstart.rules import (
    DiscoursePair,
    discourse_pairs,
    join_sentences,
    split_sentence,
)

SPLIT = [
    (
        "relative",
        "Returns the value, which is a number.",
        "Returns the value.",
        "It is a number.",
    ),
    (
        "relative",
        "It has two parts, which are files.",
        "It has two parts.",
        "They are files.",
    ),
    (
        "relative",
        "The call is cached, which means that it is fast.",
        "The call is cached.",
        "This means that it is fast.",
    ),
    (
        "inner relative",
        "The default for language, which is rarely seen, is the empty string.",
        "The default for language is the empty string.",
        "The default for language is rarely seen.",
    ),
    (
        "although",
        "Although the name is old, it is still in use.",
        "The name is old.",
        "However, it is still in use.",
    ),
    (
        "although",
        "The name is kept, although it is old.",
        "The name is kept.",
        "However, it is old.",
    ),
    (
        "because",
        "The call fails because the file is closed.",
        "The call fails.",
        "This is because the file is closed.",
    ),
    (
        "because",
        "Since the file is closed, the call fails.",
        "The file is closed.",
        "Therefore, the call fails.",
    ),
    (
        "so",
        "The file is closed, so it cannot be read.",
        "The file is closed.",
        "Therefore, it cannot be read.",
    ),
    (
        "however",
        "The list is sorted; however, this may change.",
        "The list is sorted.",
        "However, this may change.",
    ),
    (
        "but",
        "The list is sorted, but the order may change.",
        "The list is sorted.",
        "However, the order may change.",
    ),
    (
        "participle",
        "The cache is cleared, making the next call slow.",
        "The cache is cleared.",
        "This makes the next call slow.",
    ),
    (
        "and",
        "The file is opened, and its name is stored.",
        "The file is opened.",
        "Its name is stored.",
    ),
    (
        "semicolon",
        "The file is opened; the name is stored.",
        "The file is opened.",
        "The name is stored.",
    ),
    (
        "shared subject",
        "The method opens the file and returns a handle.",
        "The method opens the file.",
        "It returns a handle.",
    ),
    (
        "shared subject",
        "This takes the name and returns a file.",
        "This takes the name.",
        "This returns a file.",
    ),
    (
        "commands",
        "Open the file and return its text.",
        "Open the file.",
        "Return its text.",
    ),
    (
        "commands",
        "Opens the file, and then returns its text.",
        "Opens the file.",
        "Returns its text.",
    ),
]

NOT_SPLIT = [
    "Returns the value of the name.",
    "See the encode and decode methods.",  # nouns, no clauses
    "A container that holds and manages the values.",  # one relative clause
    "This is useful, meaning that it helps.",
    "If the name and the value are given, it is set.",
    "The value is e.g. A name, which is a word. The rest is here.",  # two sentences
    "The call (it is slow, but it works) returns it.",  # inside brackets
    "Since it is closed, as we know, the call fails.",  # which comma?
]

JOIN = [
    ("but", "It is fast.", "However, the cache is large.", "It is fast, but the cache is large."),
    ("so", "It is slow.", "Therefore, the cache is used.", "It is slow, so the cache is used."),
    (
        "because",
        "The call fails.",
        "This is because the file is closed.",
        "The call fails because the file is closed.",
    ),
    (
        "relative",
        "Returns the name of the file.",
        "It is always a string.",
        "Returns the name of the file, which is always a string.",
    ),
    (
        "relative",
        "Clear the cache of the class.",
        "This can be slow.",
        "Clear the cache of the class, which can be slow.",
    ),
    (
        "commands",
        "Open the file.",
        "Return its text to the caller.",
        "Open the file and return its text to the caller.",
    ),
    (
        "and",
        "The file is opened.",
        "If there is none, it is created.",
        "The file is opened, and if there is none, it is created.",
    ),
    (
        "semicolon",
        "The file is opened, and the text is read.",
        "The name is kept.",
        "The file is opened, and the text is read; the name is kept.",
    ),
]

NOT_JOINED = [
    ("The file is opened.", "Python closes it at the end."),  # a name keeps its capital
    ("Name of the file.", "The name is kept."),  # no clause
    ("The file is opened.", "The name of it."),
    ("The file is opened!", "The name is kept."),
]


@pytest.mark.parametrize(("rule", "whole", "first", "second"), SPLIT)
def test_splitting_rules(rule: str, whole: str, first: str, second: str) -> None:
    assert split_sentence(whole) == DiscoursePair(rule, whole, (first, second))


@pytest.mark.parametrize("sentence", NOT_SPLIT)
def test_sentences_without_a_device_are_left_alone(sentence: str) -> None:
    assert split_sentence(sentence) is None


@pytest.mark.parametrize(("rule", "first", "second", "whole"), JOIN)
def test_joining_rules(rule: str, first: str, second: str, whole: str) -> None:
    assert join_sentences(first, second) == DiscoursePair(rule, whole, (first, second))


@pytest.mark.parametrize(("first", "second"), NOT_JOINED)
def test_sentences_that_do_not_fit_are_not_joined(first: str, second: str) -> None:
    assert join_sentences(first, second) is None


def test_both_directions_of_a_pair() -> None:
    pair = DiscoursePair("but", "A is B, but it is C.", ("A is B.", "However, it is C."))
    splitting, fusion = pair.splitting(), pair.fusion()
    assert (splitting.source, splitting.target) == (pair.whole, "A is B. However, it is C.")
    assert (fusion.source, fusion.target) == ("A is B. However, it is C.", pair.whole)


def test_no_sentence_of_a_run_is_in_two_pairs() -> None:
    run = (
        "The file is opened.",
        "The name is kept.",
        "The text is read.",
        "The file is closed, but the name is kept.",
        "The rest is left.",
    )
    pairs = discourse_pairs(run)
    assert [(pair.rule, pair.parts) for pair in pairs] == [
        ("and", (run[0], run[1])),
        ("but", ("The file is closed.", "However, the name is kept.")),
    ]


def test_long_wholes_are_left_out() -> None:
    run = ("The file is opened.", "The name is kept.")
    assert len(discourse_pairs(run, max_words=9)) == 1
    assert discourse_pairs(run, max_words=8) == []
