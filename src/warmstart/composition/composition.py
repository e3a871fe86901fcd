"""A composition as plain values: everything needed to build the model again."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from warmstart.checkpoint.rename import Rule, locate
from warmstart.composition.composition_options import CrossAttentionStart, LmHead, Share, shares
from warmstart.errors import CheckpointError, CompositionError
from warmstart.families.catalogue import family_of, seq2seq_family_of
from warmstart.families.family import Config, Family
from warmstart.families.seq2seq_family import Seq2SeqFamily
from warmstart.model.config import (
    CrossAttentionKind,
    EncoderDecoderConfig,
    HeadConfig,
    StackConfig,
)

__all__ = ["Composition", "Layers", "configure"]

EmbeddingOf = Literal["own", "encoder", "decoder"]
Layers = tuple[int, ...]

_NO_OPTIONS = {"encoder", "decoder", "pretrained"}
_KINDS: Mapping[CrossAttentionStart, CrossAttentionKind] = {
    "random": "plain",
    "copy": "plain",
    "gated": "gated",
    "merged": "merged",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """Two architectures and how they are joined.

    Attributes:
        encoder: the encoder's config.json; None for a decoder that reads the source as prefix.
        decoder: the decoder's config.json.
        share: which parameters are one and the same in both halves.
        cross_attention: initial cross-attention: "random", "copy" (of the layer's self-attention),
            "gated" (such a copy, times a gate that is zero at first) or "merged" (none of its own:
            self-attention reads the source as well).
        lm_head: "checkpoint" is the decoder family's own head; "tied" is the word embedding alone,
            as in the paper.
        pooler: whether to keep BERT's pooler, which is never computed, as in Hugging Face's layout.
        embedding: whose embedding configuration both halves use ("own": each its own). A random
            half takes the other's when embeddings are shared.
        target_vocabulary: whether the target's vocabulary is the decoder checkpoint's own, or
            replaces it.
        encoder_layers: layers of the checkpoint that the encoder takes, from 0; None: all. The
            config is already that of these layers.
        decoder_layers: as `encoder_layers`, of the decoder.
        pretrained: whether nothing is composed: both halves are one pre-trained encoder-decoder,
            and both configs its config.json.
    """

    encoder: Config | None
    decoder: Config
    share: Share = "none"
    cross_attention: CrossAttentionStart = "random"
    lm_head: LmHead = "checkpoint"
    pooler: bool = False
    embedding: EmbeddingOf = "own"
    target_vocabulary: Literal["own", "replaced"] = "own"
    encoder_layers: Layers | None = None
    decoder_layers: Layers | None = None
    pretrained: bool = False

    @property
    def seq2seq_family(self) -> Seq2SeqFamily | None:
        """The family of a pre-trained encoder-decoder; None for a composition."""
        return seq2seq_family_of(self.decoder) if self.pretrained else None

    @property
    def family_names(self) -> tuple[str | None, str]:
        """Of encoder and decoder; None without an encoder."""
        family = self.seq2seq_family
        if family is not None:
            return family.name, family.name
        encoder = self.encoder_family
        return None if encoder is None else encoder.name, self.decoder_family.name

    @property
    def target_start(self) -> tuple[int, ...]:
        """First tokens of each target, after the start token."""
        family = self.seq2seq_family
        return () if family is None else family.target_start(self.decoder)

    @property
    def encoder_family(self) -> Family | None:
        """The encoder's family; None without an encoder."""
        return None if self.encoder is None else family_of(self.encoder, "The encoder")

    @property
    def decoder_family(self) -> Family:
        """The decoder's family."""
        return family_of(self.decoder, "The decoder")

    def options(self) -> dict[str, Any]:
        """Everything except the two configs, as JSON values; empty for a pre-trained model."""
        values = {} if self.pretrained else asdict(self)
        return {key: values[key] for key in values if key not in _NO_OPTIONS}

    @classmethod
    def from_options(
        cls, encoder: Config | None, decoder: Config, options: Mapping[str, Any]
    ) -> "Composition":
        """The inverse of `options`.

        Raises:
            CheckpointError: if a newer version wrote options that this one does not know.
        """
        known = cls.__dataclass_fields__.keys() - _NO_OPTIONS
        unknown = sorted(options.keys() - known)
        if unknown:
            raise CheckpointError(
                f"The model's config has composition options that this version of warmstart does "
                f"not know: {', '.join(unknown)}. Install the version that wrote it."
            )
        # JSON has no tuples.
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in options.items()
        }
        return cls(encoder=encoder, decoder=decoder, **values)

    def rules(self) -> tuple[Rule, ...]:
        """Names of the whole model: Hugging Face's EncoderDecoderModel's, and ours."""
        if self.seq2seq_family is not None:
            return self.seq2seq_family.rules(configure(self))
        decoder = self.decoder_family
        if self.encoder is None:
            return _under(decoder, self._stack("decoder"), "decoder", outer="")
        encoder = self.encoder_family
        assert encoder is not None
        return (
            *(
                _put(rule, f"encoder.{rule.ours}", lambda name: f"encoder.{name}")
                for rule in encoder.rules(self._stack("encoder"))
                if not rule.ours.startswith("head")
            ),
            *self._cross_attention_rules(),
            Rule("enc_to_dec_proj", "bridge"),
        )

    def in_transformers(self) -> bool:
        """Whether transformers can represent this model, with equal results."""
        if self.pretrained:
            return True
        encoder, decoder = self.encoder_family, self.decoder_family
        config = configure(self)
        own_head = config.head == decoder.head(self.decoder)
        if encoder is None:
            return own_head
        return (
            encoder.encoder_class is not None
            and decoder.decoder_class is not None
            and own_head
            and self.embedding == "own"
            and config.decoder.cross_attention == "plain"
            # Another token may have the id of the checkpoint's pad then.
            and not (self.target_vocabulary == "replaced" and decoder.positions_skip_pad)
        )

    def _cross_attention_rules(self) -> tuple[Rule, ...]:
        """The decoder's rules, and those of tensors of only some kinds of cross-attention."""
        stack = self._stack("decoder")
        rules = _under(self.decoder_family, stack, "decoder", outer="decoder.")
        block = "decoder.blocks.{i}.cross_attention"
        gate = Rule("decoder.cross_attention.{i}", block)
        if not shares(self.share, "cross"):
            return (*rules, gate)
        query, key_value = (
            next(rule for rule in rules if rule.ours == f"{block}.{name}")
            for name in ("query", "key_value")
        )
        attention = stack.attention
        size = attention.head_size
        parts = len(key_value.theirs)
        whole = replace(
            query,
            theirs=(*query.theirs, *key_value.theirs),
            ours=f"{block}.qkv",
            rows=(
                attention.heads * size,
                *(2 * attention.key_value_heads * size // parts,) * parts,
            ),
        )
        return (*rules, gate, whole)

    def _stack(self, half: Literal["encoder", "decoder"]) -> StackConfig:
        config = configure(self)
        stack = config.encoder if half == "encoder" else config.decoder
        assert stack is not None
        return stack


def _has_two_biases(family: Family, stack: StackConfig) -> bool:
    """Whether the head's bias is in another module than its weight, which has one too (BERT)."""
    rules = family.rules(stack)
    [bias], [weight] = (locate(f"head.{kind}", rules).names for kind in ("bias", "weight"))
    return bias.removesuffix("bias") != weight.removesuffix("weight")


def configure(composition: Composition) -> EncoderDecoderConfig:
    """Turns two pre-trained architectures into an encoder and a decoder that reads from it.

    The decoder becomes causal and gains cross-attention between self-attention and feed-forward;
    the encoder sees both ways.

    Raises:
        CheckpointError: if a config is of no family that we have, or not complete.
        CompositionError: if the halves cannot be joined as asked.
    """
    if composition.seq2seq_family is not None:
        return composition.seq2seq_family.configure(composition.decoder)
    family = composition.decoder_family
    decoder = replace(family.stack(composition.decoder), causal=True)
    head = family.head(composition.decoder)
    if composition.lm_head == "tied":
        head = HeadConfig(tied=True, scale=head.scale, soft_cap=head.soft_cap)
        if decoder.embedding.size != decoder.hidden_size:
            raise CompositionError(
                f"lm_head='tied' needs word vectors of the decoder's width, but they are "
                f"{decoder.embedding.size} wide and the decoder {decoder.hidden_size}; "
                "use lm_head='checkpoint'."
            )
    elif head.bias and not head.tied and _has_two_biases(family, decoder):
        # Such files hold two biases, and which of them counts depends on their writer.
        raise CompositionError(
            f"The decoder's config has tie_word_embeddings false; a {family.name} head that is not "
            "tied to the word embedding cannot be read. Use lm_head='tied' to leave it out."
        )
    encoder_family = composition.encoder_family
    if composition.encoder is None and composition.cross_attention != "random":
        raise CompositionError(
            f"cross_attention='{composition.cross_attention}' needs an encoder to attend to, and a "
            "decoder that reads the source as its prefix has none; leave it out."
        )
    if encoder_family is None or composition.encoder is None:
        return EncoderDecoderConfig(encoder=None, decoder=decoder, head=head)
    encoder = replace(
        encoder_family.stack(composition.encoder),
        causal=False,
        cross_attention=None,
        pooler=composition.pooler,
    )
    decoder = replace(decoder, cross_attention=_KINDS[composition.cross_attention])
    if composition.embedding == "decoder":
        encoder = replace(encoder, embedding=decoder.embedding)
    elif composition.embedding == "encoder":
        decoder = replace(decoder, embedding=encoder.embedding)
    return EncoderDecoderConfig(encoder=encoder, decoder=decoder, head=head)


def _under(family: Family, stack: StackConfig, ours: str, *, outer: str) -> tuple[Rule, ...]:
    """A decoder's rules, with the names of a model with a head."""
    return tuple(
        _put(
            rule,
            rule.ours if rule.ours.startswith("head") else f"{ours}.{rule.ours}",
            lambda name: outer + family.spell(name),
        )
        for rule in family.rules(stack)
    )


def _put(rule: Rule, ours: str, theirs: Any) -> Rule:
    names = (rule.theirs,) if isinstance(rule.theirs, str) else rule.theirs
    return replace(rule, ours=ours, theirs=tuple(theirs(name) for name in names))
