"""Subjects and finite verbs of English prose, found without a parser.

The evidence of a clause is a visible subject (a pronoun, a determiner, a name), followed by a verb
form that can only be finite.
"""

import re
from typing import Final

__all__ = [
    "capitalized",
    "is_finite",
    "is_independent",
    "is_present",
    "name_at_start",
    "sentence_of",
    "starts_clause",
    "tokens_of",
]

AUXILIARIES: Final = frozenset(
    "is are was were am has have had do does did can could will would shall should may might must "
    "cannot isn't aren't wasn't weren't hasn't haven't hadn't don't doesn't didn't can't couldn't "
    "won't wouldn't shan't shouldn't mustn't mightn't".split()
)
# Past forms that are seldom nouns or participles.
_PAST: Final = frozenset(
    "went came took gave knew saw became began wrote drew broke drove chose rose fell grew flew "
    "threw spoke swam sang sank shook ate forgot forgave arose awoke withdrew overcame undertook "
    "blew bore bade stole strove swore tore woke wove rode hid lay fled".split()
)
# Past forms that are participles as well: finite directly after a subject, and not elsewhere.
_PAST_OR_PARTICIPLE: Final = frozenset(
    "said made got found thought told left felt brought kept held stood heard meant met paid sat "
    "led lost sent built understood spent bought wore won taught caught fought sought ran fed "
    "dealt slept swept wept dug hung struck stuck laid shot sold ceased put set let read cut hit "
    "replied".split()
)
# Present forms of the third person that are seldom plural nouns.
_PRESENT: Final = frozenset(
    "accepts allows appears applies assumes avoids becomes begins behaves believes belongs brings "
    "comes computes consists contains corresponds creates defines depends describes determines "
    "ensures exists expects finds follows gets gives goes happens implements includes indicates "
    "inherits keeps knows loses makes modifies occurs performs prevents produces provides receives "
    "refers relies remains removes represents requires retrieves says seems sends specifies takes "
    "tells tries wants writes".split()
)
# Present forms that are plural nouns as well: finite directly after a subject, and not elsewhere.
_PRESENT_OR_PLURAL: Final = frozenset(
    "adds builds calls changes checks copies covers enters handles helps holds leads leaves lies "
    "loads looks means moves needs opens passes raises reads returns runs sees serves sets shows "
    "stands starts stays stops stores supports turns updates uses works".split()
)
_NOMINATIVE: Final = frozenset("he she they we i".split())
_OTHER_PRONOUNS: Final = frozenset("it there this that these those you who one".split())
_DETERMINERS: Final = frozenset(
    "the a an his her its their my our your this these those some many most several all both "
    "no each every another any few two three four five six seven eight nine ten such other".split()
)
_ADVERBS: Final = frozenset(
    "also never always often soon then still now only just even once again ever first later not "
    "too already at last almost nearly thus therefore however both all generally usually "
    "eventually finally originally subsequently initially frequently currently sometimes "
    "perhaps".split()
)
# Openings of clauses that depend on another.
_SUBORDINATORS: Final = frozenset(
    "if when although though because since as while whereas after before unless until till whether "
    "what who whom whose how why where which that than once lest whenever wherever whatever "
    "whoever whichever".split()
)
_NO_START: Final = _SUBORDINATORS | frozenset(
    "neither nor either both not rather so having being seeing let and but or yet had were should "
    "such no".split()
)
_PREPOSITIONS: Final = frozenset(
    "in on at by for from with of to into upon during under over through between among against "
    "about within without across behind beyond toward towards near like unlike despite along amid "
    "around beneath beside besides below above inside outside throughout following".split()
)
_RELATIVES: Final = frozenset("who which that".split())
_NO_END: Final = (
    _SUBORDINATORS
    | AUXILIARIES
    | _ADVERBS
    | frozenset("and but or nor for to of in at on by with from the a an so yet even it's".split())
)
# Capitalized at the start of a sentence without being a name.
_NO_NAME: Final = (
    _DETERMINERS
    | _SUBORDINATORS
    | _ADVERBS
    | AUXILIARIES
    | _NOMINATIVE
    | _OTHER_PRONOUNS
    | _PREPOSITIONS
    | frozenset(
        "and but or nor yet so here hence perhaps maybe indeed today yesterday tomorrow sometimes "
        "meanwhile moreover furthermore nevertheless instead him them me us what everyone "
        "everybody someone somebody nobody nothing everything something anyone anybody anything "
        "none much more less people men women critics reviewers scholars others oh ah yes well how "
        "mine ours theirs little great good poor old young new large small early late".split()
    )
)
_NAME: Final = re.compile(
    r"(?:(?:Mr|Mrs|Ms|Dr|St|Capt|Col|Gen|Lt|Prof|Rev)\. )?[A-ZÄÖÜÉ][\w’'-]*"
    r"(?: (?:(?:of|de|von|van|the|der) )?[A-ZÄÖÜÉ][\w’'.-]*)*"
)
_WORD_EDGES: Final = "\"'“”‘’(),;:.!?[]"


def tokens_of(text: str) -> list[str]:
    """The words in lower case, without the punctuation around them."""
    words = [word.strip(_WORD_EDGES).replace("’", "'") for word in text.split()]
    # The month is not an auxiliary.
    return [
        "month" if word == "May" and place else word.lower() for place, word in enumerate(words)
    ]


def capitalized(text: str) -> str:
    """The text with a capital at its start."""
    return text[:1].upper() + text[1:]


def sentence_of(text: str) -> str:
    """A part of a sentence as a sentence: with a capital, and a full stop if it has no end."""
    text = capitalized(text.strip(" ,;:-–"))
    return text if text.endswith((".", "!", "?")) else f"{text}."


def is_finite(word: str, *, after_subject: bool) -> bool:
    """Whether a word in lower case is a finite verb.

    Args:
        word: the word.
        after_subject: whether it directly follows a subject, where forms that could be
            participles are finite.
    """
    if word in AUXILIARIES or word in _PAST or word in _PRESENT:
        return True
    return after_subject and (
        word in _PAST_OR_PARTICIPLE
        or word in _PRESENT_OR_PLURAL
        or (word.endswith("ed") and len(word) > 4)
    )


def is_present(word: str) -> bool:
    """Whether a finite verb in lower case is a present form of the third person."""
    return word in _PRESENT or word in _PRESENT_OR_PLURAL


def starts_clause(text: str) -> bool:
    """Whether it begins with a visible subject, soon followed by a finite verb."""
    words = tokens_of(text)
    if len(words) < 3:
        return False
    place = 2 if words[1] in _ADVERBS or words[1].endswith("ly") else 1
    if words[0] in _NOMINATIVE:
        return words[1] not in ("and", "or", "who", "whom", "himself", "herself", "themselves")
    if words[0] in _OTHER_PRONOUNS - {"who"} and is_finite(words[place], after_subject=True):
        return words[0] != "that" or words[1] in ("was", "would", "will", "had", "could")
    if words[0] in _DETERMINERS:
        return _verb_after_noun(text, words)
    name = name_at_start(text)
    if name is None:
        return False
    rest = words[len(name.split()) :]
    while rest and (rest[0] in _ADVERBS or rest[0].endswith("ly")):
        rest = rest[1:]
    return bool(rest) and is_finite(rest[0], after_subject=True)


def _verb_after_noun(text: str, words: list[str]) -> bool:
    """Whether a finite verb follows within a few words, with no other subject in between."""
    for place, word in enumerate(words[1:9], start=1):
        if is_finite(word, after_subject=False):
            return place > 1
        if word in _SUBORDINATORS | _NOMINATIVE or text.split()[place].endswith(
            (",", ";", ":", ")")
        ):
            return False
    return False


def has_finite_verb(text: str) -> bool:
    """Whether it has a subject pronoun, or a verb form that can only be finite."""
    words = tokens_of(text)
    for place, word in enumerate(words):
        if place and is_finite(word, after_subject=False):
            return True
        if word in _NOMINATIVE and place + 1 < len(words):
            return True
    return starts_clause(text)


def is_independent(text: str) -> bool:
    """Whether the first part of a sentence can be a sentence of its own."""
    words = tokens_of(text)
    if len(words) < 3 or words[0] in _NO_START or not _even(text):
        return False
    if "if" in words or "whether" in words or "not only" in text or words[-1] in _NO_END:
        return False
    _, comma, last = text.rpartition(", ")
    if comma and len(last.split()) < 4 and tokens_of(last)[:1] in (["and"], ["but"], ["or"]):
        return False
    if words[0] in _PREPOSITIONS and comma == "" and {"when", "where", "which"} & {*words}:
        return False  # "At the moment when he came" needs a main clause
    if starts_clause(text):
        return True
    verbs = sum(is_finite(word, after_subject=False) for word in words[1:])
    # A relative clause has a verb of its own.
    return has_finite_verb(text) and verbs >= sum(word in _RELATIVES for word in words)


def _even(text: str) -> bool:
    """Whether no bracket is cut in two."""
    return text.count("(") == text.count(")") and text.count("[") == text.count("]")


def name_at_start(text: str) -> str | None:
    """The capitalized words at the start of a text, if they can be a name."""
    match = _NAME.match(text)
    if match is None:
        return None
    name = match.group().removesuffix("’s").removesuffix("'s")
    first = name.split()[0].lower()
    participle = first == name.lower() and first.endswith("ing")
    return None if name != match.group() or first in _NO_NAME or participle else name
