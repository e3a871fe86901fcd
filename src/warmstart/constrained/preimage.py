"""Automata of texts before a tokenizer rewrites them.

Shape legend: N states, B = 256 bytes, F states followed at once, P some of them, H states of the
replacements.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from warmstart.constrained.byte_automaton import BYTES, ByteAutomaton, explored, trimmed

__all__ = ["Replacements", "preimage"]

# Bytes and their replacements in the whole text, one pair after the other.
Replacements: TypeAlias = tuple[tuple[bytes, bytes], ...]

_SPACE: Final = ord(" ")


def preimage(automaton: ByteAutomaton, replacements: Replacements) -> ByteAutomaton:
    """An automaton of the texts that `replacements` turn into allowed texts.

    A state combines one of the automaton, after all bytes that no later byte can change, with the
    bytes that the replacements still hold back. Texts with two spaces in a row are excluded: they
    would multiply the states, and tokenizers with such replacements do not write them.

    Args:
        automaton: of texts after the replacements.
        replacements: of bytes by others, one after the other in the whole text.
    """
    if not replacements:
        return automaton
    writer, states = _writer(replacements), len(automaton.after_NB)
    useful_HN = _useful(automaton, writer)

    def after(codes_F: NDArray[np.int64]) -> NDArray[np.int64]:
        after_FB = np.zeros((len(codes_F), BYTES), np.int64)
        for number in np.unique(codes_F // states).tolist():
            (indices,) = (codes_F // states == number).nonzero()
            read_P = codes_F[indices] % states
            after_FB[indices] = automaton.after_NB[automaton.follow(read_P, writer[number].passing)]
            for byte, (following, text) in writer[number].moves.items():
                after_P = automaton.follow(read_P, text).astype(np.int64)
                useful_P = useful_HN[following, after_P]
                after_FB[indices, byte] = np.where(useful_P, following * states + after_P, 0)
        return after_FB

    def accepts(codes_N: NDArray[np.int64]) -> NDArray[np.bool_]:
        accepts_N = np.zeros(len(codes_N), np.bool_)
        for number, held in enumerate(writer):
            (indices,) = (codes_N // states == number).nonzero()
            read_P = codes_N[indices] % states
            accepts_N[indices] = automaton.accepts_N[automaton.follow(read_P, held.rest)]
        return accepts_N

    return trimmed(explored(automaton.start, len(writer) * states, after, accepts))


@dataclass(frozen=True, slots=True)
class _Held:
    """A state of the replacements after some bytes.

    Attributes:
        passing: output before a byte of no replacement, which releases all held bytes.
        moves: by bytes of the replacements: the next state, and the output.
        rest: output at the end of the text.
    """

    passing: bytes
    moves: dict[int, tuple[int, bytes]]
    rest: bytes


def _useful(automaton: ByteAutomaton, writer: Sequence[_Held]) -> NDArray[np.bool_]:
    """Whether the held bytes can be output from each state, replaced or not. Shape: [H, N]"""
    every_N = np.arange(len(automaton.after_NB), dtype=np.int32)
    useful_HN = np.zeros((len(writer), len(every_N)), np.bool_)
    for number, held in enumerate(writer):
        texts = [held.passing, held.rest, *(text for _, text in held.moves.values())]
        for text in filter(None, texts):
            useful_HN[number] |= automaton.follow(every_N, text) != 0
        useful_HN[number] |= not held.passing
    # A byte may be held back again by the next replacement.
    for _ in range(max(len(held.passing) for held in writer)):
        for number, held in enumerate(writer):
            for following, text in held.moves.values():
                if not text and following:
                    useful_HN[number] |= useful_HN[following]
    useful_HN[:, 0] = False
    return useful_HN


@cache
def _writer(replacements: Replacements) -> list[_Held]:
    """All states of the replacements; the first holds nothing back."""
    known = sorted({byte for old, _ in replacements for byte in old})
    # The held bytes, and whether the last byte was a space.
    queue = [((0,) * len(replacements), False)]
    writer = []
    for held, spaced in queue:
        _, passing = _replaced(b"\xff", held, replacements)
        moves = {}
        for byte in known:
            following, text = _replaced(bytes([byte]), held, replacements)
            if spaced and byte == _SPACE:
                moves[byte] = (0, b"\xff")  # no text has this byte
                continue
            state = (following, byte == _SPACE)
            if state not in queue:
                queue.append(state)
            moves[byte] = (queue.index(state), text)
        writer.append(_Held(passing[:-1], moves, _rest(held, replacements)))
    return writer


def _replaced(
    text: bytes, held: tuple[int, ...], replacements: Replacements
) -> tuple[tuple[int, ...], bytes]:
    """Passes bytes through all replacements.

    Args:
        text: the next bytes.
        held: the number of bytes of its `old` that each replacement holds back.
        replacements: see `preimage`.

    Returns:
        The numbers held back afterwards, and the output.
    """
    following = []
    for (old, new), size in zip(replacements, held, strict=True):
        out = b""
        for byte in text:
            waiting = old[:size] + bytes([byte])
            size = next(n for n in range(len(waiting), -1, -1) if waiting.endswith(old[:n]))
            out += waiting[: len(waiting) - size]
            if size == len(old):
                out, size = out + new, 0
        following.append(size)
        text = out
    return tuple(following), text


def _rest(held: tuple[int, ...], replacements: Replacements) -> bytes:
    """The output of the held bytes at the end of a text; arguments as `_replaced`."""
    text = b""
    for replacement, size in zip(replacements, held, strict=True):
        (still,), text = _replaced(text, (size,), (replacement,))
        text += replacement[0][:still]
    return text
