"""Tiny random reference checkpoints of every family, made by transformers in the process."""

from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

WORDS = (
    "the a cat dog bird sat slept ran on under over mat tree house and but because it she he "
    "was is red green blue big small old new one two three house garden river stone light"
).split()
SENTENCES = [
    "the cat sat on the mat and the dog slept",
    "a small bird ran over the old stone house because it was new",
    "she is big",
    "two red trees and one blue river",
]


def word_tokenizer(special: dict[str, str], framed: bool, extra: int = 0) -> PreTrainedTokenizerFast:
    """A word-level tokenizer that frames its texts with classification and separator, or not."""
    tokens = [*dict.fromkeys(special.values()), *dict.fromkeys(WORDS)]
    tokens += [f"word{number}" for number in range(extra)]
    tokenizer = Tokenizer(
        models.WordLevel({token: i for i, token in enumerate(tokens)}, special["unk_token"])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if framed:
        start, end = special["cls_token"], special["sep_token"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{start} $A {end}",
            special_tokens=[(start, tokens.index(start)), (end, tokens.index(end))],
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with one special token, as GPT-2's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|endoftext|>", eos_token="<|endoftext|>"
    )


BERT_SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
ROBERTA_SPECIAL = {
    "bos_token": "<s>",
    "pad_token": "<pad>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "mask_token": "<mask>",
}
GENERATION_SPECIAL = {
    "pad_token": "<pad>",
    "eos_token": "</s>",
    "bos_token": "<s>",
    "unk_token": "<unk>",
}

ENCODER_FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert", "bert-generation")
FAMILIES = (*ENCODER_FAMILIES, "gpt2")


def tokenizer_of(family: str) -> PreTrainedTokenizerFast:
    """A tokenizer with the special tokens of a family."""
    if family == "gpt2":
        return byte_tokenizer()
    if family == "bert-generation":
        return word_tokenizer(GENERATION_SPECIAL, framed=False)
    if family == "bert":
        return word_tokenizer(BERT_SPECIAL, framed=True)
    return word_tokenizer(ROBERTA_SPECIAL, framed=True)


def config_of(family: str, hidden_size: int = 32, layers: int = 2) -> transformers.PreTrainedConfig:
    """A tiny configuration, its token ids those of `tokenizer_of`."""
    tokenizer = tokenizer_of(family)
    ids = {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    ids = {key: value for key, value in ids.items() if value is not None}
    if family == "gpt2":
        return transformers.GPT2Config(
            vocab_size=len(tokenizer),
            n_embd=hidden_size,
            n_layer=layers,
            n_head=4,
            n_positions=64,
            **ids,
        )
    config: transformers.PreTrainedConfig = transformers.AutoConfig.for_model(
        family,
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=2 * hidden_size,
        max_position_embeddings=66 if "bert" in family and family != "bert" else 64,
        **ids,
    )
    return config


def pretrained_class(family: str) -> type[PreTrainedModel]:
    """The class with which a family is pre-trained, head included."""
    classes: dict[str, type[PreTrainedModel]] = {
        "bert": transformers.BertForPreTraining,
        "roberta": transformers.RobertaForMaskedLM,
        "xlm-roberta": transformers.XLMRobertaForMaskedLM,
        "camembert": transformers.CamembertForMaskedLM,
        "bert-generation": transformers.BertGenerationDecoder,
        "gpt2": transformers.GPT2LMHeadModel,
    }
    return classes[family]


def save_checkpoint(
    family: str, folder: Path, *, seed: int = 0, hidden_size: int = 32, layers: int = 2
) -> Path:
    """Writes a tiny pre-trained checkpoint with its tokenizer."""
    torch.manual_seed(seed)
    model = pretrained_class(family)(config_of(family, hidden_size, layers))
    randomize(model)
    model.save_pretrained(folder)
    tokenizer_of(family).save_pretrained(folder)
    return folder


def randomize(model: torch.nn.Module) -> None:
    """Makes every parameter matter: biases and norms are not left at zero and one."""
    for parameter in model.parameters():
        with torch.no_grad():
            parameter.add_(torch.randn_like(parameter) * 0.1)
