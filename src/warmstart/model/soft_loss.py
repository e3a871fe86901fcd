"""Losses against distributions rather than tokens: of a teacher, or of another dropout pass.

Shape legend: T target tokens, C tokens of a chunk, H hidden size, E embedding size, V vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from warmstart.model.head import Head

__all__ = ["TeacherStates", "soft_loss"]

_CHUNK_TOKENS: Final = 128  # rows of the few float32 matrices held at a time

# A slice of the tokens, and the student's logits for them -> their loss.
_LossOfChunk = Callable[[slice, Sequence[Tensor]], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherStates:
    """What a teacher makes of the same targets.

    Attributes:
        head: of the same vocabulary; nothing in it is trained.
        hidden: its decoder's states. Shape: [T, its H]
        share: of the loss, from 0 to 1.
        temperature: divisor of both models' logits, > 0.
    """

    head: Head
    hidden: Tensor
    share: float
    temperature: float


def soft_loss(
    head: Head,
    passes_TH: Sequence[Tensor],
    labels_T: Tensor,
    weights_T: Tensor | None = None,
    *,
    label_smoothing: float = 0.0,
    teacher: TeacherStates | None = None,
    r_drop: float = 0.0,
) -> Tensor:
    """Loss in nats, summed over the tokens, in chunks.

    Of one pass it is ``(1 - share) CE + share temperature² KL(teacher || student)``: word-level
    distillation (Hinton et al. 2015, section 2; Kim and Rush 2016, section 3.1). Of two passes it
    is the mean of theirs plus ``r_drop / 4 (KL(1 || 2) + KL(2 || 1))``, half of what R-Drop has
    (Liang et al. 2021, equation 4), so that it is on the scale of one pass.

    Args:
        head: the student's.
        passes_TH: the student's decoder states; with `r_drop` those of two passes that differ by
            dropout. Shape of each: [T, H]
        labels_T: the token that each should give. Shape: [T]
        weights_T: factor of each token's loss; default: 1. Shape: [T]
        label_smoothing: see `Head.loss`.
        teacher: default: none.
        r_drop: how much the difference of two passes counts, >= 0.

    Returns:
        Shape: []
    """

    def loss_of(chunk: slice, passes_CV: Sequence[Tensor]) -> Tensor:
        losses_C = torch.stack(
            [
                F.cross_entropy(
                    logits_CV, labels_T[chunk], reduction="none", label_smoothing=label_smoothing
                )
                for logits_CV in passes_CV
            ]
        ).mean(0)
        if teacher is not None:
            soft_C = _from_teacher(teacher, chunk, passes_CV)
            losses_C = (1 - teacher.share) * losses_C + teacher.share * soft_C
        if r_drop:
            first_CV, second_CV = (logits_CV.log_softmax(-1) for logits_CV in passes_CV)
            # Both divergences in one sum: p log p/q + q log q/p = (p - q)(log p - log q).
            both_C = (first_CV.exp() - second_CV.exp()).mul(first_CV - second_CV).sum(-1)
            losses_C = losses_C + r_drop / 4 * both_C
        return losses_C.sum() if weights_T is None else losses_C.dot(weights_T[chunk].float())

    bias: Tensor | None = head.bias
    rows_TE = [head.transform(hidden_TH) for hidden_TH in passes_TH]
    loss: Tensor = _Chunked.apply(  # type: ignore[no-untyped-call]
        loss_of, head, head.weight, bias, *rows_TE
    )
    return loss


def _from_teacher(teacher: TeacherStates, chunk: slice, passes_CV: Sequence[Tensor]) -> Tensor:
    """Divergence of the student from its teacher, times the temperature's square. Shape: [C]

    The square keeps gradients on one scale whatever the temperature (Hinton et al. 2015).
    """
    temperature = teacher.temperature
    with torch.no_grad():
        logits_CV = teacher.head(teacher.hidden[chunk]).float()
        expected_CV = (logits_CV / temperature).log_softmax(-1)
    divergences = [
        F.kl_div(
            (logits_CV / temperature).log_softmax(-1),
            expected_CV,
            reduction="none",
            log_target=True,
        ).sum(-1)
        for logits_CV in passes_CV
    ]
    return torch.stack(divergences).mean(0) * temperature**2


class _Chunked(torch.autograd.Function):
    """The sum of a loss of logits ``x @ weight.T + bias``, its gradients computed on the way.

    Autograd sees one chunk at a time, so no more than that chunk's logits ever exist.
    """

    @staticmethod
    def forward(
        ctx: Any,
        loss_of: _LossOfChunk,
        head: Head,
        weight_VE: Tensor,
        bias_V: Tensor | None,
        *rows_TE: Tensor,
    ) -> Tensor:
        device = weight_VE.device.type
        autocast = torch.is_autocast_enabled(device)
        dtype = torch.get_autocast_dtype(device) if autocast else rows_TE[0].dtype
        inputs = (weight_VE, bias_V, *rows_TE)
        needed = [bool(needs) for needs in ctx.needs_input_grad[2:]]
        gradients = [
            torch.zeros_like(x, dtype=torch.float32) if needs and x is not None else None
            for x, needs in zip(inputs, needed, strict=True)
        ]
        weight, bias = (
            None if x is None else x.detach().to(dtype).requires_grad_(needs)
            for x, needs in zip(inputs[:2], needed[:2], strict=True)
        )
        assert weight is not None
        total = torch.zeros((), dtype=torch.float32, device=weight_VE.device)
        for start in range(0, rows_TE[0].shape[0], _CHUNK_TOKENS):
            chunk = slice(start, start + _CHUNK_TOKENS)
            with torch.enable_grad(), torch.autocast(device, enabled=False):
                pieces = [
                    x_TE[chunk].detach().to(dtype).requires_grad_(needs)
                    for x_TE, needs in zip(rows_TE, needed[2:], strict=True)
                ]
                logits = [head.cap(F.linear(x, weight, bias).float()) for x in pieces]
                loss = loss_of(chunk, logits)
            total += loss.detach()
            parts = [None, None, *(chunk for _ in pieces)]
            wanted = [
                (x, gradient if part is None else gradient[part])
                for x, gradient, part in zip((weight, bias, *pieces), gradients, parts, strict=True)
                if x is not None and gradient is not None
            ]
            if wanted:
                found = torch.autograd.grad(loss, [x for x, _ in wanted])
                for (_, gradient), part in zip(wanted, found, strict=True):
                    gradient += part
        ctx.save_for_backward(*gradients)
        ctx.dtypes = [None if x is None else x.dtype for x in inputs]
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        scaled = [
            None if gradient is None else (gradient * grad).to(dtype)
            for gradient, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        ]
        return None, None, *scaled
