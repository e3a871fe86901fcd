"""Texts to token ids and back: one tokenizer for sources, one for targets."""

import logging
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import transformers
from transformers import PreTrainedTokenizerBase

from warmstart.errors import CheckpointError
from warmstart.text.special_tokens import SpecialTokens, resolve_special_tokens

__all__ = [
    "TARGET_FOLDER",
    "Encoded",
    "TokenizerPair",
    "load_tokenizer",
    "same_vocabulary",
    "tokens_beyond",
]

TARGET_FOLDER = "decoder_tokenizer"  # inside a model folder, where the two differ
_TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of some texts.

    Attributes:
        rows: ids of each text.
        cut: which of them were longer than allowed and were cut.
    """

    rows: list[list[int]]
    cut: tuple[int, ...] = ()

    @property
    def truncated(self) -> int:
        """How many texts were cut."""
        return len(self.cut)


@dataclass(frozen=True, slots=True)
class TokenizerPair:
    """The tokenizers of a model and the special tokens of its targets.

    Attributes:
        source: tokenizer of what the model reads.
        target: tokenizer of what it writes; the same object where they do not differ.
        special: start, end and pad of the target.
        target_start: tokens that each target begins with, after the start token (BART: <s>).
    """

    source: PreTrainedTokenizerBase
    target: PreTrainedTokenizerBase
    special: SpecialTokens
    target_start: tuple[int, ...] = ()

    @classmethod
    def of(
        cls,
        source: PreTrainedTokenizerBase,
        target: PreTrainedTokenizerBase,
        decoder_config: Mapping[str, Any],
        target_start: tuple[int, ...] = (),
    ) -> "TokenizerPair":
        """Joins two tokenizers; equal ones become one."""
        if same_vocabulary(source, target) and _same_rules(source, target):
            target = source
        special = resolve_special_tokens(target, decoder_config)
        return cls(source, target, special, target_start)

    def encode_sources(self, texts: Sequence[str], max_length: int | None) -> Encoded:
        """Token ids of sources, framed as the encoder was pre-trained to see them.

        Args:
            texts: the sources.
            max_length: tokens, special ones included; longer sources are cut. None: any length.
        """
        rows = _ids(self.source, texts, special=True)
        long = (
            [] if max_length is None else [i for i, row in enumerate(rows) if len(row) > max_length]
        )
        if long:
            # Cut by the tokenizer, which keeps the special tokens at both ends.
            cut = self.source(
                [texts[i] for i in long], truncation=True, max_length=max_length, verbose=False
            )["input_ids"]
            for i, row in zip(long, cut, strict=True):
                rows[i] = list(row)
        # A tokenizer without special tokens makes nothing of an empty text, and attention needs
        # something to look at.
        filler = _filler(self.source, self.special)
        return Encoded([row or [filler] for row in rows], tuple(long))

    def count_sources(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each source has, special ones included and nothing cut."""
        return [len(row) for row in _ids(self.source, texts, special=True)]

    def encode_targets(self, texts: Sequence[str], max_length: int | None) -> Encoded:
        """Token ids of targets, each framed and ended, and without the start token.

        Args:
            texts: the targets.
            max_length: tokens, the end token included; longer targets are cut and still ended.
        """
        rows = [
            [*self.target_start, *row]
            for row in _ids(self.target, texts, special=False, as_targets=True)
        ]
        cut = []
        for index, row in enumerate(rows):
            if max_length is not None and len(row) >= max_length:
                del row[max_length - 1 :]
                cut.append(index)
            row.append(self.special.end)
        return Encoded(rows, tuple(cut))

    def decode(self, rows: Iterable[Sequence[int]]) -> list[str]:
        """Texts of generated token ids, without special tokens."""
        texts = self.target.batch_decode([list(row) for row in rows], skip_special_tokens=True)
        return [text.strip() for text in texts]

    def save(self, folder: Path) -> None:
        """Writes the source tokenizer to a folder, and the target's beneath it if they differ."""
        for tokenizer in (self.source, self.target):
            # A limit that cut a source stays in the tokenizer until the next call, and would be
            # saved as its own.
            _ids(tokenizer, [""], special=True)
        self.source.save_pretrained(folder)
        if self.target is not self.source:
            self.target.save_pretrained(folder / TARGET_FOLDER)


def load_tokenizer(folder: str | os.PathLike[str], whose: str) -> PreTrainedTokenizerBase:
    """Loads the tokenizer whose files lie in a folder.

    Args:
        folder: a local folder.
        whose: names it in the error, such as "the source tokenizer of DIR".

    Raises:
        CheckpointError: if there is none or it cannot be read.
    """
    path = Path(folder)
    if not any((path / name).is_file() for name in _TOKENIZER_FILES):
        raise CheckpointError(
            f"{whose[0].upper()}{whose[1:]} is missing: {path} has none of "
            f"{', '.join(_TOKENIZER_FILES)}. Copy the tokenizer's files there."
        )
    try:
        with _no_talk_of_configs():
            tokenizer: PreTrainedTokenizerBase = transformers.AutoTokenizer.from_pretrained(
                path, local_files_only=True
            )
    except Exception as error:  # transformers raises anything, from KeyError to pyo3's
        reason = shorten(str(error) or repr(error), width=300)
        raise CheckpointError(
            f"{whose[0].upper()}{whose[1:]} in {path} cannot be read: {reason}"
        ) from error
    return tokenizer


@contextmanager
def _no_talk_of_configs() -> Iterator[None]:
    """Silences warnings of a config that transformers cannot hold: a tokenizer is all we want.

    And of a package that its Marian tokenizer looks for and never uses.
    """
    talker = logging.getLogger("transformers.configuration_utils")
    level = talker.level
    talker.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")
            yield
    finally:
        talker.setLevel(level)


def same_vocabulary(a: PreTrainedTokenizerBase, b: PreTrainedTokenizerBase) -> bool:
    """Whether two tokenizers give every token the same id."""
    return a is b or (a.get_vocab() == b.get_vocab() and type(a) is type(b))


def tokens_beyond(tokenizer: PreTrainedTokenizerBase, rows: int) -> dict[int, tuple[str, bool]]:
    """Tokens whose id is past an embedding's rows: id -> the token, and whether it is special."""
    if len(tokenizer) <= rows:
        return {}
    added = tokenizer.added_tokens_decoder
    return {
        token: (text, token in added and added[token].special)
        for text, token in tokenizer.get_vocab().items()
        if token >= rows
    }


def _same_rules(a: PreTrainedTokenizerBase, b: PreTrainedTokenizerBase) -> bool:
    """Whether two tokenizers of one vocabulary cut texts alike: one may turn to lower case."""
    if a is b:
        return True
    ours, others = (getattr(tokenizer, "backend_tokenizer", None) for tokenizer in (a, b))
    if ours is None or others is None:
        return ours is others  # written in Python: its class and vocabulary are all it has
    return bool(ours.to_str() == others.to_str())


def _ids(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    special: bool,
    as_targets: bool = False,
) -> list[list[int]]:
    if not texts:
        return []
    # Some tokenizers cut the two languages of a translation model in two ways (Marian).
    encoded = (
        tokenizer(text_target=list(texts), add_special_tokens=special, verbose=False)
        if as_targets
        else tokenizer(list(texts), add_special_tokens=special, verbose=False)
    )
    return [list(row) for row in encoded["input_ids"]]


def _filler(tokenizer: PreTrainedTokenizerBase, special: SpecialTokens) -> int:
    for token in (tokenizer.eos_token_id, tokenizer.sep_token_id, tokenizer.unk_token_id):
        if token is not None:
            return int(token)
    return min(special.end, len(tokenizer) - 1)


logging.getLogger("transformers.tokenization_utils_base").setLevel(logging.ERROR)
