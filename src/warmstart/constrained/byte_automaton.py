"""Deterministic automata over bytes of UTF-8: which texts are allowed.

Shape legend: N states, B = 256 bytes, E edges. State 0 is dead: no text continues from it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BYTES",
    "FAR",
    "ByteAutomaton",
    "distinct",
    "explored",
    "intersection",
    "spans",
    "steps_to",
    "trimmed",
]

BYTES: Final = 256
FAR: Final = int(np.iinfo(np.int32).max)  # steps from a state without a path


@dataclass(frozen=True, slots=True)
class ByteAutomaton:
    """Reads a text byte by byte.

    Attributes:
        after_NB: the state after each byte. Shape: [N, B]
        accepts_N: whether a text may end in a state. Shape: [N]
        start: the first state.
    """

    after_NB: NDArray[np.int32]
    accepts_N: NDArray[np.bool_]
    start: int

    def follow(self, states: NDArray[np.int32], text: bytes) -> NDArray[np.int32]:
        """The states after reading a text from each of some states. Shape: unchanged"""
        for byte in text:
            states = self.after_NB[states, byte]
        return states

    def matches(self, text: str) -> bool:
        """Whether a whole text is allowed."""
        state = self.follow(np.array(self.start, np.int32), text.encode())
        return bool(self.accepts_N[state])


def intersection(a: ByteAutomaton, b: ByteAutomaton) -> ByteAutomaton:
    """An automaton of the texts that both allow."""
    width = len(b.after_NB)

    def after(codes_F: NDArray[np.int64]) -> NDArray[np.int64]:
        of_a_FB = a.after_NB[codes_F // width].astype(np.int64)
        of_b_FB = b.after_NB[codes_F % width]
        return np.where((of_a_FB == 0) | (of_b_FB == 0), 0, of_a_FB * width + of_b_FB)

    def accepts(codes_N: NDArray[np.int64]) -> NDArray[np.bool_]:
        return a.accepts_N[codes_N // width] & b.accepts_N[codes_N % width]

    return trimmed(explored(a.start * width + b.start, len(a.after_NB) * width, after, accepts))


def explored(
    start: int,
    codes: int,
    after: Callable[[NDArray[np.int64]], NDArray[np.int64]],
    accepts: Callable[[NDArray[np.int64]], NDArray[np.bool_]],
) -> ByteAutomaton:
    """The part of an automaton that its first state reaches.

    Args:
        start: code of the first state.
        codes: number of codes; 0 is the dead state's.
        after: from codes of states to those after each byte. Shape: [F] -> [F, B]
        accepts: whether a text may end in each state. Shape: [N] -> [N]
    """
    number = np.full(codes, -1, np.int32)
    number[[0, start]] = 0, 1
    frontier = np.array([start])
    order, rows, count = [np.array([0]), frontier], [np.zeros((1, BYTES), np.int64)], 2
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


def trimmed(automaton: ByteAutomaton) -> ByteAutomaton:
    """Removes states that no text reaches, or that reach no end."""
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
    """The number of edges from each state to the nearest target; `FAR` without a path.

    Args:
        targets_N: whether each state is a target.
        froms_E: the state at the start of each edge.
        tos_E: the state at its end.
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


def spans(firsts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """The integers of half-open spans, one span after the other."""
    counts = ends - firsts
    return np.repeat(firsts - (counts.cumsum() - counts), counts) + np.arange(counts.sum())


def distinct(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sorted distinct numbers. `numpy.unique` takes many times as long (2.4)."""
    numbers = np.sort(numbers)
    once: NDArray[np.int64] = numbers[np.append(True, numbers[1:] != numbers[:-1])[: len(numbers)]]
    return once
