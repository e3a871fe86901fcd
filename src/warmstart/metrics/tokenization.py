"""Tokenizations of n-gram metrics."""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from warmstart.errors import UsageError, did_you_mean
from warmstart.metrics.system_outputs import SystemOutputs

if TYPE_CHECKING:
    import regex

__all__ = [
    "TOKENIZATIONS",
    "UNICODE",
    "UNSPACED",
    "check_tokenization",
    "split_examples",
    "text_signature",
    "token_splitter",
    "tokenization_of_language",
    "unicode_words",
]

UNICODE: Final = "unicode"  # words of any script, see `unicode_words`
# sacrebleu's names of its tokenizers, and ours. `none` leaves the text as it is: tokens are what
# white space separates.
TOKENIZATIONS: Final = (
    "none",
    "13a",
    "intl",
    "char",
    "zh",
    "ja-mecab",
    "ko-mecab",
    "flores101",
    "flores200",
    UNICODE,
)
# Extras of this package that bring what a tokenizer of sacrebleu's needs.
_EXTRAS: Final[Mapping[str, str]] = {"ja-mecab": "ja", "ko-mecab": "ko"}
# sacrebleu's own rule for BLEU: the target language's tokenizer, else 13a.
_OF_LANGUAGE: Final[Mapping[str, str]] = {"zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab"}
# Scripts that put no spaces between words.
UNSPACED: Final = (
    r"\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
)


def check_tokenization(metric: str, tokenize: str) -> None:
    """Rejects unknown tokenizations.

    Raises:
        UsageError: if `tokenize` is not one of `TOKENIZATIONS`.
    """
    if tokenize not in TOKENIZATIONS:
        raise UsageError(
            f"{metric} has no tokenization {tokenize!r}; {did_you_mean(tokenize, TOKENIZATIONS)}"
        )


def token_splitter(*, lowercase: bool, tokenize: str) -> Callable[[str], list[str]]:
    """A function from a text to its tokens.

    Args:
        lowercase: whether the text is lower-cased first.
        tokenize: one of `TOKENIZATIONS`.
    """
    if tokenize == UNICODE:
        return lambda text: unicode_words(text.lower() if lowercase else text)
    # Imported here: `warmstart list` shows metrics without loading their libraries.
    from sacrebleu.metrics.bleu import BLEU

    try:
        tokenizer: Callable[[str], str] = BLEU(tokenize=tokenize).tokenizer
    # sacrebleu raises RuntimeError for packages that lack, and what urllib and sentencepiece do
    # for models that it cannot fetch.
    except (ImportError, RuntimeError) as error:
        extra = _EXTRAS.get(tokenize)
        if extra is None:
            raise
        raise UsageError(
            f"The tokenization {tokenize!r} needs packages that are not installed; install them "
            f"with: pip install 'warmstart[{extra}]'. ({' '.join(str(error).split())})"
        ) from None
    except OSError as error:
        raise UsageError(
            f"The tokenization {tokenize!r} needs a SentencePiece model that sacrebleu fetches "
            f"once into ~/.sacrebleu/models, and it cannot be fetched ({error}). Run it once where "
            f"there is a network and copy the folder, or choose another tokenization."
        ) from None

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
        system: with sources and references.
        split: from `token_splitter`.
        split_source: from `token_splitter`, for sources; None: `split`.
    """
    assert system.sources is not None
    assert system.references is not None
    for source, output, of_example in zip(
        system.sources, system.outputs, system.references, strict=True
    ):
        yield [(split_source or split)(source), split(output), *map(split, of_example)]


def text_signature(*, lowercase: bool, tokenize: str) -> str:
    """Casing and tokens in the form of sacrebleu's signatures."""
    case = "lc" if lowercase else "mixed"
    if tokenize in ("none", UNICODE):
        return f"case:{case}|tok:{tokenize}"
    # The tokens of the others may change with the library.
    return f"case:{case}|tok:{tokenize}-sacrebleu-{version('sacrebleu')}"


def tokenization_of_language(language: str) -> str | None:
    """The tokenization that sacrebleu takes for BLEU in a target language; None: its default.

    Args:
        language: a code such as "ja"; what follows a hyphen or underscore is ignored.
    """
    return _OF_LANGUAGE.get(language.replace("_", "-").split("-")[0].lower())


def unicode_words(text: str) -> list[str]:
    """Runs of letters, their marks and digits of any script.

    In scripts that put no spaces between words (Chinese, Japanese, Thai, ...), each character with
    its marks is a token.
    """
    return list(_word_pattern().findall(text))


@lru_cache(maxsize=1)
def _word_pattern() -> "regex.Pattern[str]":
    import regex  # knows scripts, which `re` does not

    return regex.compile(rf"(?V1)[{UNSPACED}]\p{{M}}*|[[\p{{L}}\p{{M}}\p{{N}}]--[{UNSPACED}]]+")
