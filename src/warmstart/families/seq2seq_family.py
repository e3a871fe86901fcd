"""A family of pre-trained encoder-decoders: loaded as a model, as a baseline for warm starts."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from warmstart.checkpoint.rename import Rule
from warmstart.families.family import Config, modern_norm
from warmstart.model.config import EncoderDecoderConfig

__all__ = ["Seq2SeqFamily", "under"]


def _untied(config: Config) -> Config:
    return {**config, "tie_word_embeddings": False}


def _no_tokens(config: Config) -> tuple[int, ...]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seq2SeqFamily:
    """One family of pre-trained encoder-decoders.

    Attributes:
        name: our name of it.
        description: one line for ``warmstart list families``.
        model_types: its values of model_type in config.json.
        configure: config.json -> encoder, decoder and head.
        rules: names of the full model, theirs and ours.
        words: their name of the word embedding, which is a tied head's weight.
        copies: their other names of the same tensor, in some files.
        head: their name of the head's weight.
        prefix: of the base model's names in a model with a head.
        settings: config.json -> special tokens and decoding settings, unless a file has them.
        untied: config.json -> the same for a model whose head has its own weight.
        target_start: config.json -> tokens at the start of each target, after the start token.
        optional: our tensors that a file may lack; they are zero then.
        ignored: patterns of buffers, and of tensors that are never used.
    """

    name: str
    description: str
    model_types: tuple[str, ...]
    configure: Callable[[Config], EncoderDecoderConfig]
    rules: Callable[[EncoderDecoderConfig], tuple[Rule, ...]]
    words: str
    copies: tuple[str, ...] = ()
    head: str
    settings: Callable[[Config], Mapping[str, Any]]
    prefix: str = ""
    untied: Callable[[Config], Config] = _untied
    target_start: Callable[[Config], tuple[int, ...]] = _no_tokens
    optional: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    def spell(self, name: str, *, tied: bool) -> str:
        """A tensor's name as the rules spell it.

        Args:
            name: in a file, of a model with a head or of a base model.
            tied: whether the head's weight is the word embedding.
        """
        name = modern_norm(name)
        if name.startswith(("encoder.", "decoder.", "shared.")):
            name = self.prefix + name
        return self.words if name in self.copies or (tied and name == self.head) else name


def under(rules: Iterable[Rule], ours: str, theirs: str) -> tuple[Rule, ...]:
    """Rules of one half as rules of the full model: a prefix for our names, and one for theirs."""
    return tuple(
        replace(
            rule,
            ours=ours + rule.ours,
            theirs=tuple(
                theirs + name
                for name in ((rule.theirs,) if isinstance(rule.theirs, str) else rule.theirs)
            ),
        )
        for rule in rules
    )
