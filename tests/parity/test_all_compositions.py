"""Every encoder with every decoder: a training step, generation, and a folder that keeps it all."""

from itertools import product
from pathlib import Path

import pytest
import torch
from tests.parity.reference import examples, logits_of
from tests.support import tiny_decoders, tiny_encoders
from tests.support.tiny import ENCODER_FAMILIES, Checkpoints

from warmstart.composition.composition_options import CrossAttentionStart
from warmstart.families.catalogue import FAMILIES
from warmstart.model.sequences import Sequences
from warmstart.seq2seq import Seq2Seq

ENCODERS = (*ENCODER_FAMILIES, *tiny_encoders.FAMILIES)
DECODERS = ("gpt2", *tiny_decoders.FAMILIES)
# The two kinds change places: a decoder-only checkpoint reads, an encoder-only one writes.
SWAPPED = [
    *((decoder, decoder) for decoder in DECODERS),
    *((encoder, encoder) for encoder in ENCODERS),
    *((decoder, ENCODERS[i % len(ENCODERS)]) for i, decoder in enumerate(DECODERS)),
]
# Not slow: every encoder and every decoder twice, with all starts in turn.
FIRST = {
    (ENCODERS[i % len(ENCODERS)], DECODERS[(i + shift) % len(DECODERS)])
    for i in range(max(len(ENCODERS), len(DECODERS)))
    for shift in (0, 1)
}
STARTS: tuple[CrossAttentionStart, ...] = ("random", "copy", "gated", "merged")


def check(model: Seq2Seq, folder: Path) -> None:
    """A step that lowers the loss, texts, and equal logits and texts after loading."""
    sources, targets = examples(model)
    batch = Sequences.of(sources), Sequences.of(targets)
    labels = torch.tensor([token for row in targets for token in [*row[1:], row[0]]])
    optimizer = torch.optim.SGD(model.model.parameters(), lr=1e-3)
    loss = model.model.eval()(*batch, labels)
    loss.backward()
    unused = [
        name
        for name, parameter in model.model.named_parameters()
        # A gate that is closed lets nothing through to what is behind it.
        if parameter.requires_grad and parameter.grad is None
    ]
    assert not unused
    assert model.model.head.weight.grad is not None
    optimizer.step()
    with torch.no_grad():
        assert model.model(*batch, labels) < loss
    logits = logits_of(model.model, sources, targets)
    assert logits.isfinite().all()
    texts = model.generate(["the cat sat", "one bird is small"], num_beams=2, max_length=6)
    model.save_pretrained(folder)
    loaded = Seq2Seq.from_pretrained(folder)
    assert torch.equal(logits_of(loaded.model, sources, targets), logits)
    assert loaded.generate(["the cat sat", "one bird is small"], num_beams=2, max_length=6) == texts


def test_no_family_is_left_out() -> None:
    assert {family.name for family in FAMILIES} == {*ENCODERS, *DECODERS}
    assert {f.name for f in FAMILIES if f.pretrained_as == "decoder"} == set(DECODERS)


@pytest.mark.parametrize(
    ("encoder", "decoder"),
    [
        pytest.param(*pair, marks=() if pair in FIRST else pytest.mark.slow)
        for pair in product(ENCODERS, DECODERS)
    ],
)
def test_every_encoder_with_every_decoder(
    encoder: str, decoder: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    # All four starts come up with every family: one for each pair.
    start = STARTS[(ENCODERS.index(encoder) + DECODERS.index(decoder)) % len(STARTS)]
    model = Seq2Seq.warm_start(
        encoder=checkpoints(encoder), decoder=checkpoints(decoder), cross_attention=start
    )
    check(model, tmp_path / "model")


@pytest.mark.parametrize(
    ("encoder", "decoder", "start"),
    [
        pytest.param(*pair, start, marks=() if number % 4 == at else pytest.mark.slow)
        for number, pair in enumerate(SWAPPED)
        for at, start in enumerate(STARTS)
    ],
)
def test_the_other_way_round(
    encoder: str,
    decoder: str,
    start: CrossAttentionStart,
    checkpoints: Checkpoints,
    tmp_path: Path,
) -> None:
    model = Seq2Seq.warm_start(
        encoder=checkpoints(encoder), decoder=checkpoints(decoder), cross_attention=start
    )
    check(model, tmp_path / "model")


@pytest.mark.parametrize("family", [*ENCODERS, *DECODERS])
def test_every_family_shares_with_itself(
    family: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    folder = checkpoints(family)
    model = Seq2Seq.warm_start(encoder=folder, decoder=folder, share="all+cross")
    check(model, tmp_path / "model")
