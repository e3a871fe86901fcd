"""What a call asks of decoding: checked, and its texts in token ids."""

from collections.abc import Sequence

from warmstart.errors import UsageError
from warmstart.generation.alignment import AlignmentLayers
from warmstart.generation.options import GenerationOptions
from warmstart.generation.trie import Trie
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.text.checks import check_ids, check_texts
from warmstart.text.long_sources import Long
from warmstart.text.tokenizer_pair import TokenizerPair

__all__ = ["allowed_outputs", "check_request", "check_streamable", "prefix_rows"]


def check_request(
    model: EncoderDecoder,
    choices: Sequence[str] | None,
    alignments: AlignmentLayers | None,
    long: Long,
) -> None:
    """Refuses alignments of a model that has none, and what does not go together.

    Raises:
        UsageError: naming the rule.
    """
    if alignments not in (None, "mean", "last"):
        raise UsageError(f"alignments is {alignments!r}; allowed are 'mean' and 'last'.")
    if alignments is not None and model.encoder is None:
        raise UsageError(
            "The model has no encoder, so there is no cross-attention to align by; leave "
            "alignments out."
        )
    for name, given in (("alignments", alignments), ("choices", choices)):
        if long == "chunk" and given is not None:
            raise UsageError(
                f"{name} is given and long is 'chunk'; {name} are of a text as a whole. Set "
                f"long to 'truncate' or 'error', or leave {name} out."
            )


def check_streamable(settings: GenerationOptions) -> None:
    """Refuses what is not written one token after the other.

    Raises:
        UsageError: naming the setting.
    """
    if settings.num_beams > 1:
        raise UsageError(
            f"num_beams is {settings.num_beams}, and a beam search knows its output only at the "
            "end; stream with num_beams 1, or use generate."
        )
    if settings.num_return_sequences > 1:
        raise UsageError(
            f"num_return_sequences is {settings.num_return_sequences}, and a stream is of one "
            "output; leave it out, or use generate."
        )


def prefix_rows(
    prefix: str | Sequence[str] | None,
    texts: int,
    settings: GenerationOptions,
    tokenizers: TokenizerPair,
    vocabulary: int,
) -> list[list[int]]:
    """Tokens that each output begins with; nothing without prefixes.

    Args:
        prefix: a text for all outputs, or one for each.
        texts: how many there are.
        settings: the length limit is looked at.
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
    given = [prefix] * texts if isinstance(prefix, str) else list(prefix)
    if len(given) != texts:
        raise UsageError(
            f"There are {len(given)} prefixes for {texts} texts; give one for each, or a "
            "single text for all."
        )
    check_texts(given, "Prefix")
    room, end = settings.max_length - 2, tokenizers.special.end
    rows = [row[:-1] for row in tokenizers.encode_targets(given, None).rows]
    for place, (text, row) in enumerate(zip(given, rows, strict=True), start=1):
        if not text:
            row.clear()
        if len(row) > room:
            raise UsageError(
                f"Prefix {place} has {len(row)} tokens, but max_length is "
                f"{settings.max_length}, which with the start token and one token to write "
                f"leaves room for {room}; shorten it or raise max_length."
            )
        if end in row:
            raise UsageError(
                f"Prefix {place} holds the end token, so nothing could follow; take it out."
            )
    check_ids(rows, vocabulary, tokenizers.target)
    return rows


def allowed_outputs(
    choices: Sequence[str] | None,
    settings: GenerationOptions,
    tokenizers: TokenizerPair,
    vocabulary: int,
    *,
    prefix: bool,
) -> Trie | None:
    """The tree of the outputs that are allowed; None: any.

    Args:
        choices: their texts.
        settings: the length limit is looked at.
        tokenizers: the target's is used.
        vocabulary: words that the model has a vector for.
        prefix: whether prefixes are given, too.

    Raises:
        UsageError: if a choice is too long or none, or prefixes are given.
    """
    if choices is None:
        return None
    if isinstance(choices, str) or not choices:
        raise UsageError("choices takes a list of the texts that are allowed, at least one.")
    if prefix:
        raise UsageError(
            "prefix and choices are both given; give the choices that begin with the prefix."
        )
    check_texts(choices, "Choice")
    rows = tokenizers.encode_targets(choices, None).rows
    check_ids(rows, vocabulary, tokenizers.target)
    for place, row in enumerate(rows, start=1):
        if len(row) > settings.max_length - 1:
            raise UsageError(
                f"Choice {place} has {len(row)} tokens with its end, but max_length is "
                f"{settings.max_length}, start token included; raise it or leave the choice "
                "out."
            )
    return Trie(rows, tokenizers.special.end, vocabulary)
