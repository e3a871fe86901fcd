"""What texts and their tokens must be, before a model sees them."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from warmstart.errors import TextError, UsageError

__all__ = ["check_ids", "check_texts"]


def check_texts(texts: Sequence[str], what: str) -> None:
    """Texts must be text, which half a pair of surrogates is not."""
    if isinstance(texts, str):
        raise UsageError("generate takes a list of texts, not one text; put it in brackets.")
    for place, text in enumerate(texts, start=1):
        if not isinstance(text, str):
            raise TextError(what, place, f"is {text!r:.80}, which is no text; give a str.")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            code = ord(text[error.start])
            raise TextError(
                what,
                place,
                f"has the lone surrogate U+{code:04X} at character {error.start + 1}, which is "
                "half a character; read the text as UTF-8, or take it out.",
            ) from None


def check_ids(
    rows: Sequence[Sequence[int]], known: int, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Texts may hold a token by its name that the model has no vector for."""
    if len(tokenizer) <= known:
        return
    for place, row in enumerate(rows, start=1):
        token = next((token for token in row if token >= known), None)
        if token is not None:
            raise TextError(
                "Text",
                place,
                f"holds the token {tokenizer.convert_ids_to_tokens(token)}, for which the model "
                "has no vector; take it out of the text.",
            )
