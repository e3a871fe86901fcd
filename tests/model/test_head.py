"""Logits and the chunked loss equal what torch computes from a whole logit matrix."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.model.stacks import CONFIGS, VOCABULARY
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from warmstart.model import head as head_module
from warmstart.model.config import HeadConfig, NormConfig
from warmstart.model.head import Head

DECODER = CONFIGS["post-norm"]
TOKENS = 23
HEADS = {
    "tied": HeadConfig(),
    "bias": HeadConfig(bias=True),
    "free": HeadConfig(tied=False),
    "soft cap": HeadConfig(bias=True, soft_cap=1.5),
    "transform": HeadConfig(bias=True, transform="gelu", transform_norm=NormConfig(eps=1e-12)),
}


@pytest.fixture(params=[5, 23, 512])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Tokens of a chunk: several with a rest, exactly one, and one that is not full."""
    tokens = int(request.param)
    monkeypatch.setattr(head_module, "CHUNK_TOKENS", tokens)
    return tokens


def random_head(config: HeadConfig) -> Head:
    torch.manual_seed(0)
    head = Head(config, DECODER, nn.Embedding(VOCABULARY, DECODER.hidden_size))
    for parameter in head.parameters():
        nn.init.normal_(parameter)
    return head


def random_batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(TOKENS, DECODER.hidden_size, generator=generator)
    return hidden, torch.randint(VOCABULARY, (TOKENS,), generator=generator)


def by_definition(
    head: Head,
    hidden_TH: Tensor,
    labels_T: Tensor,
    weights_T: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of a whole logit matrix, written out."""
    x = hidden_TH
    if head.config.transform is not None:
        x = F.gelu(F.linear(x, head.dense.weight, head.dense.bias))
        x = F.layer_norm(x, x.shape[-1:], head.norm.weight, head.norm.bias, 1e-12)
    logits = x @ head.weight.T
    if head.bias is not None:
        logits = logits + head.bias
    if head.config.soft_cap is not None:
        logits = head.config.soft_cap * torch.tanh(logits / head.config.soft_cap)
    losses_T = F.cross_entropy(logits, labels_T, reduction="none", label_smoothing=label_smoothing)
    return losses_T.sum() if weights_T is None else (losses_T * weights_T).sum()


def gradients(loss: Tensor, head: Head, hidden: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, [hidden, *head.parameters()]))


# How tokens are weighted, and labels smoothed.
LOSSES = [(False, 0.0), (False, 0.1), (False, 1.0), (True, 0.0), (True, 0.2)]


def random_weights(weighted: bool) -> Tensor | None:
    """Of the tokens; some are zero."""
    if not weighted:
        return None
    weights = torch.rand(TOKENS, generator=torch.Generator().manual_seed(2)) * 3
    weights[::7] = 0
    return weights


@pytest.mark.parametrize(("weighted", "smoothing"), LOSSES)
@pytest.mark.parametrize("name", HEADS)
@pytest.mark.usefixtures("chunk")
def test_loss_and_gradients(name: str, weighted: bool, smoothing: float) -> None:
    head, (hidden, labels) = random_head(HEADS[name]), random_batch()
    weights = random_weights(weighted)
    hidden.requires_grad_()
    expected = by_definition(head, hidden, labels, weights, smoothing)
    loss = head.loss(hidden, labels, weights, smoothing)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-4)
    # Divided as in training, so that the factor of `backward` is tested too.
    torch.testing.assert_close(
        gradients(loss / 7, head, hidden),
        gradients(expected / 7, head, hidden),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("name", HEADS)
def test_loss_is_that_of_the_logits(name: str) -> None:
    head, (hidden, labels) = random_head(HEADS[name]), random_batch()
    expected = F.cross_entropy(head(hidden), labels, reduction="sum")
    torch.testing.assert_close(head.loss(hidden, labels), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("weighted", "smoothing"), LOSSES)
@pytest.mark.parametrize("name", HEADS)
@pytest.mark.usefixtures("chunk")
def test_under_autocast_the_error_is_at_most_that_of_torch(
    name: str, weighted: bool, smoothing: float
) -> None:
    head, (hidden, labels) = random_head(HEADS[name]), random_batch()
    options = (random_weights(weighted), smoothing)
    hidden.requires_grad_()
    exact = gradients(by_definition(head, hidden, labels, *options), head, hidden)
    with torch.autocast("cpu", torch.bfloat16):
        ours = gradients(head.loss(hidden, labels, *options), head, hidden)
        theirs = gradients(by_definition(head, hidden, labels, *options), head, hidden)
    for mine, other, truth in zip(ours, theirs, exact, strict=True):
        assert mine.dtype == torch.float32
        assert (mine - truth).norm() <= 2 * (other - truth).norm() + 1e-5


def test_a_frozen_head_passes_gradients_on() -> None:
    head, (hidden, labels) = random_head(HEADS["bias"]), random_batch()
    head.requires_grad_(False)
    hidden.requires_grad_()
    (mine,) = torch.autograd.grad(head.loss(hidden, labels), [hidden])
    (expected,) = torch.autograd.grad(by_definition(head, hidden, labels), [hidden])
    torch.testing.assert_close(mine, expected, rtol=1e-4, atol=1e-5)


def test_frozen_states_still_train_the_head() -> None:
    head, (hidden, labels) = random_head(HEADS["bias"]), random_batch()
    mine = torch.autograd.grad(head.loss(hidden, labels), list(head.parameters()))
    expected = torch.autograd.grad(by_definition(head, hidden, labels), list(head.parameters()))
    torch.testing.assert_close(mine, expected, rtol=1e-4, atol=1e-5)


def test_no_whole_logit_matrix_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head_module, "CHUNK_TOKENS", 4)
    head, (hidden, labels) = random_head(HEADS["bias"]), random_batch()
    hidden.requires_grad_()
    vocabulary, width = head.weight.shape
    assert len(labels) > width > 4
    with Shapes() as made:
        head.loss(hidden, labels, torch.rand(len(labels)), 0.1).backward()
    rows = {rows for rows, columns in made.matrices if columns == vocabulary}
    assert rows - {width} == {4, len(labels) % 4}  # the weight, transposed, is no logits


def test_evaluation_computes_no_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    head, (hidden, labels) = random_head(HEADS["bias"]), random_batch()
    expected = head.loss(hidden, labels).item()
    products: list[tuple[int, ...]] = []
    original = torch.zeros_like

    def counted(like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        products.append(tuple(like.shape))
        return original(like, dtype=dtype)

    monkeypatch.setattr(torch, "zeros_like", counted)
    with torch.no_grad():
        assert head.loss(hidden, labels).item() == pytest.approx(expected)
    assert not products, "room was made for gradients"


def test_a_token_of_weight_zero_gives_no_gradient() -> None:
    head, (hidden, labels) = random_head(HEADS["bias"]), random_batch()
    weights = torch.ones(TOKENS)
    weights[4:] = 0
    hidden.requires_grad_()
    few = hidden[:4].detach().requires_grad_()
    loss, expected = head.loss(hidden, labels, weights, 0.1), head.loss(few, labels[:4], None, 0.1)
    torch.testing.assert_close(loss, expected)
    ours, theirs = gradients(loss, head, hidden), gradients(expected, head, few)
    assert not ours[0][4:].any()
    torch.testing.assert_close([ours[0][:4], *ours[1:]], theirs)


class Shapes(TorchDispatchMode):
    """Rows and columns of every matrix that an operation gives within the block."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.matrices: list[tuple[int, int]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if isinstance(output, Tensor) and output.dim() == 2:
            self.matrices.append((output.shape[0], output.shape[1]))
        return output
