"""How a text becomes the tokens that n-gram metrics count."""

from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Final

from warmstart.errors import UsageError, did_you_mean
from warmstart.metrics.system_outputs import SystemOutputs

__all__ = [
    "TOKENIZATIONS",
    "check_tokenization",
    "split_examples",
    "text_signature",
    "token_splitter",
]

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


def split_examples(
    system: SystemOutputs,
    split: Callable[[str], list[str]],
    split_source: Callable[[str], list[str]] | None = None,
) -> Iterator[list[list[str]]]:
    """Tokens of the source, the output and each reference of every example.

    Args:
        system: With sources and references.
        split: From `token_splitter`.
        split_source: Of sources, where it is another.
    """
    assert system.sources is not None
    assert system.references is not None
    for source, output, of_example in zip(
        system.sources, system.outputs, system.references, strict=True
    ):
        yield [(split_source or split)(source), split(output), *map(split, of_example)]


def text_signature(*, lowercase: bool, tokenize: str) -> str:
    """Casing and tokens as signatures write them, in sacrebleu's words."""
    case = "lc" if lowercase else "mixed"
    if tokenize == "none":
        return f"case:{case}|tok:none"
    # The tokens of the others may change with the library.
    return f"case:{case}|tok:{tokenize}-sacrebleu-{version('sacrebleu')}"
