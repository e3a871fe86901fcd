"""What a rule can tell about a stretch of English without a parser: is it a clause, a command?

Word lists of documentation English. A word may be a verb in one place and a noun in another; the
tests ask for the subject's first word too, and refuse what they do not recognise.
"""

import re

__all__ = [
    "SINGULAR_VERBS",
    "as_sentence",
    "command_form",
    "has_finite_verb",
    "is_balanced",
    "is_clause",
    "is_main_clause",
    "is_third_person",
    "lower_first",
    "third_person_of_participle",
    "words_of",
]

MIN_WORDS = 3  # words of a clause or a command, the fewest that count as one

_VERBS = (
    "accept access add affect aggregate align allow append apply assign assume attach avoid "
    "batch become begin break build cache calculate call cast catch cause change check choose "
    "clean clear close collect combine come compare compile compute configure construct "
    "contain control convert copy correspond count create decode define delete depend "
    "describe detect determine disable display divide download drop enable encode enforce "
    "ensure enter evaluate exclude execute exist exit expand expect export expose extend "
    "extract fail fall fetch fill filter find finish fit fix flatten fold follow force format "
    "generate get give go group guarantee handle hash help hold ignore implement import "
    "improve include increase indicate inherit initialize insert inspect install invoke "
    "iterate join keep lead leave let limit list load lock look lookup make manage map mark "
    "mask match mean merge modify move need normalize note open operate optimize override "
    "overwrite parse pass perform place point prepare present prevent print process produce "
    "provide pull push put query raise read receive record reduce refer register reject "
    "release rely reload remain remove rename replace represent request require reset resize "
    "resolve restore result retrieve return reuse rewrite run sample save scan search see "
    "seem select send serialize set share show skip sort specify split start stay stop store "
    "strip submit supply support take tell terminate test track transform translate treat "
    "trigger try turn update upload use validate verify wait walk want work wrap write yield"
).split()
_DOUBLED = frozenset("get set put let run stop skip strip drop map wrap begin fit reset".split())
_AUXILIARIES = frozenset(
    "is are was were has have had can could will would shall should may might must cannot "
    "does do did isn't aren't doesn't don't won't can't".split()
)
_SUBJECT_STARTS = frozenset(
    "it this that these those the a an they we you he she there each every all some any no "
    "its their your our both one most many such other i".split()
)
# Words that open a sentence with something before its subject: `If the file exists, it ...`
_ADJUNCT_STARTS = frozenset(
    "if when for in to by with otherwise then also after before once unless as on at from "
    "during instead usually typically sometimes note here only even".split()
)


def _third_person(verb: str) -> str:
    if verb.endswith(("s", "sh", "ch", "x", "z", "o")):
        return verb + "es"
    return verb[:-1] + "ies" if re.search(r"[^aeiou]y$", verb) else verb + "s"


def _participle(verb: str) -> str:
    if verb.endswith("e") and verb != "see":
        return verb[:-1] + "ing"
    return verb + verb[-1] + "ing" if verb in _DOUBLED else verb + "ing"


_BASE = frozenset(_VERBS)
_THIRD = frozenset(_third_person(verb) for verb in _VERBS)
_FROM_PARTICIPLE = {_participle(verb): _third_person(verb) for verb in _VERBS}
_LOWERED = _SUBJECT_STARTS | _ADJUNCT_STARTS | _BASE | _THIRD  # never names
SINGULAR_VERBS = frozenset(("is", "was", "has", "does"))


def words_of(text: str) -> list[str]:
    """The words in lower case, without the punctuation around them."""
    return [word.strip("\"'(),;:.!?").lower() for word in text.split()]


def is_third_person(word: str) -> bool:
    """Whether the word is a singular verb form: `is`, `has`, `returns`."""
    return word in SINGULAR_VERBS or word in _THIRD


def third_person_of_participle(word: str) -> str | None:
    """`returns` for `returning`; None for a word that is no known participle."""
    return _FROM_PARTICIPLE.get(word)


def is_clause(text: str) -> bool:
    """Whether it starts with a subject that shows itself, and a finite verb follows."""
    words = words_of(text)
    if len(words) < MIN_WORDS or words[0] not in _SUBJECT_STARTS:
        return False
    return any(word in _AUXILIARIES or word in _THIRD for word in words[1:])


def has_finite_verb(text: str) -> bool:
    """Whether a finite verb that cannot be taken for a noun stands behind the first word."""
    return any(word in _AUXILIARIES for word in words_of(text)[1:])


def command_form(text: str) -> str | None:
    """The form of a docstring sentence without a subject.

    Returns:
        `"base"` for `Return the name.`, `"third"` for `Returns the name.`, None for neither.
    """
    words = words_of(text)
    if len(words) < MIN_WORDS:
        return None
    if words[0] in _BASE:
        return "base"
    return "third" if words[0] in _THIRD else None


def is_main_clause(text: str) -> bool:
    """Whether it can stand as a sentence: a clause or a command."""
    return is_clause(text) or command_form(text) is not None


def is_balanced(text: str) -> bool:
    """Whether no bracket or quotation is cut in two."""
    return text.count("(") == text.count(")") and text.count('"') % 2 == 0


def as_sentence(text: str) -> str:
    """The text with a capital and a full stop."""
    text = text.strip(" ,;.")
    return text[0].upper() + text[1:] + "."


def lower_first(text: str) -> str | None:
    """The sentence without its capital, where the first word shows that it has one by position.

    `The file ...` gives `the file ...`; of `Python ...` nobody can tell, so None.
    """
    first = text.split(maxsplit=1)[0] if text.strip() else ""
    word = first.strip("\"'(),;:.!?").lower()
    if first[:1].isupper() and word in _LOWERED:
        return text if word == "i" else text[0].lower() + text[1:]
    return None
