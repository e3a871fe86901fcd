"""From decoded token ids to `Generated` outputs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from warmstart.generation.alignment import cross_attention_weights
from warmstart.generation.hypothesis import Hypothesis
from warmstart.generation.literals import AlignmentLayers
from warmstart.generation.result import Alignment, Generated
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.sequences import Sequences
from warmstart.text.tokenizer_pair import TokenizerPair

__all__ = ["Decoded", "align", "join_chunks"]


@dataclass(frozen=True, slots=True)
class Decoded:
    """The outputs of a text in token ids.

    Attributes:
        index: of the text.
        outputs: best first.
        source: the text's tokens that were read.
        cut: whether the text has more.
    """

    index: int
    outputs: list[Hypothesis]
    source: list[int]
    cut: bool


def align(
    model: EncoderDecoder,
    tokenizers: TokenizerPair,
    text: str,
    decoded: Decoded,
    layers: AlignmentLayers,
    device: torch.device,
) -> list[Alignment | None]:
    """Alignments of a text's outputs; None for an output without tokens."""
    row = decoded.source
    outputs = [output.tokens for output in decoded.outputs if output.tokens]
    source = Sequences.of([row] * len(outputs), device)
    weights = iter(
        cross_attention_weights(model, source, outputs, tokenizers.special.start, layers)
        if outputs
        else ()
    )
    # None where an empty text has got a token of its own.
    spans = tokenizers.source_spans(text, row)
    return [
        Alignment(
            weights=next(weights).cpu(),
            target_tokens=tuple(tokenizers.target.convert_ids_to_tokens(output.tokens)),
            source_tokens=tuple(tokenizers.source.convert_ids_to_tokens(row)),
            source_spans=tuple(spans),
        )
        if output.tokens
        else None
        for output in decoded.outputs
    ]


def join_chunks(chunks: Sequence[Sequence[Generated]]) -> list[Generated]:
    """The outputs of a text that was decoded in chunks: the best ones joined, and so on.

    Args:
        chunks: the outputs of each chunk, equally many.
    """
    if len(chunks) == 1:
        return list(chunks[0])
    return [_join(parts) for parts in zip(*chunks, strict=True)]


def _join(parts: Sequence[Generated]) -> Generated:
    lengths = [len(part.tokens) for part in parts]
    score = -math.inf
    if all(part.score != -math.inf for part in parts):
        weighted = [part.score * length for part, length in zip(parts, lengths, strict=True)]
        score = sum(weighted) / max(sum(lengths), 1)
    return replace(
        parts[0],
        text=" ".join(part.text for part in parts if part.text),
        tokens=tuple(token for part in parts for token in part.tokens),
        score=score,
        token_scores=tuple(score for part in parts for score in part.token_scores),
        steps=sum(part.steps for part in parts),
        at_limit=any(part.at_limit for part in parts),
        source_cut=any(part.source_cut for part in parts),
        chunks=len(parts),
    )
