"""Texts to token ids and back: one tokenizer for sources, one for targets."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers
from transformers import PreTrainedTokenizerBase

from warmstart.text.special_tokens import SpecialTokens, resolve_special_tokens

__all__ = [
    "TARGET_FOLDER",
    "Encoded",
    "TokenizerPair",
    "same_vocabulary",
    "tokens_beyond",
]

TARGET_FOLDER = "decoder_tokenizer"  # inside a model folder, if the two differ


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of some texts.

    Attributes:
        rows: ids of each text.
        cut: indices of those that were truncated.
    """

    rows: list[list[int]]
    cut: tuple[int, ...] = ()

    @property
    def truncated(self) -> int:
        """Number of texts that were truncated."""
        return len(self.cut)


@dataclass(frozen=True, slots=True)
class TokenizerPair:
    """The tokenizers of a model and the special tokens of its targets.

    Attributes:
        source: tokenizer of sources.
        target: tokenizer of targets; the same object if they do not differ.
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
            max_length: tokens, special ones included; longer sources are truncated. None: any.
        """
        rows = _ids(self.source, texts, special=True)
        long = (
            [] if max_length is None else [i for i, row in enumerate(rows) if len(row) > max_length]
        )
        if long:
            assert max_length is not None
            cut = _cut_ids(self.source, [texts[i] for i in long], max_length)
            for i, row in zip(long, cut, strict=True):
                rows[i] = row
        # Without special tokens, an empty text has no token, but attention needs one.
        filler = _filler(self.source, self.special)
        return Encoded([row or [filler] for row in rows], tuple(long))

    def count_sources(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each source, special ones included and nothing truncated."""
        return [len(row) for row in _ids(self.source, texts, special=True)]

    def source_spans(self, text: str, tokens: Sequence[int]) -> list[tuple[int, int]]:
        """The span of each token in a source's text: first character, and the one after the last.

        Args:
            text: the source.
            tokens: of the source, from `encode_sources`.

        Returns:
            Empty if the tokenizer has no spans, or the tokens are of another text.
        """
        if not self.source.is_fast:
            return []
        (encoding,) = _cut(self.source, [text], len(tokens))
        return list(encoding.offsets) if encoding.ids == list(tokens) else []

    def encode_targets(self, texts: Sequence[str], max_length: int | None) -> Encoded:
        """Token ids of targets, each framed and ended, and without the start token.

        Args:
            texts: the targets.
            max_length: tokens, the end token included, which truncated targets have, too.
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
        with _alone(self.target):
            texts = self.target.batch_decode([list(row) for row in rows], skip_special_tokens=True)
        return [text.strip() for text in texts]

    def save(self, folder: Path) -> None:
        """Writes the source tokenizer to a folder, and the target's beneath it if they differ."""
        for tokenizer in (self.source, self.target):
            # A limit from a caller's own use stays in the tokenizer until the next call, and would
            # be saved.
            _ids(tokenizer, [""], special=True)
        self.source.save_pretrained(folder)
        if self.target is not self.source:
            self.target.save_pretrained(folder / TARGET_FOLDER)


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
    """Whether two tokenizers of one vocabulary split texts equally: one may lower the case."""
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
    # Some tokenizers split the two languages of a translation model differently (Marian).
    with _alone(tokenizer):
        encoded = (
            tokenizer(text_target=list(texts), add_special_tokens=special, verbose=False)
            if as_targets
            else tokenizer(list(texts), add_special_tokens=special, verbose=False)
        )
    return [list(row) for row in encoded["input_ids"]]


def _cut_ids(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_length: int
) -> list[list[int]]:
    """Ids of truncated texts, with the special tokens at both ends."""
    if tokenizer.is_fast:
        return [list(encoding.ids) for encoding in _cut(tokenizer, texts, max_length)]
    with _alone(tokenizer):
        encoded = tokenizer(list(texts), truncation=True, max_length=max_length, verbose=False)
    return [list(row) for row in encoded["input_ids"]]


def _cut(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_length: int
) -> list[tokenizers.Encoding]:
    """The encodings of a fast tokenizer with ``truncation=True``.

    That option sets a limit in the tokenizer, for all threads; here the tokenizer stays as it is.
    """
    backend: tokenizers.Tokenizer = tokenizer.backend_tokenizer
    room = max(max_length - backend.num_special_tokens_to_add(is_pair=False), 0)
    encodings = backend.encode_batch(list(texts), add_special_tokens=False)
    for encoding in encodings:
        encoding.truncate(room, direction=tokenizer.truncation_side)
    return [backend.post_process(encoding) for encoding in encodings]


def _alone(tokenizer: PreTrainedTokenizerBase) -> AbstractContextManager[object]:
    """Excludes other threads while a tokenizer changes during a call.

    Those in Python may (Marian's switches languages), and threads take turns in Python anyway. Fast
    ones change only if targets are framed in another way than sources.
    """
    changes = not tokenizer.is_fast or hasattr(tokenizer, "_switch_to_target_mode")
    return _changing if changes else nullcontext()


def _filler(tokenizer: PreTrainedTokenizerBase, special: SpecialTokens) -> int:
    for token in (tokenizer.eos_token_id, tokenizer.sep_token_id, tokenizer.unk_token_id):
        if token is not None:
            return int(token)
    return min(special.end, len(tokenizer) - 1)


_changing = threading.RLock()
