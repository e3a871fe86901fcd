"""Automata of what is written before a tokenizer rewrites it.

Shape legend: N states, B = 256 bytes, F states that are followed at once, P some of them, H all
that may be held back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from warmstart.constrained.byte_automaton import BYTES, ByteAutomaton, explored, trimmed

__all__ = ["Replacements", "before"]

# Bytes and what is put in their place, in the whole text, one pair after the other.
Replacements: TypeAlias = tuple[tuple[bytes, bytes], ...]

_SPACE: Final = ord(" ")


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
        after_FB = np.zeros((len(codes_F), BYTES), np.int64)
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

    return trimmed(explored(automaton.start, len(writer) * states, after, accepts))


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
