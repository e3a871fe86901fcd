"""Ends of sentences in running text, by rule, in scripts that mark them."""

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["sentence_ends"]

_ABBREVIATIONS: Final = (
    "mr mrs ms dr st prof rev hon capt col gen lt sgt maj messrs jr sr co inc ltd corp no nos vol "
    "fig figs ch pp ed eds etc vs viz cf al ca c e.g i.e a.m p.m b.c a.d approx dept est mt ft "
    "jan feb mar apr jun jul aug sept sep oct nov dec gov sen rep pres supt cmdr adm univ esq"
).split()
_ABBREVIATION: Final = re.compile(
    r"(?:^|[\s(\"“‘-])(?:"
    + "|".join(map(re.escape, _ABBREVIATIONS))
    + r"|[A-Za-z]|(?:[A-Z]\.)+[A-Z])\.$",
    re.IGNORECASE,
)
# Marks before a possible beginning of a sentence; those of Chinese and Japanese, which need no
# space; and those of Arabic, Urdu and the scripts of India, which have no capitals.
_END: Final = re.compile(
    r"[.!?…][\"'”’»)\]]*(?=\s+[\"'“‘«(\[]?([^\W_]))"
    r"|[。！？][”’」』）]*+(?!\Z)"
    r"|[।؟۔](?=\s)"
)
_LOOK_BACK: Final = 40  # characters that may contain an abbreviation


def sentence_ends(text: str) -> Iterator[int]:
    """Yields the index after each end of a sentence, but for the end of the text.

    Sentences end in ``.``, ``!`` or ``?`` before a digit or a letter that is not lower case, but
    not after an abbreviation; and in the marks of other scripts.
    """
    start = 0
    for match in _END.finditer(text):
        if (match[1] or "").islower():
            continue
        candidate = text[max(start, match.end() - _LOOK_BACK) : match.end()]
        if candidate.endswith(".") and _ABBREVIATION.search(candidate):
            continue
        yield match.end()
        start = match.end()
