"""Tiny random checkpoints of every family, made by transformers in the process: no download."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
import transformers
from tests.support import tiny_decoders, tiny_encoders
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

__all__ = [
    "ENCODER_FAMILIES",
    "FAMILIES",
    "SENTENCES",
    "WORDS",
    "Checkpoints",
    "config_of",
    "perturb",
    "pretrained",
    "pretrained_class",
    "save_checkpoint",
    "tokenizer_of",
]

ENCODER_FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert", "bert-generation")
FAMILIES = (*ENCODER_FAMILIES, "gpt2")
SENTENCES = (
    "the cat sat on the mat and the dog slept",
    "a small bird ran over the old stone house because it was new",
    "she is big",
    "two red trees and one blue river",
)
WORDS = (
    "the a cat dog bird sat slept ran on under over mat tree house and but because it she he "
    "was is red green blue big small old new one two three trees garden river stone light"
).split()
_BERT = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
_ROBERTA = {
    "bos_token": "<s>",
    "pad_token": "<pad>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "mask_token": "<mask>",
}
_GENERATION = {
    "pad_token": "<pad>",
    "eos_token": "</s>",
    "bos_token": "<s>",
    "unk_token": "<unk>",
    "sep_token": "<::::>",
}
# Tokenizers of decoder-only families: their special tokens, and whether texts begin with the first.
_BYTE_LEVEL: dict[str, tuple[dict[str, str], bool]] = {
    "gpt2": ({"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}, False),
    "opt": ({"bos_token": "</s>", "eos_token": "</s>", "pad_token": "<pad>"}, True),
    "llama": ({"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}, True),
    "qwen": ({"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}, False),
    "gemma": ({"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"}, True),
}
_PRETRAINED: dict[str, type[PreTrainedModel]] = {
    "bert": transformers.BertForPreTraining,
    "roberta": transformers.RobertaForMaskedLM,
    "xlm-roberta": transformers.XLMRobertaForMaskedLM,
    "camembert": transformers.CamembertForMaskedLM,
    "bert-generation": transformers.BertGenerationDecoder,
    "gpt2": transformers.GPT2LMHeadModel,
}


_OTHERS = {**tiny_encoders.FAMILIES, **tiny_decoders.FAMILIES}


def tokenizer_of(family: str, extra_words: int = 0) -> PreTrainedTokenizerFast:
    """A tokenizer with the special tokens of a family, which frames texts as the family does.

    Args:
        family: one of `FAMILIES`.
        extra_words: words beyond the common ones, for vocabularies that differ in size.
    """
    match _OTHERS[family].tokenizer if family in _OTHERS else family:
        case "gpt2" | "opt" | "llama" | "qwen" | "gemma" as kind:
            return _byte_tokenizer(*_BYTE_LEVEL[kind])
        case "bert":
            return _word_tokenizer(_BERT, framed=True, extra_words=extra_words)
        case "bert-generation":
            return _word_tokenizer(_GENERATION, framed=False, extra_words=extra_words)
        case _:
            return _word_tokenizer(_ROBERTA, framed=True, extra_words=extra_words)


def _word_tokenizer(
    special: dict[str, str], *, framed: bool, extra_words: int
) -> PreTrainedTokenizerFast:
    words = [*WORDS, *(f"word{number}" for number in range(extra_words))]
    tokens = list(dict.fromkeys([*special.values(), *words]))
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


def _byte_tokenizer(special: dict[str, str], framed: bool) -> PreTrainedTokenizerFast:
    """Byte-level, with the first special token before every text where `framed`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokens = list(dict.fromkeys(special.values()))
    trainer = trainers.BpeTrainer(
        vocab_size=299 + len(tokens),
        special_tokens=tokens,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    if framed:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{tokens[0]} $A", special_tokens=[(tokens[0], 0)]
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def config_of(
    family: str, *, hidden_size: int = 32, layers: int = 2, extra_words: int = 0
) -> PreTrainedConfig:
    """A tiny configuration, its token ids those of `tokenizer_of`."""
    tokenizer = tokenizer_of(family, extra_words)
    roles = ("pad_token_id", "bos_token_id", "eos_token_id")
    ids = {role: getattr(tokenizer, role) for role in roles}
    ids = {role: token for role, token in ids.items() if token is not None}
    if family in _OTHERS:
        return _OTHERS[family].config(
            vocab_size=len(tokenizer), hidden_size=hidden_size, layers=layers, ids=ids
        )
    if family == "gpt2":
        return transformers.GPT2Config(
            vocab_size=len(tokenizer),
            n_embd=hidden_size,
            n_layer=layers,
            n_head=4,
            n_positions=64,
            **ids,
        )
    counts_from_pad = family in ("roberta", "xlm-roberta", "camembert")
    config: PreTrainedConfig = transformers.AutoConfig.for_model(
        family,
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=2 * hidden_size,
        max_position_embeddings=66 if counts_from_pad else 64,
        **ids,
    )
    return config


def pretrained_class(family: str) -> type[PreTrainedModel]:
    """The class that a family is pre-trained with, head included."""
    return _OTHERS[family].model if family in _OTHERS else _PRETRAINED[family]


def pretrained(config: PreTrainedConfig, seed: int = 0) -> PreTrainedModel:
    """A random model of the class that the config's family is pre-trained with, head included."""
    torch.manual_seed(seed)
    model = pretrained_class(str(config.model_type))(config)
    perturb(model)
    return model


def perturb(model: torch.nn.Module, std: float = 0.1) -> None:
    """Makes every parameter matter: no bias is left at zero and no norm at one."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * std)


def save_checkpoint(
    folder: Path,
    family: str,
    *,
    hidden_size: int = 32,
    layers: int = 2,
    seed: int = 0,
    extra_words: int = 0,
) -> Path:
    """Writes a tiny pre-trained checkpoint with its tokenizer, as transformers saves it."""
    config = config_of(family, hidden_size=hidden_size, layers=layers, extra_words=extra_words)
    pretrained(config, seed).save_pretrained(folder)
    tokenizer_of(family, extra_words).save_pretrained(folder)
    return folder


@dataclass
class Checkpoints:
    """Checkpoints made on first use and kept for the test session. Do not change them."""

    root: Path
    _made: dict[tuple[object, ...], Path] = field(default_factory=dict)
    _states: dict[Path, tuple[int, ...]] = field(default_factory=dict)

    def __call__(
        self,
        family: str,
        *,
        hidden_size: int = 32,
        layers: int = 2,
        seed: int = 0,
        extra_words: int = 0,
    ) -> Path:
        """The folder of a checkpoint; see `save_checkpoint`."""
        key = (family, hidden_size, layers, seed, extra_words)
        if key not in self._made:
            self._made[key] = save_checkpoint(
                self.root / "-".join(map(str, key)),
                family,
                hidden_size=hidden_size,
                layers=layers,
                seed=seed,
                extra_words=extra_words,
            )
            self._states |= _states(self._made[key])
        return self._made[key]

    def changed(self) -> list[str]:
        """Files that a test has added, removed or written."""
        states = {
            path: state for made in self._made.values() for path, state in _states(made).items()
        }
        return sorted(str(path) for path, _ in states.items() ^ self._states.items())


def _states(folder: Path) -> dict[Path, tuple[int, ...]]:
    """Size and time of change of every file of a folder."""
    stats = {path: path.stat() for path in folder.rglob("*")}
    return {path: (stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()}
