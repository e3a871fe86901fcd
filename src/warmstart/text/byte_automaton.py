"""Deterministic automata over bytes of UTF-8: which texts a regular expression allows.

Shape legend: N states, B = 256 bytes. State 0 is the dead one: no text goes on from there.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from warmstart.errors import UsageError
from warmstart.text.regex import LAST_CHARACTER, translated

__all__ = [
    "FAR",
    "ByteAutomaton",
    "Replacements",
    "automaton_of",
    "before",
    "spans",
    "steps_to",
    "stripped",
]

_BYTES, _SPACE = 256, ord(" ")
# Counts of repetitions that tell how fast an automaton grows with them, and how many times as many
# states twice the count may take: it is 2 in proportion, 8 with the third power.
_COUNTS: Final = (2, 4, 8, 16)
_GROWTH: Final = 10
FAR: Final = int(np.iinfo(np.int32).max)  # steps from where no way leads

# Bytes and what is put in their place, in the whole text, one pair after the other.
Replacements: TypeAlias = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class ByteAutomaton:
    """Reads a text byte by byte.

    Attributes:
        after_NB: the state behind each byte. Shape: [N, B]
        accepts_N: whether a text may end there. Shape: [N]
        start: the first state.
    """

    after_NB: NDArray[np.int32]
    accepts_N: NDArray[np.bool_]
    start: int

    def follow(self, states: NDArray[np.int32], text: bytes) -> NDArray[np.int32]:
        """The states behind a text that is read from each of some states. Shape: unchanged"""
        for byte in text:
            states = self.after_NB[states, byte]
        return states

    def matches(self, text: str) -> bool:
        """Whether a whole text is allowed."""
        state = self.follow(np.array(self.start, np.int32), text.encode())
        return bool(self.accepts_N[state])


def automaton_of(regex: str) -> ByteAutomaton:
    """The automaton of what a regular expression of Python's matches as a whole.

    Raises:
        UsageError: see `warmstart.text.regex`; and if the library is missing.
    """
    said, fewer, states = translated(regex), 0, 0
    # Shorter ones first: the whole might never come to its end.
    for count in _COUNTS:
        part = translated(regex, count)
        if part == said:
            break
        fewer, states = states, len(_made(regex, part).after_NB)
        if fewer and states > _GROWTH * fewer:
            raise UsageError(
                f"regex is '{regex:.80}', whose automaton grows too fast with the counts of its "
                f"repetitions: it has {fewer} states with counts up to {count // 2}, and "
                f"{states} with counts up to {count}. Lower the counts, or use * or +."
            )
    return _made(regex, said)


def _made(regex: str, said: str | None) -> ByteAutomaton:
    """The automaton of an expression that is translated."""
    try:
        from outlines_core import Index, Vocabulary
    except ImportError:
        raise UsageError(
            "regex is given, but outlines-core is not installed, which reads it; install it: "
            "pip install 'warmstart[regex]'."
        ) from None
    if said is None:
        return _of_edges({}, (), 0)
    # A vocabulary of single bytes makes its index the plain automaton; but what goes on behind a
    # possible end is lost in it (0.2.14), so no text ends before a character of its own.
    single = Vocabulary(_BYTES, {bytes([byte]): [byte] for byte in range(_BYTES)})
    try:
        index = Index(f"(?:{said}){LAST_CHARACTER}", single)
    except ValueError as error:
        raise UsageError(
            f"regex is '{regex:.80}', which the automaton's library cannot take: {error!s:.200}"
        ) from None
    whole = _of_edges(index.get_transitions(), index.get_final_states(), index.get_initial_state())
    every_N = np.arange(len(whole.after_NB), dtype=np.int32)
    ends_N = whole.accepts_N[whole.follow(every_N, LAST_CHARACTER.encode())]
    return _trimmed(replace(whole, accepts_N=ends_N))


def stripped(automaton: ByteAutomaton) -> ByteAutomaton:
    """What may be written so that an allowed text comes out when `str.strip` has cut it.

    A space may come before. None may come behind, or an output could be drawn out.
    """
    both = _intersection(automaton, _neat())
    after_NB = np.concatenate((both.after_NB, both.after_NB[both.start][None]))
    after_NB[-1, _SPACE] = both.start
    accepts_N = np.append(both.accepts_N, both.accepts_N[both.start])
    return _trimmed(ByteAutomaton(after_NB, accepts_N, len(accepts_N) - 1))


@cache
def _neat() -> ByteAutomaton:
    """Texts without space around them."""
    return automaton_of(r"(\S((?s:.)*\S)?)?")


def before(automaton: ByteAutomaton, replacements: Replacements) -> ByteAutomaton:
    """What may be written so that an allowed text comes out when `replacements` are made.

    A state is one of the automaton, which has read what no later byte can change, and what the
    replacements still hold back. Texts with two spaces in a row are left out: they would multiply
    the states, and tokenizers whose text is rewritten so do not write them.

    Args:
        automaton: of texts behind the replacements.
        replacements: of bytes by others, made one after the other in the whole text.
    """
    if not replacements:
        return automaton
    writer, states = _writer(replacements), len(automaton.after_NB)
    useful_HN = _useful(automaton, writer)

    def after(codes_F: NDArray[np.int64]) -> NDArray[np.int64]:
        after_FB = np.zeros((len(codes_F), _BYTES), np.int64)
        for number in np.unique(codes_F // states).tolist():
            (places,) = (codes_F // states == number).nonzero()
            read_P = codes_F[places] % states
            after_FB[places] = automaton.after_NB[automaton.follow(read_P, writer[number].passing)]
            for byte, (behind, text) in writer[number].moves.items():
                after_P = automaton.follow(read_P, text).astype(np.int64)
                useful_P = useful_HN[behind, after_P]
                after_FB[places, byte] = np.where(useful_P, behind * states + after_P, 0)
        return after_FB

    def accepts(codes_N: NDArray[np.int64]) -> NDArray[np.bool_]:
        accepts_N = np.zeros(len(codes_N), np.bool_)
        for number, held in enumerate(writer):
            (places,) = (codes_N // states == number).nonzero()
            read_P = codes_N[places] % states
            accepts_N[places] = automaton.accepts_N[automaton.follow(read_P, held.rest)]
        return accepts_N

    return _trimmed(_explored(automaton.start, len(writer) * states, after, accepts))


@dataclass(frozen=True, slots=True)
class _Held:
    """What replacements hold back after some bytes.

    Attributes:
        passing: what comes out before a byte that they do not know, which sets all free.
        moves: by the bytes that they know: what is held back then, and what comes out.
        rest: what comes out if no byte follows.
    """

    passing: bytes
    moves: dict[int, tuple[int, bytes]]
    rest: bytes


def _useful(automaton: ByteAutomaton, writer: Sequence[_Held]) -> NDArray[np.bool_]:
    """From which states what is held back can come out, as it is or replaced. Shape: [H, N]"""
    every_N = np.arange(len(automaton.after_NB), dtype=np.int32)
    useful_HN = np.zeros((len(writer), len(every_N)), np.bool_)
    for number, held in enumerate(writer):
        texts = [held.passing, held.rest, *(text for _, text in held.moves.values())]
        for text in filter(None, texts):
            useful_HN[number] |= automaton.follow(every_N, text) != 0
        useful_HN[number] |= not held.passing
    # A byte may be held back in its turn.
    for _ in range(max(len(held.passing) for held in writer)):
        for number, held in enumerate(writer):
            for behind, text in held.moves.values():
                if not text and behind:
                    useful_HN[number] |= useful_HN[behind]
    useful_HN[:, 0] = False
    return useful_HN


@cache
def _writer(replacements: Replacements) -> list[_Held]:
    """All that replacements may hold back; at first it is nothing."""
    known = sorted({byte for old, _ in replacements for byte in old})
    # What is held back, and whether the last byte was a space.
    queue = [((0,) * len(replacements), False)]
    writer = []
    for held, spaced in queue:
        _, passing = _replaced(b"\xff", held, replacements)
        moves = {}
        for byte in known:
            behind, text = _replaced(bytes([byte]), held, replacements)
            if spaced and byte == _SPACE:
                moves[byte] = (0, b"\xff")  # which no text has
                continue
            state = (behind, byte == _SPACE)
            if state not in queue:
                queue.append(state)
            moves[byte] = (queue.index(state), text)
        writer.append(_Held(passing[:-1], moves, _rest(held, replacements)))
    return writer


def _replaced(
    text: bytes, held: tuple[int, ...], replacements: Replacements
) -> tuple[tuple[int, ...], bytes]:
    """Sends bytes through all replacements.

    Args:
        text: the next bytes.
        held: how many bytes of its `old` each replacement holds back.
        replacements: see `before`.

    Returns:
        How many they hold back now, and what comes out.
    """
    behind = []
    for (old, new), size in zip(replacements, held, strict=True):
        out = b""
        for byte in text:
            waiting = old[:size] + bytes([byte])
            size = next(n for n in range(len(waiting), -1, -1) if waiting.endswith(old[:n]))
            out += waiting[: len(waiting) - size]
            if size == len(old):
                out, size = out + new, 0
        behind.append(size)
        text = out
    return tuple(behind), text


def _rest(held: tuple[int, ...], replacements: Replacements) -> bytes:
    """What comes out at last of what the replacements hold back; arguments as `_replaced`."""
    text = b""
    for replacement, size in zip(replacements, held, strict=True):
        (still,), text = _replaced(text, (size,), (replacement,))
        text += replacement[0][:still]
    return text


def _of_edges(
    edges: Mapping[int, Mapping[int, int]], accepting: Collection[int], start: int
) -> ByteAutomaton:
    """From a table of states and bytes to states; other symbols than bytes are left out."""
    names = {name: number for number, name in enumerate(dict.fromkeys((start, *edges)), start=1)}
    after_NB = np.zeros((len(names) + 1, _BYTES), np.int32)
    for state, following in edges.items():
        for byte, behind in following.items():
            if byte < _BYTES:
                after_NB[names[state], byte] = names[behind]
    accepts_N = np.zeros(len(after_NB), np.bool_)
    accepts_N[[names[name] for name in accepting]] = True
    return ByteAutomaton(after_NB, accepts_N, names[start])


def _intersection(a: ByteAutomaton, b: ByteAutomaton) -> ByteAutomaton:
    """What both allow."""
    width = len(b.after_NB)

    def after(codes_F: NDArray[np.int64]) -> NDArray[np.int64]:
        of_a_FB = a.after_NB[codes_F // width].astype(np.int64)
        of_b_FB = b.after_NB[codes_F % width]
        return np.where((of_a_FB == 0) | (of_b_FB == 0), 0, of_a_FB * width + of_b_FB)

    def accepts(codes_N: NDArray[np.int64]) -> NDArray[np.bool_]:
        return a.accepts_N[codes_N // width] & b.accepts_N[codes_N % width]

    return _trimmed(_explored(a.start * width + b.start, len(a.after_NB) * width, after, accepts))


def _explored(
    start: int,
    codes: int,
    after: Callable[[NDArray[np.int64]], NDArray[np.int64]],
    accepts: Callable[[NDArray[np.int64]], NDArray[np.bool_]],
) -> ByteAutomaton:
    """The part of an automaton that its first state leads to.

    Args:
        start: code of the first state.
        codes: how many there are; 0 is the dead state's.
        after: codes of states to those behind each byte. Shape: [F] -> [F, B]
        accepts: whether a text may end in each. Shape: [N] -> [N]
    """
    number = np.full(codes, -1, np.int32)
    number[[0, start]] = 0, 1
    frontier = np.array([start])
    order, rows, count = [np.array([0]), frontier], [np.zeros((1, _BYTES), np.int64)], 2
    while len(frontier):
        rows.append(after(frontier))
        new = np.zeros(codes, np.bool_)
        new[rows[-1]] = True
        frontier = (new & (number < 0)).nonzero()[0]
        number[frontier] = np.arange(count, count + len(frontier))
        count += len(frontier)
        order.append(frontier)
    accepts_N = accepts(np.concatenate(order))
    accepts_N[0] = False
    return ByteAutomaton(number[np.concatenate(rows)], accepts_N, 1)


def _trimmed(automaton: ByteAutomaton) -> ByteAutomaton:
    """Without states that no text reaches, or that reach no end."""
    after_NB, states = automaton.after_NB, len(automaton.after_NB)
    edges = distinct((np.arange(states)[:, None] * states + after_NB).ravel())
    froms, tos = edges // states, edges % states
    lives = steps_to(automaton.accepts_N, froms, tos) < FAR
    start_N = np.arange(states) == automaton.start
    lives &= steps_to(start_N, tos, froms) < FAR
    lives[0], lives[automaton.start] = False, True
    number_N = np.zeros(states, np.int32)
    number_N[lives] = np.arange(1, lives.sum() + 1)
    kept = np.append(0, lives.nonzero()[0])
    return ByteAutomaton(
        number_N[after_NB[kept]] * lives[kept][:, None],
        automaton.accepts_N[kept] & lives[kept],
        int(number_N[automaton.start]),
    )


def steps_to(
    targets_N: NDArray[np.bool_], froms_E: NDArray[np.int64], tos_E: NDArray[np.int64]
) -> NDArray[np.int32]:
    """How many edges it takes from each state to the nearest target; `FAR` if none leads there.

    Args:
        targets_N: which states are targets.
        froms_E: where each edge begins.
        tos_E: where it ends.
    """
    steps_N = np.where(targets_N, 0, FAR).astype(np.int32)
    order = np.argsort(tos_E, kind="stable")
    froms_E = froms_E[order]
    first_N = np.searchsorted(tos_E[order], np.arange(len(targets_N) + 1))
    frontier, step = targets_N.nonzero()[0], 0
    while len(frontier):
        step += 1
        froms = froms_E[spans(first_N[frontier], first_N[frontier + 1])]
        frontier = distinct(froms[steps_N[froms] == FAR])
        steps_N[frontier] = step
    return steps_N


def spans(firsts: NDArray[np.int64], behinds: NDArray[np.int64]) -> NDArray[np.int64]:
    """All whole numbers of some spans, one span after the other."""
    counts = behinds - firsts
    return np.repeat(firsts - (counts.cumsum() - counts), counts) + np.arange(counts.sum())


def distinct(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each number once, in order. `numpy.unique` takes many times as long (2.4)."""
    numbers = np.sort(numbers)
    once: NDArray[np.int64] = numbers[np.append(True, numbers[1:] != numbers[:-1])[: len(numbers)]]
    return once
