"""Distillation and R-Drop in chunks equal what torch computes from whole logit matrices."""

import pytest
import torch
import torch.nn.functional as F
from tests.model.stacks import CONFIGS, VOCABULARY
from tests.model.test_head import HEADS, TOKENS, Shapes, random_batch, random_head, random_weights
from torch import Tensor, nn

from warmstart.model import soft_loss as soft_loss_module
from warmstart.model.head import Head
from warmstart.model.soft_loss import TeacherStates, soft_loss

DECODER = CONFIGS["post-norm"]


@pytest.fixture(params=[5, 23, 128])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Tokens of a chunk: several with a rest, exactly one, and one that is not full."""
    tokens = int(request.param)
    monkeypatch.setattr(soft_loss_module, "_CHUNK_TOKENS", tokens)
    return tokens


def random_teacher(share: float, temperature: float) -> TeacherStates:
    torch.manual_seed(5)
    embedding = nn.Embedding(VOCABULARY, DECODER.hidden_size)
    head = Head(HEADS["soft cap"], DECODER, embedding)
    for parameter in head.parameters():
        nn.init.normal_(parameter)
    return TeacherStates(
        head=head,
        hidden=torch.randn(TOKENS, DECODER.hidden_size),
        share=share,
        temperature=temperature,
    )


def by_definition(
    head: Head,
    passes: list[Tensor],
    labels: Tensor,
    weights: Tensor | None,
    smoothing: float,
    teacher: TeacherStates | None,
    r_drop: float,
) -> Tensor:
    """Written out, from whole matrices."""
    logits = [head(hidden) for hidden in passes]
    losses = sum(
        F.cross_entropy(z, labels, reduction="none", label_smoothing=smoothing) for z in logits
    ) / len(logits)
    if teacher is not None:
        t = teacher.temperature
        p = F.log_softmax(teacher.head(teacher.hidden) / t, -1).detach()
        divergence = sum((p.exp() * (p - F.log_softmax(z / t, -1))).sum(-1) for z in logits)
        soft = t * t * divergence / len(logits)
        losses = (1 - teacher.share) * losses + teacher.share * soft
    if r_drop:
        p, q = (F.log_softmax(z, -1) for z in logits)
        both = (p.exp() * (p - q)).sum(-1) + (q.exp() * (q - p)).sum(-1)
        losses = losses + r_drop * both / 4
    return losses.sum() if weights is None else (losses * weights).sum()


def passes_of(count: int) -> list[Tensor]:
    hidden, _ = random_batch()
    return [(hidden + number * 0.3 * hidden.roll(1, 0)).requires_grad_() for number in range(count)]


def gradients(loss: Tensor, head: Head, passes: list[Tensor]) -> list[Tensor]:
    return list(torch.autograd.grad(loss, [*passes, *head.parameters()]))


# Share and temperature of a teacher (none: no teacher), R-Drop, weights, smoothing.
CASES = [
    ((0.5, 1.0), 0.0, False, 0.0),
    ((0.7, 2.5), 0.0, True, 0.1),
    ((1.0, 0.5), 0.0, False, 0.0),
    (None, 3.0, True, 0.0),
    ((0.4, 2.0), 1.5, True, 0.2),
]


@pytest.mark.parametrize(("given", "r_drop", "weighted", "smoothing"), CASES)
@pytest.mark.parametrize("name", HEADS)
@pytest.mark.usefixtures("chunk")
def test_loss_and_gradients(
    name: str,
    given: tuple[float, float] | None,
    r_drop: float,
    weighted: bool,
    smoothing: float,
) -> None:
    head, (_, labels) = random_head(HEADS[name]), random_batch()
    passes, weights = passes_of(2 if r_drop else 1), random_weights(weighted)
    teacher = None if given is None else random_teacher(*given)
    expected = by_definition(head, passes, labels, weights, smoothing, teacher, r_drop)
    loss = soft_loss(
        head,
        passes,
        labels,
        weights,
        label_smoothing=smoothing,
        teacher=teacher,
        r_drop=r_drop,
    )
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-4)
    # Divided as in training, so that the factor of `backward` is tested too.
    torch.testing.assert_close(
        gradients(loss / 7, head, passes),
        gradients(expected / 7, head, passes),
        rtol=1e-4,
        atol=1e-5,
    )


def test_without_teacher_and_second_pass_it_is_cross_entropy() -> None:
    head, (hidden, labels) = random_head(HEADS["transform"]), random_batch()
    expected = head.loss(hidden, labels, None, 0.1)
    loss = soft_loss(head, [hidden], labels, label_smoothing=0.1)
    torch.testing.assert_close(loss, expected)


def test_a_teacher_that_is_the_student_teaches_nothing() -> None:
    head, (hidden, labels) = random_head(HEADS["bias"]), random_batch()
    hidden.requires_grad_()
    same = TeacherStates(head=head, hidden=hidden.detach(), share=1.0, temperature=2.0)
    loss = soft_loss(head, [hidden], labels, teacher=same)
    (gradient,) = torch.autograd.grad(loss, [hidden])
    assert abs(float(loss.detach())) < 1e-4
    assert float(gradient.abs().max()) < 1e-5


@pytest.mark.usefixtures("chunk")
def test_under_autocast_the_error_is_at_most_that_of_torch() -> None:
    head, (_, labels) = random_head(HEADS["bias"]), random_batch()
    passes, teacher = passes_of(2), random_teacher(0.5, 2.0)
    options = (None, 0.1, teacher, 1.0)
    exact = gradients(by_definition(head, passes, labels, *options), head, passes)
    with torch.autocast("cpu", torch.bfloat16):
        loss = soft_loss(head, passes, labels, label_smoothing=0.1, teacher=teacher, r_drop=1.0)
        ours = gradients(loss, head, passes)
        theirs = gradients(by_definition(head, passes, labels, *options), head, passes)
    for mine, other, truth in zip(ours, theirs, exact, strict=True):
        assert mine.dtype == torch.float32
        assert (mine - truth).norm() <= 2 * (other - truth).norm() + 1e-5


def test_what_is_frozen_gets_no_gradient_and_the_rest_does() -> None:
    head, (_, labels) = random_head(HEADS["bias"]), random_batch()
    head.weight.requires_grad_(False)
    passes, teacher = passes_of(1), random_teacher(0.5, 1.0)
    arguments = (head, passes, labels, None, 0.0, teacher, 0.0)
    wanted = [*passes, head.bias]
    expected = torch.autograd.grad(by_definition(*arguments), wanted)
    ours = torch.autograd.grad(soft_loss(head, passes, labels, teacher=teacher), wanted)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
    assert all(parameter.grad is None for parameter in teacher.head.parameters())


def test_no_whole_logit_matrix_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither of the student nor of the teacher, forward or backward."""
    monkeypatch.setattr(soft_loss_module, "_CHUNK_TOKENS", 4)
    head, (_, labels) = random_head(HEADS["bias"]), random_batch()
    passes, teacher = passes_of(2), random_teacher(0.5, 2.0)
    vocabulary, width = head.weight.shape
    assert len(labels) > width > 4
    with Shapes() as made:
        soft_loss(
            head,
            passes,
            labels,
            torch.rand(len(labels)),
            label_smoothing=0.1,
            teacher=teacher,
            r_drop=1.0,
        ).backward()
    rows = {rows for rows, columns in made.matrices if columns == vocabulary}
    assert max(rows - {width}) == 4  # the weight, transposed, is no logits
