from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.tiny import FAMILIES, tokenizer_of
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from warmstart.text.pieces import TextPieces, joined_pieces

WORD_PIECES = (
    "[PAD] [UNK] do don n ' t s m ve re it ##t ##s ##n not n't 'm 's . , ! ? - \" ##' é ##é 是 i we"
).split()


def word_piece_tokenizer(cleanup: bool) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(
        models.WordPiece({token: i for i, token in enumerate(WORD_PIECES)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(cleanup=cleanup)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", clean_up_tokenization_spaces=cleanup
    )


TOKENIZERS = {
    "word pieces": word_piece_tokenizer(cleanup=False),
    "word pieces, cleaned up": word_piece_tokenizer(cleanup=True),
    **{family: tokenizer_of(family) for family in FAMILIES},
}


def text_of(tokenizer: PreTrainedTokenizerFast, tokens: list[int]) -> str:
    return str(tokenizer.decode(tokens, skip_special_tokens=True)).strip()


def pieces_of(tokenizer: PreTrainedTokenizerFast, tokens: list[int]) -> list[str]:
    return list(TextPieces(lambda given: text_of(tokenizer, given)).of(iter(tokens)))


@pytest.mark.parametrize("name", TOKENIZERS)
@given(data=st.data())
def test_pieces_are_the_text_whatever_the_tokens(name: str, data: st.DataObject) -> None:
    tokenizer = TOKENIZERS[name]
    tokens = data.draw(st.lists(st.integers(0, len(tokenizer) - 1), max_size=30))
    pieces = pieces_of(tokenizer, tokens)
    assert "".join(pieces) == text_of(tokenizer, tokens)
    assert all(pieces)


@given(st.text(max_size=20))
def test_characters_of_several_bytes_are_never_cut(text: str) -> None:
    tokenizer = TOKENIZERS["gpt2"]
    tokens = tokenizer(text)["input_ids"]
    pieces = pieces_of(tokenizer, tokens)
    assert "".join(pieces) == text_of(tokenizer, tokens)
    if "\ufffd" not in text:
        assert "\ufffd" not in "".join(pieces)


def test_text_comes_while_it_is_written() -> None:
    tokenizer = TOKENIZERS["word pieces, cleaned up"]
    pieces = TextPieces(lambda given: text_of(tokenizer, given))
    tokens = [WORD_PIECES.index(token) for token in "we do n ' t . it ' s".split()]
    given_out = [pieces.add(token) for token in tokens]
    assert given_out == ["", "we", " do", "", "", "n't", ".", " it", ""]
    assert pieces.rest() == "'s"


def test_texts_that_follow_each_other() -> None:
    def each() -> Iterator[Iterator[str]]:
        for pieces in ([], ["a", "b"], [], ["c", " d"]):
            yield iter(pieces)

    assert list(joined_pieces(each())) == ["a", "b", " c", " d"]
