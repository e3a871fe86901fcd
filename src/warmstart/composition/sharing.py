"""Parameters that are one and the same in encoder and decoder."""

from dataclasses import fields, is_dataclass

from warmstart.composition.composition_options import Share, shares
from warmstart.errors import CompositionError
from warmstart.model.config import EncoderDecoderConfig, StackConfig
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.stack import Block

__all__ = ["check_sharing", "share"]

# Fields that may differ between an encoder and a decoder that share their layers.
_FREE = {"embedding", "causal", "cross_attention", "pooler", "initializer_range"}


def share(model: EncoderDecoder, kind: Share) -> None:
    """Makes the decoder use the parameters of the encoder, or its own twice.

    The gradients of both uses add up in the one parameter, which is stored once. Shared layers are
    self-attention and feed-forward with their norms; cross-attention is the decoder's own. With
    "cross" it uses query, key, value and output of the decoder's self-attention in each layer.

    Args:
        model: changed in place.
        kind: "none", "embeddings", "layers", "all" (both), or "cross", also together with one of
            the others ("all+cross").

    Raises:
        CompositionError: if the two halves differ in a shared part.
    """
    check_sharing(model.config, kind)
    if kind == "none":
        return
    encoder, decoder = model.encoder, model.decoder
    assert encoder is not None
    if shares(kind, "embeddings"):
        decoder.embedding = encoder.embedding
        if model.config.head.tied:
            model.head.weight = encoder.embedding.word.weight
    if shares(kind, "layers"):
        for ours, theirs in zip(decoder.blocks, encoder.blocks, strict=True):
            assert isinstance(ours, Block) and isinstance(theirs, Block)
            ours.self_attention = theirs.self_attention
            ours.feed_forward = theirs.feed_forward
        decoder.final_norm = encoder.final_norm
        decoder.relative_bias = encoder.relative_bias
    if shares(kind, "cross"):
        for block in decoder.blocks:
            assert isinstance(block, Block) and block.cross_attention is not None
            block.cross_attention.share_projections(block.self_attention)


def check_sharing(config: EncoderDecoderConfig, kind: Share) -> None:
    """Refuses to share between halves that differ, and names every difference.

    Raises:
        CompositionError: if the halves differ, or there is only one.
    """
    if kind == "none":
        return
    if config.encoder is None:
        raise CompositionError(
            f"share='{kind}' needs two halves, and a decoder that reads the source as its prefix "
            "has only one; use share='none'."
        )
    if shares(kind, "cross") and config.decoder.cross_attention == "merged":
        raise CompositionError(
            f"share='{kind}' shares the projections of cross-attention, but merged cross-attention "
            "has none of its own; leave 'cross' out, or use another cross_attention."
        )
    differences = []
    if shares(kind, "layers"):
        differences += _differences(config.encoder, config.decoder)
    if shares(kind, "embeddings"):
        differences += _embedding_differences(config.encoder, config.decoder)
    if differences:
        raise CompositionError(
            f"share='{kind}' needs the same architecture in both halves, but they differ: "
            f"{'; '.join(differences)}. Use share='none', or one checkpoint for both halves."
        )


def _differences(encoder: StackConfig, decoder: StackConfig) -> list[str]:
    kept = {field.name for field in fields(StackConfig)} - _FREE
    return [
        difference
        for name in sorted(kept)
        for difference in _compare(name, getattr(encoder, name), getattr(decoder, name))
    ]


def _embedding_differences(encoder: StackConfig, decoder: StackConfig) -> list[str]:
    return [
        *_compare("embedding", encoder.embedding, decoder.embedding),
        *_compare("hidden_size", encoder.hidden_size, decoder.hidden_size),
    ]


def _compare(name: str, mine: object, other: object) -> list[str]:
    """The differences of two values, down to the fields of configs."""
    if mine == other:
        return []
    if is_dataclass(mine) and type(mine) is type(other):
        return [
            difference
            for field in fields(mine)
            for difference in _compare(
                f"{name}.{field.name}", getattr(mine, field.name), getattr(other, field.name)
            )
        ]
    return [f"{name} ({_short(mine)} and {_short(other)})"]


def _short(value: object) -> str:
    if value is None:
        return "none"
    return "some" if is_dataclass(value) else str(value)
