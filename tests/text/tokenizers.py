"""Small tokenizers of every kind, with letters enough to write most texts."""

from collections.abc import Callable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

__all__ = ["KINDS"]

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,!?'-éß€"
_WORDS = ("the", "cat", "yes", "no", "is", "n't", "'s", "do", "not", "2024", "Mr")
_NAMES = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
_SPECIAL = [*_NAMES.values()]


def _fast(
    tokenizer: Tokenizer, decoder: decoders.Decoder | None, *, clean: bool = False
) -> PreTrainedTokenizerFast:
    if decoder is not None:
        tokenizer.decoder = decoder
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, clean_up_tokenization_spaces=clean, **_NAMES
    )


def _numbered(tokens: list[str]) -> dict[str, int]:
    return {token: number for number, token in enumerate(dict.fromkeys(tokens))}


def _word_pieces(*, clean: bool) -> PreTrainedTokenizerFast:
    # Without these, a mark that cleaning up joins to its word has one way to be written.
    apart = ".,!?" if clean else ""
    rest = [f"##{letter}" for letter in _LETTERS if letter not in apart] + ["##ing", "##'s"]
    tokens = _numbered([*_SPECIAL, *_LETTERS, *_WORDS, *rest])
    tokenizer = Tokenizer(models.WordPiece(tokens, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return _fast(tokenizer, decoders.WordPiece(prefix="##", cleanup=clean), clean=clean)


def _byte_level() -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*_WORDS, *(f"Ġ{word}" for word in _WORDS), "Ġ,", "Ċ", "ðŁ", "ðŁĺ"]
    tokens = _numbered([*_SPECIAL, *alphabet, *words])
    tokenizer = Tokenizer(models.BPE(tokens, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return _fast(tokenizer, decoders.ByteLevel())


def _byte_fallback() -> PreTrainedTokenizerFast:
    """Llama 2's and Gemma's kind."""
    single = [f"<0x{byte:02X}>" for byte in range(256)]
    pieces = [*_LETTERS, "▁", "▁▁", *_WORDS, *(f"▁{word}" for word in _WORDS)]
    tokenizer = Tokenizer(
        models.BPE(
            _numbered([*_SPECIAL, *single, *pieces]), [], unk_token="<unk>", byte_fallback=True
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    steps = [
        decoders.Replace("▁", " "),
        decoders.ByteFallback(),
        decoders.Fuse(),
        decoders.Strip(" ", 1, 0),
    ]
    return _fast(tokenizer, decoders.Sequence(steps))


def _unigram() -> PreTrainedTokenizerFast:
    """T5's kind."""
    pieces = [*_LETTERS, "▁", *_WORDS, *(f"▁{word}" for word in _WORDS), "▁.", "▁,"]
    tokens = [(token, -float(number)) for token, number in _numbered([*_SPECIAL, *pieces]).items()]
    tokenizer = Tokenizer(models.Unigram(tokens, unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return _fast(tokenizer, decoders.Metaspace())


def _words() -> PreTrainedTokenizerFast:
    """Whole words, which are joined by spaces."""
    tokenizer = Tokenizer(models.WordLevel(_numbered([*_SPECIAL, *_LETTERS, *_WORDS]), "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return _fast(tokenizer, None)


KINDS: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "word pieces": lambda: _word_pieces(clean=False),
    "word pieces, cleaned up": lambda: _word_pieces(clean=True),
    "byte level": _byte_level,
    "byte fallback": _byte_fallback,
    "unigram": _unigram,
    "words": _words,
}
