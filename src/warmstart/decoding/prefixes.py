"""Prefixes of outputs in token ids."""

from collections.abc import Sequence

from warmstart.errors import UsageError
from warmstart.generation.config import GenerationConfig
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
    """Tokens that each output begins with; nothing without prefixes.

    Args:
        prefix: a text for all outputs, or one for each.
        texts: how many there are.
        config: the length limit is looked at.
        tokenizers: the target's is used.
        vocabulary: words that the model has a vector for.

    Raises:
        UsageError: if a prefix leaves no room, or is none.
    """
    if prefix is None:
        return []
    if not isinstance(prefix, Sequence):
        raise UsageError(
            f"prefix is {prefix!r:.80}; give one text for all, or a list with one for each."
        )
    alone = isinstance(prefix, str)
    given = [prefix] if isinstance(prefix, str) else list(prefix)
    if not alone and len(given) != texts:
        raise UsageError(
            f"There are {len(given)} prefixes for {texts} texts; give one for each, or a "
            "single text for all."
        )
    check_texts(given, "Prefix")
    room, end = config.max_length - 2, tokenizers.special.end
    rows = [row[:-1] for row in tokenizers.encode_targets(given, None).rows]
    unseen = {*tokenizers.target.all_special_ids}
    for place, (text, row) in enumerate(zip(given, rows, strict=True), start=1):
        name = "The prefix" if alone else f"Prefix {place}"
        if not text:
            row.clear()
        if len(row) > room:
            raise UsageError(
                f"{name} has {len(row)} tokens, but max_length is {config.max_length}, which "
                f"with the start token and one token to write leaves room for {room}; shorten it, "
                "or raise max_length as far as the model's positions go."
            )
        if end in row:
            raise UsageError(f"{name} holds the end token, so nothing could follow; take it out.")
        hidden = unseen & {*row[len(tokenizers.target_start) :]}
        if hidden:
            token = tokenizers.target.convert_ids_to_tokens(min(hidden))
            raise UsageError(
                f"{name} becomes the token {token} in part, which no output shows, so none would "
                "begin with it; take out what the target's vocabulary cannot write."
            )
    check_ids(rows, vocabulary, tokenizers.target)
    return rows * texts if alone else rows
