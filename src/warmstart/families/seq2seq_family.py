"""What a family of pre-trained encoder-decoders is: loaded whole, to compare warm starts with."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from warmstart.checkpoint.rename import Rule
from warmstart.families.family import Config
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
        name: how we call it.
        description: one line for ``warmstart list families``.
        model_types: what config.json may say.
        configure: config.json -> encoder, decoder and head.
        rules: names of the whole model, theirs and ours.
        words: their name of the word embedding that a tied head is.
        copies: their other names of the same tensor, in the files of some writers.
        head: their name of the head's weight.
        prefix: what a model with a head puts before its base model's names.
        settings: config.json -> special tokens and decoding settings where no file says them.
        untied: config.json -> the same of a model whose head has a weight of its own.
        target_start: config.json -> tokens that each target begins with, after the start token.
        optional: our tensors that a file may lack; they are zero then.
        ignored: patterns of buffers, and of what is never computed.
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
        """A tensor's name as the rules have it.

        Args:
            name: in a file, be it of a model with a head or of a base model.
            tied: whether the head's weight is the word embedding.
        """
        if name.startswith(("encoder.", "decoder.", "shared.")):
            name = self.prefix + name
        return self.words if name in self.copies or (tied and name == self.head) else name


def under(rules: Iterable[Rule], ours: str, theirs: str) -> tuple[Rule, ...]:
    """Rules of one half as rules of the whole: a prefix before our names, and one before theirs."""
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
