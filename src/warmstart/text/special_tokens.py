"""The target's start, end and pad, resolved once and the same in training and generation."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from warmstart.errors import CheckpointError

__all__ = ["SpecialTokens", "resolve_special_tokens"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecialTokens:
    """Token ids of the target vocabulary.

    The start token may equal the end token (GPT-2): nothing is ever masked by its id.
    """

    start: int  # the decoder's first input
    end: int  # the last token of an output
    pad: int  # pads finished outputs; never used


def resolve_special_tokens(
    tokenizer: PreTrainedTokenizerBase, config: Mapping[str, Any]
) -> SpecialTokens:
    """Finds the three for any family.

    A tokenizer with a classification token frames its texts with it and the separator (BERT's
    [CLS] and [SEP], RoBERTa's <s> and </s>). Others have a beginning and an end of text (Llama's
    <s> and </s>), or one token for both (GPT-2's <|endoftext|>, OPT's </s>). If the tokenizer
    lacks one, the config may have it: Qwen's tokenizer has no beginning, its config names
    <|endoftext|>. A chat checkpoint's config lists several ends; the tokenizer's, which closes a
    turn, is taken.

    Args:
        tokenizer: the target's.
        config: the decoder's config.json.

    Raises:
        CheckpointError: if no end token can be found.
    """
    if tokenizer.cls_token_id is not None and tokenizer.sep_token_id is not None:
        start, end = tokenizer.cls_token_id, tokenizer.sep_token_id
    else:
        end = _first(tokenizer.eos_token_id, config.get("eos_token_id"))
        if end is None:
            raise CheckpointError(
                "The target tokenizer has no end-of-text token (eos_token), nor has the decoder's "
                "config (eos_token_id), so generation could not stop. Add one to "
                "tokenizer_config.json."
            )
        start = _first(tokenizer.bos_token_id, config.get("bos_token_id"), end)
        assert start is not None
    # A token that was added for padding has no row in a model that was not resized.
    rows = config.get("vocab_size", math.inf)
    pads = (tokenizer.pad_token_id, config.get("pad_token_id"))
    pad = _first(*(token for token in pads if not isinstance(token, int) or token < rows), end)
    assert pad is not None
    return SpecialTokens(start=start, end=end, pad=pad)


def _first(*candidates: Any) -> int | None:
    for candidate in candidates:
        if isinstance(candidate, list):  # several end tokens: the first is the one written
            candidate = candidate[0] if candidate else None
        if candidate is not None and int(candidate) >= 0:  # some configs have -1 for None
            return int(candidate)
    return None
