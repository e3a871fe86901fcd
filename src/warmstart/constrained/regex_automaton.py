"""A regular expression's automaton over bytes.

Shape legend: N states, B = 256 bytes.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import cache
from typing import Final

import numpy as np

from warmstart.constrained.byte_automaton import BYTES, ByteAutomaton, intersection, trimmed
from warmstart.constrained.regex import LAST_CHARACTER, translate
from warmstart.errors import UsageError

__all__ = ["automaton_of", "stripped"]

# Counts of repetitions to measure the growth of an automaton with them, and the highest allowed
# factor of states for twice the count: 2 is proportional, 8 the third power.
_COUNTS: Final = (2, 4, 8, 16)
_GROWTH: Final = 10


def automaton_of(regex: str) -> ByteAutomaton:
    """The automaton of the whole texts that a regular expression of Python's matches.

    Raises:
        UsageError: see `warmstart.constrained.regex`; also if the library is missing.
    """
    whole, fewer, states = translate(regex), 0, 0
    # Smaller counts first: the whole might take forever.
    for count in _COUNTS:
        part = translate(regex, count)
        if part == whole:
            break
        fewer, states = states, len(_made(regex, part).after_NB)
        if fewer and states > _GROWTH * fewer:
            raise UsageError(
                f"regex is '{regex:.80}', whose automaton grows too fast with the counts of its "
                f"repetitions: it has {fewer} states with counts up to {count // 2}, and "
                f"{states} with counts up to {count}. Lower the counts, or use * or +."
            )
    return _made(regex, whole)


def stripped(automaton: ByteAutomaton) -> ByteAutomaton:
    """An automaton of the texts that `str.strip` turns into allowed texts.

    A space may come before, but not after, or outputs could be extended without end.
    """
    both = intersection(automaton, _neat())
    after_NB = np.concatenate((both.after_NB, both.after_NB[both.start][None]))
    after_NB[-1, ord(" ")] = both.start
    accepts_N = np.append(both.accepts_N, both.accepts_N[both.start])
    return trimmed(ByteAutomaton(after_NB, accepts_N, len(accepts_N) - 1))


def _made(regex: str, translated: str | None) -> ByteAutomaton:
    """The automaton of a translated expression."""
    try:
        from outlines_core import Index, Vocabulary
    except ImportError:
        raise UsageError(
            "regex is given, but outlines-core, which it needs, is not installed; install it: "
            "pip install 'warmstart[regex]'."
        ) from None
    if translated is None:
        return _of_edges({}, (), 0)
    # A vocabulary of single bytes makes its index the plain automaton. But the index drops edges
    # after a possible end (0.2.14), so every text ends with a character of its own.
    single = Vocabulary(BYTES, {bytes([byte]): [byte] for byte in range(BYTES)})
    try:
        index = Index(f"(?:{translated}){LAST_CHARACTER}", single)
    except ValueError as error:
        raise UsageError(
            f"regex is '{regex:.80}', which outlines-core rejects: {error!s:.200}"
        ) from None
    whole = _of_edges(index.get_transitions(), index.get_final_states(), index.get_initial_state())
    every_N = np.arange(len(whole.after_NB), dtype=np.int32)
    ends_N = whole.accepts_N[whole.follow(every_N, LAST_CHARACTER.encode())]
    return trimmed(replace(whole, accepts_N=ends_N))


def _of_edges(
    edges: Mapping[int, Mapping[int, int]], accepting: Collection[int], start: int
) -> ByteAutomaton:
    """An automaton from a table of states and bytes to states; other symbols are dropped."""
    names = {name: number for number, name in enumerate(dict.fromkeys((start, *edges)), start=1)}
    after_NB = np.zeros((len(names) + 1, BYTES), np.int32)
    for state, following in edges.items():
        for byte, state_after in following.items():
            if byte < BYTES:
                after_NB[names[state], byte] = names[state_after]
    accepts_N = np.zeros(len(after_NB), np.bool_)
    accepts_N[[names[name] for name in accepting]] = True
    return ByteAutomaton(after_NB, accepts_N, names[start])


@cache
def _neat() -> ByteAutomaton:
    """Texts without space around them."""
    return automaton_of(r"(\S((?s:.)*\S)?)?")
