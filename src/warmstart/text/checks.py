"""Checks of texts and token ids, before a model sees them."""

from collections.abc import Sequence
from dataclasses import asdict

from transformers import PreTrainedTokenizerBase

from warmstart.errors import CompositionError, TextError, UsageError
from warmstart.text.tokenizer_pair import TokenizerPair, tokens_beyond

__all__ = ["check_ids", "check_texts", "check_vocabularies"]


def check_texts(texts: Sequence[str], what: str) -> None:
    """Rejects what is not a text, and lone surrogates, which cannot be encoded.

    Args:
        texts: a list of them.
        what: names them in errors: "Text", "Prefix" or "Choice".

    Raises:
        TextError: naming the first of them.
    """
    if isinstance(texts, str):
        raise UsageError("generate takes a list of texts, not one text; put it in brackets.")
    for number, text in enumerate(texts, start=1):
        if not isinstance(text, str):
            raise TextError(what, number, f"is {text!r:.80}, which is not a text; give a str.")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            code = ord(text[error.start])
            raise TextError(
                what,
                number,
                f"has the lone surrogate U+{code:04X} at character {error.start + 1}, which is "
                "half a character; read the text as UTF-8, or take it out.",
            ) from None


def check_ids(
    rows: Sequence[Sequence[int]], known: int, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Rejects tokens that the model has no vector for; a text may hold one by its name.

    Raises:
        TextError: naming the first text that does.
    """
    if len(tokenizer) <= known:
        return
    for number, row in enumerate(rows, start=1):
        token = next((token for token in row if token >= known), None)
        if token is not None:
            raise TextError(
                "Text",
                number,
                f"holds the token {tokenizer.convert_ids_to_tokens(token)}, for which the model "
                "has no vector; take it out of the text.",
            )


def check_vocabularies(pair: TokenizerPair, source_rows: int, target_rows: int) -> None:
    """Rejects tokenizers with ids that the model has no vector for.

    Special tokens may lack one (those of images in Gemma 3's text models): no text has them.

    Args:
        pair: the tokenizers.
        source_rows: of the source embedding.
        target_rows: of the target embedding.

    Raises:
        CompositionError: naming the tokenizer.
    """
    for whose, tokenizer, rows in (
        ("source", pair.source, source_rows),
        ("target", pair.target, target_rows),
    ):
        beyond = tokens_beyond(tokenizer, rows)
        if not all(special for _, special in beyond.values()):
            raise CompositionError(
                f"The {whose} tokenizer has {len(tokenizer)} tokens, but the {whose} embedding "
                f"only {rows} rows; the tokenizer belongs to another checkpoint."
            )
    for role, token in asdict(pair.special).items():
        if not 0 <= token < target_rows:
            raise CompositionError(
                f"The target's {role} token is {token}, but the target embedding has "
                f"{target_rows} rows; correct it in generation_config.json or in the tokenizer."
            )
