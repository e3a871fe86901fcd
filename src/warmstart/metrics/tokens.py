"""How a text becomes the tokens that n-gram metrics count."""

from collections.abc import Callable
from importlib.metadata import version
from typing import Final

from warmstart.errors import UsageError, did_you_mean

__all__ = ["TOKENIZATIONS", "check_tokenization", "text_signature", "token_splitter"]

# sacrebleu's names for those of its tokenizers that need no download and no further package.
# `none` leaves the text as it is: tokens are what white space separates.
TOKENIZATIONS: Final = ("none", "13a", "intl", "char", "zh")


def check_tokenization(metric: str, tokenize: str) -> None:
    """Refuses a tokenization that there is not.

    Raises:
        UsageError: `tokenize` is not one of `TOKENIZATIONS`.
    """
    if tokenize not in TOKENIZATIONS:
        raise UsageError(
            f"{metric} has no tokenization {tokenize!r}; {did_you_mean(tokenize, TOKENIZATIONS)}"
        )


def token_splitter(*, lowercase: bool, tokenize: str) -> Callable[[str], list[str]]:
    """A function from a text to its tokens.

    Args:
        lowercase: Whether the text is lower-cased first.
        tokenize: One of `TOKENIZATIONS`.
    """
    # Imported here: `warmstart list` shows metrics without loading what computes them.
    from sacrebleu.metrics.bleu import BLEU

    tokenizer: Callable[[str], str] = BLEU(tokenize=tokenize).tokenizer

    def split(text: str) -> list[str]:
        return tokenizer(text.lower() if lowercase else text).split()

    return split


def text_signature(*, lowercase: bool, tokenize: str) -> str:
    """Casing and tokens as signatures write them, in sacrebleu's words."""
    case = "lc" if lowercase else "mixed"
    if tokenize == "none":
        return f"case:{case}|tok:none"
    # The tokens of the others may change with the library.
    return f"case:{case}|tok:{tokenize}-sacrebleu-{version('sacrebleu')}"
