"""Alignments of output tokens to source tokens, by cross-attention.

Shape legend: B sequences, T target tokens and S source tokens of one of them, A heads, K key/value
heads, D head size, H hidden size.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from warmstart.generation.literals import AlignmentLayers
from warmstart.model.attend import attend_scores
from warmstart.model.attention import CrossAttention, SelfAttention
from warmstart.model.config import AttentionConfig
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.evaluation_mode import evaluation_mode
from warmstart.model.sequences import Sequences

__all__ = ["cross_attention_weights"]


@torch.inference_mode()
def cross_attention_weights(
    model: EncoderDecoder,
    source: Sequences,
    targets: Sequence[Sequence[int]],
    start: int,
    layers: AlignmentLayers = "mean",
) -> list[Tensor]:
    """Attention weights from each output token, when it was decoded, to each source token.

    The mean over the heads, of all layers or the last one. Merged attention has the target in the
    same softmax; each head's weights on the source are scaled to sum to one, as with separate
    cross-attention.

    Args:
        model: with an encoder; its mode is restored.
        source: B sources.
        targets: tokens of an output of each, without the start token. Shape: [B, ...]
        start: the start token.
        layers: which layers count.

    Returns:
        Weights of each output, in float32; the rows sum to one. Shape: B of [T, S]
    """
    assert model.encoder is not None
    inputs = Sequences.of([[start, *row[:-1]] for row in targets], source.tokens.device)
    with evaluation_mode(model):
        states_SH = model.encode(source)
        with _recorded(model) as seen:
            model.decoder(inputs, states_SH, source.lengths)
    by_layer = [
        _by_sequence(attention, arguments, inputs.lengths, states_SH, source.lengths)
        for attention, arguments in (seen if layers == "mean" else seen[-1:])
    ]
    return [torch.stack(of_sequence).mean(0) for of_sequence in zip(*by_layer, strict=True)]


@contextmanager
def _recorded(model: EncoderDecoder) -> Iterator[list[tuple[nn.Module, tuple[Any, ...]]]]:
    """Records the arguments of each attention to the source in this thread, layer by layer."""
    seen: list[tuple[nn.Module, tuple[Any, ...]]] = []
    here = threading.get_ident()

    def note(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        if threading.get_ident() == here:
            seen.append((module, arguments))

    merged = model.config.decoder.cross_attention == "merged"
    kind = SelfAttention if merged else CrossAttention
    hooks = [
        module.register_forward_pre_hook(note)
        for module in model.decoder.modules()
        if isinstance(module, kind)
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _by_sequence(
    attention: nn.Module,
    arguments: tuple[Any, ...],
    lengths: Sequence[int],
    states_SH: Tensor,
    source_lengths: Sequence[int],
) -> list[Tensor]:
    """One layer's weights, the mean over its heads. Shape: B of [T, S]"""
    match attention:
        case CrossAttention():
            q_TAD = attention.queries(attention.enter(arguments[0]))
            k_SKD = attention.keys_values(states_SH)[0]
        case SelfAttention():
            q_TAD = attention.project(attention.enter(arguments[0]), arguments[2])[0]
            k_SKD = attention.source_keys_values(states_SH)[0]
        case _:
            raise AssertionError(attention)
    pairs = zip(q_TAD.split(list(lengths)), k_SKD.split(list(source_lengths)), strict=True)
    return [_weights(q_TAD, k_SKD, attention.config).mean(0) for q_TAD, k_SKD in pairs]


def _weights(q_TAD: Tensor, k_SKD: Tensor, config: AttentionConfig) -> Tensor:
    """Attention of one output to its source. Shape: [T, A, D], [S, K, D] -> [A, T, S]"""
    scores_1KXS = attend_scores(
        q_TAD.float()[None], k_SKD.float().transpose(0, 1)[None], None, config
    )
    scores_KGTS: Tensor = scores_1KXS[0].unflatten(1, (-1, len(q_TAD)))
    return scores_KGTS.flatten(0, 1).softmax(-1)
