"""Replacing one tokenizer's vocabulary with another's."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

__all__ = ["kept_rows", "with_vocabulary"]


def kept_rows(
    old: PreTrainedTokenizerBase, new: PreTrainedTokenizerBase, rows: int, old_rows: int
) -> Tensor:
    """The old row of each row of a new embedding, for tokens that both vocabularies have.

    Tokens are compared by their text as the tokenizers spell it ("the", "##ing", "Ġthe").

    Args:
        old: tokenizer of the old rows.
        new: tokenizer of the new rows.
        rows: of the new embedding, at least as many as the tokenizer has tokens.
        old_rows: of the old one.

    Returns:
        The old row of each new one, -1 for a token that the old tokenizer does not have.
        Shape: [rows]
    """
    known = old.get_vocab()
    kept = torch.full((rows,), -1)
    for token, row in new.get_vocab().items():
        # A tokenizer may have tokens without a row in its checkpoint.
        if row < rows and known.get(token, old_rows) < old_rows:
            kept[row] = known[token]
    return kept


def with_vocabulary(
    config: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase, rows: int, *, keep_pad: bool
) -> dict[str, Any]:
    """A checkpoint's config with another vocabulary.

    Args:
        config: config.json.
        tokenizer: of the new vocabulary.
        rows: of the new embedding.
        keep_pad: whether the config's pad_token_id stays, since positions are counted from it
            (RoBERTa).
    """
    roles = ["bos_token_id", "eos_token_id"] + ([] if keep_pad else ["pad_token_id"])
    return {**config, "vocab_size": rows} | {role: getattr(tokenizer, role) for role in roles}
