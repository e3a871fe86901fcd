"""Prefixes of outputs in token ids."""

from collections.abc import Sequence

from warmstart.errors import UsageError
from warmstart.generation.generation_config import GenerationConfig
from warmstart.text.checks import check_ids, check_texts
from warmstart.text.tokenizer_pair import TokenizerPair

__all__ = ["prefix_rows"]


def prefix_rows(
    prefix: str | Sequence[str] | None,
    texts: int,
    config: GenerationConfig,
    tokenizers: TokenizerPair,
    vocabulary: int,
) -> list[list[int]]:
    """Tokens that each output begins with; empty without prefixes.

    Args:
        prefix: a text for all outputs, or one for each.
        texts: number of texts.
        config: for its length limit.
        tokenizers: for the target's.
        vocabulary: tokens that the model has a vector for.

    Raises:
        UsageError: if a prefix leaves no room, or is invalid.
    """
    if prefix is None:
        return []
    if not isinstance(prefix, Sequence):
        raise UsageError(
            f"prefix is {prefix!r:.80}; give one text for all, or a list with one for each."
        )
    alone = isinstance(prefix, str)
    prefixes = [prefix] if isinstance(prefix, str) else list(prefix)
    if not alone and len(prefixes) != texts:
        raise UsageError(
            f"There are {len(prefixes)} prefixes for {texts} texts; give one for each, or a "
            "single text for all."
        )
    check_texts(prefixes, "Prefix")
    room, end = config.max_length - 2, tokenizers.special.end
    rows = [row[:-1] for row in tokenizers.encode_targets(prefixes, None).rows]
    special = {*tokenizers.target.all_special_ids}
    for number, (text, row) in enumerate(zip(prefixes, rows, strict=True), start=1):
        name = "The prefix" if alone else f"Prefix {number}"
        if not text:
            row.clear()
        if len(row) > room:
            raise UsageError(
                f"{name} has {len(row)} tokens, but max_length is {config.max_length}, which "
                f"with the start token and one token to write leaves room for {room}; shorten it, "
                "or raise max_length as far as the model's positions go."
            )
        if end in row:
            raise UsageError(f"{name} contains the end token, which ends outputs; remove it.")
        hidden = special & {*row[len(tokenizers.target_start) :]}
        if hidden:
            token = tokenizers.target.convert_ids_to_tokens(min(hidden))
            raise UsageError(
                f"{name} has the token {token}, which is left out of outputs, so none would begin "
                "with it; remove the characters that the target's vocabulary cannot write."
            )
    check_ids(rows, vocabulary, tokenizers.target)
    return rows * texts if alone else rows
