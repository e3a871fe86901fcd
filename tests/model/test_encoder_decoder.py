"""The whole model: its loss, and gradients where both halves hold one parameter."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from tests.model.stacks import CONFIGS, VOCABULARY
from torch import Tensor

from warmstart.composition.sharing import share
from warmstart.model.config import EncoderDecoderConfig, HeadConfig
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.sequences import Sequences

STACK = CONFIGS["post-norm"]
CONFIG = EncoderDecoderConfig(
    encoder=replace(STACK, causal=False),
    decoder=replace(STACK, cross_attention="plain"),
    head=HeadConfig(bias=True),
)
SOURCES, TARGETS = (5, 2, 8), (3, 7, 4)


def random_model(config: EncoderDecoderConfig = CONFIG) -> EncoderDecoder:
    torch.manual_seed(0)
    model = EncoderDecoder(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.3)
    return model


def random_batch() -> tuple[Sequences, Sequences, Tensor]:
    generator = torch.Generator().manual_seed(1)

    def tokens(count: int) -> Tensor:
        return torch.randint(VOCABULARY, (count,), generator=generator)

    return (
        Sequences(tokens(sum(SOURCES)), SOURCES),
        Sequences(tokens(sum(TARGETS)), TARGETS),
        tokens(sum(TARGETS)),
    )


@pytest.mark.parametrize("prefix", [False, True])
def test_loss_is_the_mean_over_target_tokens_or_the_sum_over_a_count(prefix: bool) -> None:
    decoder_only = EncoderDecoderConfig(encoder=None, decoder=STACK, head=HeadConfig())
    model = random_model(decoder_only if prefix else CONFIG)
    source, target, labels = random_batch()
    logits = model(source, target)
    assert logits.shape == (sum(TARGETS), VOCABULARY)
    expected = F.cross_entropy(logits, labels)
    torch.testing.assert_close(model(source, target, labels), expected)
    by_count = model(source, target, labels, torch.tensor(2 * sum(TARGETS)))
    torch.testing.assert_close(by_count, expected / 2)


@pytest.mark.parametrize("by_example", [True, False])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_weighted_loss_is_the_weighted_mean(by_example: bool, smoothing: float) -> None:
    model = random_model()
    source, target, labels = random_batch()
    weights_B = torch.tensor([0.5, 2.0, 0.0])
    weights_T = weights_B.repeat_interleave(torch.tensor(TARGETS))
    losses_T = F.cross_entropy(
        model(source, target), labels, reduction="none", label_smoothing=smoothing
    )
    loss = model(
        source,
        target,
        labels,
        weights=weights_B if by_example else weights_T,
        label_smoothing=smoothing,
    )
    torch.testing.assert_close(loss, (losses_T * weights_T).sum() / weights_T.sum())


def test_loss_of_a_batch_is_the_sum_of_its_parts_divided_by_one_count() -> None:
    model = random_model()
    source, target, labels = random_batch()
    whole = model(source, target, labels, 14.0)
    parts = [
        model(Sequences(s, (len(s),)), Sequences(t, (len(t),)), y, 14.0)
        for s, t, y in zip(
            source.tokens.split(SOURCES),
            target.tokens.split(TARGETS),
            labels.split(TARGETS),
            strict=True,
        )
    ]
    torch.testing.assert_close(whole, torch.stack(parts).sum())


def test_an_example_does_not_depend_on_its_batch() -> None:
    model = random_model()
    source, target, _ = random_batch()
    together = model(source, target).split(TARGETS)
    for s, t, logits in zip(
        source.tokens.split(SOURCES), target.tokens.split(TARGETS), together, strict=True
    ):
        alone = model(Sequences(s, (len(s),)), Sequences(t, (len(t),)))
        torch.testing.assert_close(alone, logits, rtol=0, atol=1e-5)


def test_a_shared_weights_gradient_is_the_sum_of_both_halves() -> None:
    """Rothe et al. (2020) share by identity: one parameter, used and trained twice."""
    unshared, shared = random_model(), random_model()
    share(shared, "all")
    names = dict(shared.named_parameters(remove_duplicate=False))
    # The same values in both halves, held twice by the one and once by the other.
    unshared.load_state_dict(shared.state_dict())
    batch = random_batch()
    losses = [model(*batch) for model in (unshared, shared)]
    torch.testing.assert_close(losses[0], losses[1])
    for loss in losses:
        loss.backward()
    apart = {name: parameter.grad for name, parameter in unshared.named_parameters()}
    checked = 0
    for name, parameter in names.items():
        if not name.startswith("encoder."):
            continue
        other = name.replace("encoder.", "decoder.", 1)
        assert names[other] is parameter
        ours, theirs = apart[name], apart[other]
        assert ours is not None
        assert theirs is not None
        assert min(ours.norm(), theirs.norm()) > 0
        torch.testing.assert_close(parameter.grad, ours + theirs, rtol=1e-4, atol=1e-6)
        checked += 1
    assert checked == sum(name.startswith("encoder.") for name in names) > 30


def test_every_parameter_gets_a_gradient() -> None:
    model = random_model(replace(CONFIG, encoder=replace(STACK, hidden_size=12, causal=False)))
    model(*random_batch()).backward()
    without = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    assert without == []


def test_a_bridge_exists_only_where_the_widths_differ() -> None:
    assert random_model().bridge is None
    narrow = CONFIGS["projected embedding"]
    wide = EncoderDecoderConfig(
        encoder=replace(narrow, hidden_size=20, causal=False),
        decoder=CONFIG.decoder,
        head=HeadConfig(),
    )
    model = random_model(wide)
    assert model.bridge is not None
    source, _, _ = random_batch()
    assert model.encode(source).shape == (sum(SOURCES), CONFIG.decoder.hidden_size)


def test_a_bridge_follows_the_dtype_of_the_model() -> None:
    wide = replace(CONFIG, encoder=replace(CONFIGS["projected embedding"], hidden_size=20))
    model = random_model(wide).to(torch.bfloat16)
    source, target, labels = random_batch()
    assert model(source, target).dtype == torch.bfloat16
    assert model(source, target, labels).isfinite()
