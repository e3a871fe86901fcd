"""How a SentencePiece model cuts texts, for tokenizers that were built of one."""

import random
from pathlib import Path
from typing import Any, Final

import tokenizers
import transformers
from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2
from tokenizers import Regex, decoders, models, normalizers
from transformers import PreTrainedTokenizerBase

__all__ = ["cuts_alike", "open_model", "rebuild"]

_messages: Any = sentencepiece_model_pb2  # made at run time: typed for nobody
_SPACE: Final = "▁"  # U+2581, which stands for a space in pieces
_BPE, _UNIGRAM = 2, 1  # TrainerSpec.ModelType
_NORMAL = 1  # ModelProto.SentencePiece.Type
_TEXTS = 200  # of pieces that are compared
# Spaces at both ends and in rows, digits, signs that are normalized or unknown, line breaks.
_PROBES: Final = (
    "Hello world",
    "  Two  spaces here ",
    "In 2023, it's 1,234.5.",
    "Äpfel ﬁne é Ｆｕｌｌ",
    "a\tb\nc",
    "",
    " ",
    "The (so-called) “end” … of 3 % — yes?",
    "日本語 текст 😀",
    "THE CAT sat; the-cat/sat",
)


class SentencePieceModel:
    """A SentencePiece model and what it says of itself.

    Attributes:
        processor: cuts texts.
        description: the model's own message.
    """

    def __init__(self, path: Path) -> None:
        """Reads the file; raises whatever sentencepiece and protobuf raise."""
        self.processor = SentencePieceProcessor(model_file=str(path))
        self.description = _messages.ModelProto.FromString(path.read_bytes())

    def pieces(self, text: str) -> list[str | None]:
        """What a text is cut into; None: unknown."""
        unknown = self.processor.unk_id()
        return [
            None if token == unknown else self.processor.id_to_piece(token)
            for token in self.processor.encode(text)
        ]


def open_model(path: Path) -> SentencePieceModel | None:
    """The model in a file; None: another kind of file (tiktoken), or of model (words)."""
    try:
        model = SentencePieceModel(path)
    except (RuntimeError, OSError, ValueError):
        return None
    except Exception as error:  # protobuf's own, whose class depends on its version
        if type(error).__name__ != "DecodeError":
            raise
        return None
    spec = model.description.trainer_spec
    known = spec.model_type in (_BPE, _UNIGRAM) and not spec.treat_whitespace_as_suffix
    return model if known else None


def cuts_alike(tokenizer: PreTrainedTokenizerBase, model: SentencePieceModel) -> bool:
    """Whether a tokenizer cuts texts into the pieces that the model does."""
    unknown = tokenizer.unk_token_id
    for text in (*_PROBES, *_texts_of_pieces(model)):
        tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
        pieces = [
            None if token == unknown else str(tokenizer.convert_ids_to_tokens(token))
            for token in tokens
        ]
        if _joined(pieces) != _joined(model.pieces(text)):
            return False
    return True


def _texts_of_pieces(model: SentencePieceModel) -> list[str]:
    """Texts of pieces from all over the vocabulary."""
    pieces = [piece.piece for piece in model.description.pieces if piece.type == _NORMAL]
    dice = random.Random(0)
    return [
        "".join(dice.choices(pieces, k=6)).replace(_SPACE, " ")
        for _ in range(_TEXTS if pieces else 0)
    ]


def _joined(pieces: list[str | None]) -> list[str | None]:
    """Unknown pieces in a row as one: SentencePiece joins them."""
    return [
        piece
        for index, piece in enumerate(pieces)
        if piece is not None or index == 0 or pieces[index - 1] is not None
    ]


def rebuild(
    loaded: PreTrainedTokenizerBase, model: SentencePieceModel
) -> PreTrainedTokenizerBase | None:
    """A tokenizer with the ids and special tokens of one, and the rules of a model.

    Returns:
        None: no such tokenizer cuts texts as the model does.
    """
    backends = [_with_rules(loaded.backend_tokenizer.model, model), _of_model(model)]
    for backend in backends:
        backend.post_processor = loaded.backend_tokenizer.post_processor
        made: PreTrainedTokenizerBase = transformers.PreTrainedTokenizerFast(
            tokenizer_object=backend, **_settings(loaded, backend)
        )
        same_ids = all(made.get_vocab().get(str(t)) == i for t, i in _special(loaded).items())
        if same_ids and cuts_alike(made, model):
            return made
    return None


def _special(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """Ids of the special tokens that a tokenizer puts around texts and cuts texts into."""
    ids = tokenizer.get_vocab()
    return {name: ids[name] for name in map(str, tokenizer.special_tokens_map.values())}


def _settings(loaded: PreTrainedTokenizerBase, backend: tokenizers.Tokenizer) -> dict[str, Any]:
    held = backend.get_vocab(with_added_tokens=False)
    added = [
        token
        for number, token in sorted(loaded.added_tokens_decoder.items())
        if held.get(str(token)) in (number, None)
    ]
    backend.add_special_tokens([token for token in added if token.special])
    backend.add_tokens([token for token in added if not token.special])
    special = {
        name: token
        for name, token in loaded.special_tokens_map.items()
        if token in backend.get_vocab()
    }
    return {
        **special,
        "model_max_length": loaded.model_max_length,
        "model_input_names": loaded.model_input_names,
        "padding_side": loaded.padding_side,
        "truncation_side": loaded.truncation_side,
        "clean_up_tokenization_spaces": loaded.clean_up_tokenization_spaces,
    }


def _of_model(model: SentencePieceModel) -> tokenizers.Tokenizer:
    """Pieces and ids as in the file."""
    description = model.description
    unknown, falls_back = model.processor.unk_id(), bool(description.trainer_spec.byte_fallback)
    pieces = [(piece.piece, piece.score) for piece in description.pieces]
    if description.trainer_spec.model_type == _UNIGRAM:
        return _with_rules(models.Unigram(pieces, unknown, falls_back), model)
    from transformers.tokenization_utils_base import generate_merges

    vocabulary = {piece: number for number, (piece, _) in enumerate(pieces)}
    scores = dict(pieces)
    merges = generate_merges(vocabulary, scores)
    of_bpe = models.BPE(
        vocabulary,
        merges,
        unk_token=pieces[unknown][0],
        fuse_unk=True,
        byte_fallback=falls_back,
    )
    return _with_rules(of_bpe, model)


def _with_rules(pieces: models.Model, model: SentencePieceModel) -> tokenizers.Tokenizer:
    """Normalizes before the cut, and joins afterwards, as SentencePiece does."""
    made = tokenizers.Tokenizer(pieces)
    spec = model.description.normalizer_spec
    steps: list[normalizers.Normalizer] = []
    if spec.precompiled_charsmap:
        steps.append(normalizers.Precompiled(spec.precompiled_charsmap))
    if spec.remove_extra_whitespaces:
        steps += [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    if spec.add_dummy_prefix:
        steps.append(normalizers.Prepend(_SPACE))
    made.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", _SPACE)])
    joined: list[Any] = [decoders.Replace(_SPACE, " ")]
    if model.description.trainer_spec.byte_fallback:
        joined.append(decoders.ByteFallback())
    joined.append(decoders.Fuse())
    if spec.add_dummy_prefix:
        joined.append(decoders.Strip(content=" ", left=1))
    made.decoder = decoders.Sequence(joined)
    return made
