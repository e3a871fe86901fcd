"""ERNIE: BERT, with a table of task types in versions from 3.0 on."""

from dataclasses import replace

from warmstart.checkpoint.rename import Rule
from warmstart.families.bert import BERT, bert_stack
from warmstart.families.family import Config, field
from warmstart.model.config import StackConfig

__all__ = ["ERNIE"]

# transformers' defaults of values missing from config.json.
_DEFAULTS = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
}


def _stack(config: Config) -> StackConfig:
    stack = bert_stack({**_DEFAULTS, **config})
    if not field(config, "use_task_id", False):
        return stack
    types = field(config, "task_type_vocab_size", 3)
    return replace(stack, embedding=replace(stack.embedding, task_types=types))


def _rules(stack: StackConfig) -> tuple[Rule, ...]:
    return (
        Rule("embeddings.task_type_embeddings", "embedding.task_type"),
        *BERT.rules(stack),
    )


ERNIE = replace(
    BERT,
    name="ernie",
    description="ERNIE 1 to 3, Chinese and English: encoder-only, WordPiece, 512 positions or more",
    model_types=("ernie",),
    stack=_stack,
    rules=_rules,
    prefix="ernie.",
    encoder_class="ErnieModel",
    decoder_class="ErnieForCausalLM",
)
