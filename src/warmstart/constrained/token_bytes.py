"""The bytes of each token of a tokenizer in the text of its `decode`."""

import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from transformers import PreTrainedTokenizerBase

from warmstart.constrained.preimage import Replacements
from warmstart.errors import UsageError

__all__ = ["TokenBytes", "token_bytes"]

_NEIGHBOUR: Final = "a"  # next to which the text of other tokens is read
_BYTE: Final = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_TRIED = 200  # sequences to compare with `decode`

# `clean_up_tokenization` of transformers.
_CLEANED_UP: Final = (
    *((f" {mark}".encode(), mark.encode()) for mark in ".?!,"),
    (b" ' ", b"'"),
    *((f" {end}".encode(), end.encode()) for end in ("n't", "'m", "'s", "'ve", "'re")),
)


@dataclass(frozen=True, slots=True)
class TokenBytes:
    """The bytes of each token in the text of outputs.

    Attributes:
        first: at the start of a text; empty for special tokens, which texts do not contain.
        later: after other text.
        replacements: applied to the text as a whole, one after the other. Then it is stripped.
    """

    first: tuple[bytes, ...]
    later: tuple[bytes, ...]
    replacements: Replacements

    def text(self, tokens: Sequence[int]) -> str:
        """The text of some tokens."""
        written = b""
        for token in tokens:
            written += self.later[token] if written else self.first[token]
        for old, new in self.replacements:
            written = written.replace(old, new)
        return written.decode(errors="replace").strip()


def token_bytes(tokenizer: PreTrainedTokenizerBase, vocabulary: int) -> TokenBytes:
    """Finds the bytes of each token.

    Args:
        tokenizer: of targets.
        vocabulary: rows of the target embedding; a row without a token has no bytes.

    Raises:
        UsageError: if the text of a token depends on more than whether it is the first.
    """
    special = _special(tokenizer)
    names: list[str | None] = [None] * vocabulary
    for name, token in tokenizer.get_vocab().items():
        if token < vocabulary and token not in special:
            names[token] = name
    replacements = _replacements(tokenizer)
    first, later = _written(tokenizer, names, rewritten=bool(replacements))
    found = TokenBytes(tuple(first), tuple(later), replacements)
    _try(found, tokenizer)
    return found


def _special(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    if not tokenizer.is_fast:
        return {*tokenizer.all_special_ids}
    return {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}


def _written(
    tokenizer: PreTrainedTokenizerBase, names: Sequence[str | None], *, rewritten: bool
) -> tuple[list[bytes], list[bytes]]:
    if "ByteLevel" in _decoder_steps(tokenizer):
        written = [b"" if name is None else _of_byte_level(name) for name in names]
        return written, written
    join = _joined(tokenizer)
    alone = join([_NEIGHBOUR])
    after = len(join([_NEIGHBOUR, _NEIGHBOUR])) - len(alone)
    falls_back = join(["<0x41>"]) == "A"
    first, later = [], []
    for name in names:
        if name is None:
            first.append(b"")
            later.append(b"")
            continue
        if falls_back and (byte := _BYTE.fullmatch(name)):
            first.append(bytes([int(byte[1], 16)]))
            later.append(first[-1])
            continue
        within = join([_NEIGHBOUR, name, _NEIGHBOUR])
        later_text = within[len(alone) : len(within) - after]
        before = join([name, _NEIGHBOUR])
        first_text = before[: len(before) - after]
        # Space at the beginning is stripped anyway, so a token may as well write it (a "▁" alone
        # has to write something), unless it would be rewritten together with later text.
        same = not rewritten and first_text.lstrip() == later_text.lstrip()
        first.append((later_text if same else first_text).encode())
        later.append(later_text.encode())
    return first, later


def _decoder_steps(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Types of a tokenizer's decoders, in order."""
    decoder = getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", None)
    if decoder is None:
        return []
    state = json.loads(decoder.__getstate__())
    return [step["type"] for step in state.get("decoders", [state])]


def _joined(tokenizer: PreTrainedTokenizerBase) -> Callable[[list[str]], str]:
    """A function from tokens to their text, before it is rewritten as a whole."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return tokenizer.convert_tokens_to_string
    return " ".join if backend.decoder is None else backend.decoder.decode


def _replacements(tokenizer: PreTrainedTokenizerBase) -> Replacements:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    forced = tokenizer.clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output
    kept = backend is not None and type(backend.model).__name__ == "BPE" and not forced
    return _CLEANED_UP if tokenizer.clean_up_tokenization_spaces and not kept else ()


@cache
def _byte_alphabet() -> dict[str, int]:
    """The characters that represent bytes in byte-level vocabularies (GPT-2)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(256 + index): byte for index, byte in enumerate(others)
    }


def _of_byte_level(name: str) -> bytes:
    alphabet = _byte_alphabet()
    # An added token is its own text.
    if all(character in alphabet for character in name):
        return bytes(alphabet[character] for character in name)
    return name.encode()


def _try(found: TokenBytes, tokenizer: PreTrainedTokenizerBase) -> None:
    """Compares with `decode` on sequences of tokens of whole characters."""
    whole = [token for token, text in enumerate(found.later) if text and _is_text(text)]
    generator = random.Random(0)
    for _ in range(_TRIED if whole else 0):
        tokens = generator.choices(whole, k=4)
        (decoded,) = tokenizer.batch_decode([tokens], skip_special_tokens=True)
        if found.text(tokens) != decoded.strip():
            raise UsageError(
                "regex is given, but in the target's tokenizer "
                f"({type(tokenizer).__name__}) the text of a token depends on its neighbours, so "
                "it cannot constrain outputs; leave regex out, or give choices."
            )


def _is_text(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
