"""Tiny random encoder-decoders that transformers pre-trains whole, made in the process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from tests.support.tiny import SENTENCES, WORDS, perturb
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

__all__ = ["SEQ2SEQ", "TinySeq2Seq", "save_seq2seq", "seq2seq_model", "seq2seq_tokenizer"]

_SIZES = {"vocab_size": 64, "d_model": 32}
_LAYERS = {
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 64,
}
# More layers in the decoder than in the encoder are too many for the cache of transformers' T5.
_T5: dict[str, Any] = {
    **_SIZES,
    "d_kv": 16,
    "d_ff": 48,
    "num_layers": 3,
    "num_decoder_layers": 2,
    "num_heads": 4,
}
_T5 |= {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 12}
_T5 |= {"initializer_factor": 0.4}  # its attention is not scaled, and large weights lose digits
_GEMMA: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "query_pre_attn_scalar": 8,
    "max_position_embeddings": 64,
    "sliding_window": 3,
    "bos_token_id": 0,
    "pad_token_id": 1,
    "eos_token_id": 2,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TinySeq2Seq:
    """One kind of model.

    Attributes:
        config: makes its configuration.
        model: the class that it is pre-trained with.
        frame: what the tokenizer puts around a text, of <s>, <pad> and </s>.
        own_head: whether the head's weight is made another than the word embedding.
    """

    config: Callable[[], PreTrainedConfig]
    model: type[PreTrainedModel]
    frame: str = "$A </s>"
    own_head: bool = False


def _bart(**changes: Any) -> PreTrainedConfig:
    ids = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    return transformers.BartConfig(
        **{**_SIZES, **_LAYERS, **ids, "forced_eos_token_id": 2}, **changes
    )


def _marian() -> PreTrainedConfig:
    ids = {"pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    return transformers.MarianConfig(
        **{**_SIZES, **_LAYERS, **ids, "forced_eos_token_id": 2},
        activation_function="swish",
        scale_embedding=True,
    )


def _t5(**changes: Any) -> PreTrainedConfig:
    ids = {"pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    return transformers.T5Config(**{**_T5, **ids, **changes})


def _mt5() -> PreTrainedConfig:
    ids = {"pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    return transformers.MT5Config(**{**_T5, **ids})


def _t5gemma(**encoder: Any) -> PreTrainedConfig:
    return transformers.T5GemmaConfig(
        encoder={**_GEMMA, **encoder}, decoder={**_GEMMA, "num_hidden_layers": 3}, vocab_size=64
    )


SEQ2SEQ: Mapping[str, TinySeq2Seq] = {
    "bart": TinySeq2Seq(
        config=_bart, model=transformers.BartForConditionalGeneration, frame="<s> $A </s>"
    ),
    "bart-scaled": TinySeq2Seq(
        config=lambda: _bart(scale_embedding=True, activation_function="relu"),
        model=transformers.BartForConditionalGeneration,
        frame="<s> $A </s>",
    ),
    "marian": TinySeq2Seq(config=_marian, model=transformers.MarianMTModel),
    "t5": TinySeq2Seq(config=_t5, model=transformers.T5ForConditionalGeneration),
    "t5-1.1": TinySeq2Seq(
        config=lambda: _t5(feed_forward_proj="gated-gelu", tie_word_embeddings=False),
        model=transformers.T5ForConditionalGeneration,
        own_head=True,
    ),
    "mt5": TinySeq2Seq(config=_mt5, model=transformers.MT5ForConditionalGeneration, own_head=True),
    "t5gemma": TinySeq2Seq(config=_t5gemma, model=transformers.T5GemmaForConditionalGeneration),
    "t5gemma-wider": TinySeq2Seq(
        config=lambda: _t5gemma(hidden_size=48, num_attention_heads=6),
        model=transformers.T5GemmaForConditionalGeneration,
    ),
}


def seq2seq_tokenizer(name: str) -> PreTrainedTokenizerFast:
    """A tokenizer of 64 tokens at most that frames texts as the model's does."""
    special = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokens = list(dict.fromkeys([*special.values(), *WORDS, *" ".join(SENTENCES).split()]))
    tokenizer = Tokenizer(
        models.WordLevel({token: i for i, token in enumerate(tokens)}, special["unk_token"])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=SEQ2SEQ[name].frame, special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def seq2seq_model(name: str, seed: int = 0) -> PreTrainedModel:
    """A random model in which every tensor matters, buffers and a head of its own included."""
    torch.manual_seed(seed)
    tiny = SEQ2SEQ[name]
    model = tiny.model(tiny.config())
    if tiny.own_head:
        head = model.get_output_embeddings()
        head.weight = torch.nn.Parameter(0.2 * torch.randn_like(head.weight))
    perturb(model)
    for buffer_name, buffer in model.named_buffers():
        if buffer_name == "final_logits_bias":
            buffer.copy_(torch.randn_like(buffer))
    return model.eval()


def save_seq2seq(folder: Path, name: str, seed: int = 0) -> Path:
    """Writes a model with its tokenizer, as transformers saves it."""
    seq2seq_model(name, seed).save_pretrained(folder)
    seq2seq_tokenizer(name).save_pretrained(folder)
    return folder
