"""Start, end and pad of the target, for the tokenizers of every family."""

import pytest
from tests.support.tiny import tokenizer_of

from warmstart.errors import CheckpointError
from warmstart.text.special_tokens import SpecialTokens, resolve_special_tokens


@pytest.mark.parametrize(
    ("family", "start", "end", "pad"),
    [
        ("bert", "[CLS]", "[SEP]", "[PAD]"),
        ("roberta", "<s>", "</s>", "<pad>"),
        ("xlm-roberta", "<s>", "</s>", "<pad>"),
        ("camembert", "<s>", "</s>", "<pad>"),
        ("bert-generation", "<s>", "</s>", "<pad>"),
        ("gpt2", "<|endoftext|>", "<|endoftext|>", "<|endoftext|>"),
        ("gpt_neox", "<|endoftext|>", "<|endoftext|>", "<|endoftext|>"),
        ("opt", "</s>", "</s>", "<pad>"),
        ("llama", "<s>", "</s>", "</s>"),
        ("mistral", "<s>", "</s>", "</s>"),
        ("qwen2", "<|im_end|>", "<|im_end|>", "<|endoftext|>"),
        ("qwen3", "<|im_end|>", "<|im_end|>", "<|endoftext|>"),
        ("gemma", "<bos>", "<eos>", "<pad>"),
        ("gemma3_text", "<bos>", "<eos>", "<pad>"),
        ("modernbert-decoder", "[CLS]", "[SEP]", "[PAD]"),
    ],
)
def test_each_family(family: str, start: str, end: str, pad: str) -> None:
    tokenizer = tokenizer_of(family)
    special = resolve_special_tokens(tokenizer, {})
    assert special == SpecialTokens(
        start=tokenizer.convert_tokens_to_ids(start),
        end=tokenizer.convert_tokens_to_ids(end),
        pad=tokenizer.convert_tokens_to_ids(pad),
    )


def test_the_config_says_what_the_tokenizer_does_not() -> None:
    tokenizer = tokenizer_of("gpt2")
    tokenizer.bos_token = tokenizer.eos_token = None
    special = resolve_special_tokens(
        tokenizer, {"bos_token_id": 4, "eos_token_id": [5, 6], "pad_token_id": 7}
    )
    assert special == SpecialTokens(start=4, end=5, pad=7)
    assert resolve_special_tokens(tokenizer, {"eos_token_id": 5}) == SpecialTokens(
        start=5, end=5, pad=5
    )


def test_qwen_begins_with_the_token_that_only_its_config_names() -> None:
    tokenizer = tokenizer_of("qwen3")
    between = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    config = {"bos_token_id": between, "eos_token_id": end}
    assert resolve_special_tokens(tokenizer, config) == SpecialTokens(
        start=between, end=end, pad=between
    )


def test_llama_3_lists_the_ends_of_texts_and_of_turns() -> None:
    """A chat tokenizer ends with the turn, whatever stands first in the config's list."""
    tokenizer = tokenizer_of("llama")
    config = {"bos_token_id": 0, "eos_token_id": [7, 8, tokenizer.eos_token_id]}
    assert resolve_special_tokens(tokenizer, config) == SpecialTokens(
        start=0, end=tokenizer.eos_token_id, pad=tokenizer.eos_token_id
    )


def test_no_id_may_be_written_as_less_than_zero_or_an_empty_list() -> None:
    """Conversions of the first Llama say pad_token_id -1."""
    tokenizer = tokenizer_of("llama")
    assert resolve_special_tokens(tokenizer, {"pad_token_id": -1}).pad == tokenizer.eos_token_id
    tokenizer.eos_token = None
    with pytest.raises(CheckpointError, match="no end-of-text token"):
        resolve_special_tokens(tokenizer, {"eos_token_id": []})


def test_an_output_must_be_able_to_end() -> None:
    tokenizer = tokenizer_of("gpt2")
    tokenizer.bos_token = tokenizer.eos_token = None
    with pytest.raises(CheckpointError, match="no end-of-text token"):
        resolve_special_tokens(tokenizer, {})


def test_token_zero_is_a_token() -> None:
    """Zero is no absence: the id of a special token may well be 0."""
    tokenizer = tokenizer_of("roberta")
    assert tokenizer.cls_token_id == 0
    assert resolve_special_tokens(tokenizer, {"bos_token_id": 9}).start == 0
    assert tokenizer_of("gpt2").eos_token_id == 0
    assert resolve_special_tokens(tokenizer_of("gpt2"), {"eos_token_id": 9}).end == 0


@pytest.mark.parametrize("by", ["the tokenizer", "the config"])
def test_a_padding_token_that_the_model_has_no_row_for_is_not_used(by: str) -> None:
    """Added to the tokenizer without a resized model: no text has it, and no row is read for it."""
    tokenizer = tokenizer_of("llama")
    rows = len(tokenizer)
    config = {"vocab_size": rows}
    if by == "the tokenizer":
        tokenizer.add_special_tokens({"pad_token": "<added>"})
        assert tokenizer.pad_token_id == rows
    else:
        config["pad_token_id"] = rows
    assert resolve_special_tokens(tokenizer, config).pad == tokenizer.eos_token_id
    resized = {**config, "vocab_size": rows + 1}
    assert resolve_special_tokens(tokenizer, resized).pad == rows
