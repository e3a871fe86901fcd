"""Logits equal transformers' on the same weights, for every pair of families."""

from pathlib import Path

import pytest
import torch
from tests.parity.reference import examples, logits_of, reference_logits, save_for_reference
from tests.support.tiny import ENCODER_FAMILIES, FAMILIES, Checkpoints

from warmstart.model.sequences import Sequences
from warmstart.seq2seq import Seq2Seq

PAIRS = [(encoder, decoder) for encoder in ENCODER_FAMILIES for decoder in FAMILIES]
TOLERANCE = 1e-5


@pytest.mark.parametrize(("encoder", "decoder"), PAIRS)
def test_every_pair_computes_what_transformers_computes(
    encoder: str, decoder: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    model = Seq2Seq.warm_start(encoder=checkpoints(encoder), decoder=checkpoints(decoder, seed=1))
    reference = save_for_reference(model, tmp_path / "model")
    sources, targets = examples(model)
    assert len({*map(len, sources)}) == len({*map(len, targets)}) == len(sources)
    ours = logits_of(model.model, sources, targets)
    theirs = reference_logits(reference, model, sources, targets)
    assert theirs.std() > 0.1, "the reference must say something"
    torch.testing.assert_close(ours, theirs, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("decoder", FAMILIES)
def test_unlike_widths_meet_at_a_bridge_that_transformers_reads(
    decoder: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    model = Seq2Seq.warm_start(
        encoder=checkpoints("roberta", hidden_size=48), decoder=checkpoints(decoder)
    )
    assert model.model.bridge is not None
    reference = save_for_reference(model, tmp_path / "model")
    sources, targets = examples(model)
    ours = logits_of(model.model, sources, targets)
    theirs = reference_logits(reference, model, sources, targets)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(
        model.model.bridge.weight, reference.enc_to_dec_proj.weight, rtol=0, atol=0
    )


@pytest.mark.parametrize("decoder", FAMILIES)
def test_decoding_step_by_step_gives_the_logits_that_transformers_gives_at_once(
    decoder: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    model = Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=checkpoints(decoder, seed=1))
    reference = save_for_reference(model, tmp_path / "model")
    sources, targets = examples(model)
    theirs = reference_logits(reference, model, sources, targets)
    longest = max(map(len, targets))
    with torch.no_grad():
        cache = model.model.eval().start(Sequences.of(sources), longest)
        steps = [
            model.model.step(torch.tensor([[row[min(at, len(row) - 1)]] for row in targets]), cache)
            for at in range(longest)
        ]
    ours = torch.cat(steps, dim=1)
    packed = torch.cat([ours[i, : len(row)] for i, row in enumerate(targets)])
    torch.testing.assert_close(packed, theirs, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("decoder", FAMILIES)
def test_bfloat16_error_is_at_most_three_times_that_of_transformers(
    decoder: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    model = Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=checkpoints(decoder, seed=1))
    reference = save_for_reference(model, tmp_path / "model")
    sources, targets = examples(model)
    exact = reference_logits(reference, model, sources, targets)
    theirs = reference_logits(reference.to(torch.bfloat16), model, sources, targets)
    model.to("cpu", torch.bfloat16)
    ours = logits_of(model.model, sources, targets)
    assert ours.dtype == torch.bfloat16
    our_error, their_error = (ours - exact).abs(), (theirs - exact).abs()
    assert 0 < our_error.mean() <= 3 * their_error.mean()
    assert our_error.max() <= 3 * their_error.max()
