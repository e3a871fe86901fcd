"""The same model in transformers, and batches as it wants them: padded, with masks."""

import random
from collections.abc import Sequence
from pathlib import Path

import torch
import transformers
from tests.support.tiny import SENTENCES, WORDS
from torch import Tensor
from transformers import EncoderDecoderModel

from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.sequences import Sequences
from warmstart.seq2seq import Seq2Seq

__all__ = [
    "examples",
    "logits_of",
    "random_pairs",
    "rectangle",
    "reference_logits",
    "save_for_reference",
    "teach",
]

Rows = Sequence[Sequence[int]]


def save_for_reference(model: Seq2Seq, folder: Path) -> EncoderDecoderModel:
    """Saves our model and loads the folder with transformers."""
    model.save_pretrained(folder)
    reference: EncoderDecoderModel = transformers.EncoderDecoderModel.from_pretrained(folder)
    return reference.eval()


def examples(model: Seq2Seq) -> tuple[list[list[int]], list[list[int]]]:
    """Sources and decoder inputs of different lengths, in token ids."""
    start = model.tokenizers.special.start
    targets = model.encode_targets(SENTENCES[::-1])
    return model.encode_sources(SENTENCES), [[start, *row] for row in targets]


def logits_of(model: EncoderDecoder, sources: Rows, targets: Rows) -> Tensor:
    """Ours, in evaluation. Shape: [T, V]"""
    with torch.no_grad():
        logits: Tensor = model.eval()(Sequences.of(sources), Sequences.of(targets))
    return logits


def reference_logits(
    reference: EncoderDecoderModel, model: Seq2Seq, sources: Rows, targets: Rows
) -> Tensor:
    """Theirs of the same tokens, laid out as ours. Shape: [T, V]"""
    source_ids, source_mask = rectangle(sources, model.tokenizers.source.pad_token_id or 0)
    target_ids, target_mask = rectangle(targets, model.tokenizers.special.pad)
    with torch.no_grad():
        logits: Tensor = reference(
            input_ids=source_ids,
            attention_mask=source_mask,
            decoder_input_ids=target_ids,
            decoder_attention_mask=target_mask,
        ).logits
    return logits[target_mask.bool()]


def rectangle(rows: Rows, filler: int) -> tuple[Tensor, Tensor]:
    """Token ids with the shorter rows filled up, and 1 where a token is. Shape: [B, L] each"""
    longest = max(map(len, rows))
    ids = [[*row, *[filler] * (longest - len(row))] for row in rows]
    mask = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
    return torch.tensor(ids), torch.tensor(mask)


def teach(model: Seq2Seq, *, steps: int, pairs: Sequence[tuple[str, str]] = ()) -> None:
    """Half teaches random pairs, so that outputs vary, end at different steps and nearly tie."""
    pairs = pairs or random_pairs(seed=0)
    sources = model.encode_sources([source for source, _ in pairs])
    targets = model.encode_targets([target for _, target in pairs])
    start = model.tokenizers.special.start
    batch = (
        Sequences.of(sources),
        Sequences.of([[start, *target[:-1]] for target in targets]),
        Sequences.of(targets).tokens,
    )
    optimizer = torch.optim.AdamW(model.model.parameters(), lr=5e-3)
    model.model.eval()
    for _ in range(steps):
        model.model(*batch).backward()
        optimizer.step()
        optimizer.zero_grad()


def random_pairs(seed: int, count: int = 24) -> list[tuple[str, str]]:
    """Pairs of texts of random words and of random lengths."""
    dice = random.Random(seed)

    def text(most: int) -> str:
        return " ".join(dice.choices(WORDS, k=dice.randint(2, most)))

    return [(text(10), text(12)) for _ in range(count)]
