"""Decoder states to logits, and to a loss without the logits.

Shape legend: T target tokens, C tokens of a chunk, H hidden size, E embedding size, V vocabulary.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from warmstart.model.config import HeadConfig, StackConfig
from warmstart.model.feedforward import activate
from warmstart.model.norm import norm

__all__ = ["CHUNK_TOKENS", "Head"]

CHUNK_TOKENS = 256  # tokens of float32 logits held at a time: 31 MB with 30,522 words
_CACHED_TOKENS = 16  # of them read repeatedly: 2 MB, which fit a processor's cache


class Head(nn.Module):
    """The language-modelling head. A tied one holds the decoder's word embedding itself."""

    def __init__(self, config: HeadConfig, decoder: StackConfig, word: nn.Embedding) -> None:
        super().__init__()
        self.config = config
        size = decoder.embedding.size
        if config.transform is not None:
            assert config.transform_norm is not None
            self.dense = nn.Linear(decoder.hidden_size, size, config.transform_bias)
            self.norm = norm(config.transform_norm, size)
        elif config.projection:
            self.dense = nn.Linear(decoder.hidden_size, size, bias=False)
        self.weight = (
            word.weight if config.tied else nn.Parameter(torch.empty(word.num_embeddings, size))
        )
        self.bias: nn.Parameter | None = None
        if config.bias:
            empty = torch.empty(word.num_embeddings)
            self.bias = nn.Parameter(empty, requires_grad=config.bias_trained)
        self.product: nn.Module | None = None  # the product for decoding, see `inference/`

    def forward(self, hidden_TH: Tensor) -> Tensor:
        """Logits. Shape: [T, H] -> [T, V]"""
        x_TE = self.transform(hidden_TH)
        if self.product is not None:
            return self.cap(self.product(x_TE))
        return self.cap(F.linear(x_TE, self.weight, self.bias))

    def loss(
        self,
        hidden_TH: Tensor,
        labels_T: Tensor,
        weights_T: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> Tensor:
        """Cross-entropy in nats, summed over the tokens, in chunks.

        Args:
            hidden_TH: decoder states. Shape: [T, H]
            labels_T: the correct token of each. Shape: [T]
            weights_T: factor of each token's loss; default: 1. Shape: [T]
            label_smoothing: the share of the target distribution that is spread evenly over the
                vocabulary, the label's own entry included, as `torch.nn.functional.cross_entropy`
                has it (Szegedy et al. 2016, section 7). At least 0, at most 1.

        Returns:
            Shape: []
        """
        if self.product is not None:
            return self._measured(hidden_TH, labels_T, weights_T, label_smoothing)
        x_TE = self.transform(hidden_TH)
        weight: Tensor = self.weight
        bias: Tensor | None = self.bias
        if not torch.is_grad_enabled():
            # Inside the function below a parameter would still require its gradient.
            weight, bias = weight.detach(), None if bias is None else bias.detach()
        loss: Tensor = _LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]
            x_TE, weight, bias, labels_T, weights_T, self.config.soft_cap, label_smoothing
        )
        return loss

    def _measured(
        self,
        hidden_TH: Tensor,
        labels_T: Tensor,
        weights_T: Tensor | None,
        label_smoothing: float,
    ) -> Tensor:
        """The loss of a model without gradients."""
        losses_T = torch.cat(
            [
                F.cross_entropy(
                    self(hidden_CH), labels_C, reduction="none", label_smoothing=label_smoothing
                )
                for hidden_CH, labels_C in zip(
                    hidden_TH.split(CHUNK_TOKENS), labels_T.split(CHUNK_TOKENS), strict=True
                )
            ]
        )
        return losses_T.sum() if weights_T is None else losses_T.dot(weights_T)

    def transform(self, hidden_TH: Tensor) -> Tensor:
        """Decoder states in the space of the word vectors. Shape: [T, H] -> [T, E]"""
        if self.config.projection:
            projected: Tensor = self.dense(hidden_TH)
            return projected
        if self.config.transform is None:
            return hidden_TH if self.config.scale == 1.0 else hidden_TH * self.config.scale
        x: Tensor = self.norm(activate(self.dense(hidden_TH), self.config.transform))
        return x

    def cap(self, logits: Tensor) -> Tensor:
        """Logits with the soft cap, if the config has one. Shape: unchanged."""
        cap = self.config.soft_cap
        return logits if cap is None else cap * torch.tanh(logits / cap)


def _add_product(sum_VE: Tensor, a_VC: Tensor, b_CE: Tensor) -> None:
    """``sum += a @ b``, without a matrix in between where the types allow."""
    if sum_VE.dtype == a_VC.dtype:
        sum_VE.addmm_(a_VC, b_CE)
    else:
        sum_VE += a_VC @ b_CE


def _losses_and_gradients(scores_CV: Tensor, labels_C: Tensor, smoothing: float) -> Tensor:
    """Cross-entropies of scores, which become their gradients in place. Shape: [C]"""
    # Block by block on a CPU, so that each of these passes finds the scores in its cache.
    size = _CACHED_TOKENS if scores_CV.device.type == "cpu" else len(scores_CV)
    losses = []
    for block_CV, labels in zip(scores_CV.split(size), labels_C.split(size), strict=True):
        labels_C1 = labels[:, None]
        log_probs_CV = block_CV.log_softmax(1)
        losses_C = log_probs_CV.gather(1, labels_C1)[:, 0].mul_(smoothing - 1)
        if smoothing:
            losses_C.sub_(log_probs_CV.mean(1), alpha=smoothing)
        losses.append(losses_C)
        torch.exp(log_probs_CV, out=block_CV)
        if smoothing:
            block_CV -= smoothing / block_CV.shape[1]
        block_CV.scatter_add_(1, labels_C1, block_CV.new_full(labels_C1.shape, smoothing - 1))
    return torch.cat(losses)


class _LinearCrossEntropy(torch.autograd.Function):
    """Sum of cross-entropies of ``x @ weight.T + bias``, with gradients computed on the way.

    A chunk's logits are turned into their gradient in place and multiplied out at once, so that
    no more than one chunk's logits ever exist.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x_TE: Tensor,
        weight_VE: Tensor,
        bias_V: Tensor | None,
        labels_T: Tensor,
        weights_T: Tensor | None,
        soft_cap: float | None,
        smoothing: float,
    ) -> Tensor:
        device = x_TE.device.type
        autocast = torch.is_autocast_enabled(device)
        dtype = torch.get_autocast_dtype(device) if autocast else x_TE.dtype
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        w = weight_VE.to(dtype)
        grad_x = torch.empty_like(x_TE) if needs_x else None
        grad_weight = torch.zeros_like(weight_VE, dtype=torch.float32) if needs_weight else None
        grad_bias = None
        if bias_V is not None and needs_bias:
            grad_bias = torch.zeros_like(bias_V, dtype=torch.float32)
        weights_T = None if weights_T is None else weights_T.to(torch.float32)
        total = torch.zeros((), dtype=torch.float32, device=x_TE.device)
        # The same buffers serve all chunks: fresh ones would cost page faults each time.
        rows = min(CHUNK_TOKENS, x_TE.shape[0])
        products = torch.empty(rows, w.shape[0], dtype=dtype, device=x_TE.device)
        grads = products
        if dtype != torch.float32 or soft_cap is not None:
            grads = torch.empty(rows, w.shape[0], dtype=torch.float32, device=x_TE.device)
        with torch.autocast(device, enabled=False):
            for start in range(0, x_TE.shape[0], CHUNK_TOKENS):
                chunk = slice(start, start + CHUNK_TOKENS)
                x_CE, labels_C = x_TE[chunk].to(dtype), labels_T[chunk]
                scores_CV, grad_CV = products[: len(x_CE)], grads[: len(x_CE)]
                torch.mm(x_CE, w.T, out=scores_CV)
                if bias_V is not None:
                    scores_CV += bias_V.to(dtype)
                if soft_cap is not None:
                    torch.tanh(grad_CV.copy_(scores_CV).div_(soft_cap), out=grad_CV)
                    slope_CV = 1 - grad_CV.square()
                    grad_CV.mul_(soft_cap)
                elif grads is not products:
                    grad_CV.copy_(scores_CV)
                losses_C = _losses_and_gradients(grad_CV, labels_C, smoothing)
                total += losses_C.sum() if weights_T is None else losses_C.dot(weights_T[chunk])
                if not (needs_x or needs_weight or needs_bias):
                    continue
                if weights_T is not None:
                    grad_CV.mul_(weights_T[chunk, None])
                if soft_cap is not None:
                    grad_CV.mul_(slope_CV)
                if grad_bias is not None:
                    grad_bias += grad_CV.sum(0)
                if grads is not products:
                    scores_CV.copy_(grad_CV)
                if grad_x is not None:
                    grad_x[chunk] = torch.mm(scores_CV, w)
                if grad_weight is not None:
                    _add_product(grad_weight, scores_CV.T, x_CE)
        # Not as saved tensors: the backward changes them in place, and lets them go.
        ctx.gradients = (grad_x, grad_weight, grad_bias)
        ctx.dtypes = (weight_VE.dtype, None if bias_V is None else bias_V.dtype)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.gradients is None:
            raise RuntimeError(
                "The loss of the head was backpropagated before, which works only once."
            )
        grad_x, grad_weight, grad_bias = ctx.gradients
        ctx.gradients = None
        weight_dtype, bias_dtype = ctx.dtypes
        return (
            None if grad_x is None else grad_x.mul_(grad.to(grad_x.dtype)),
            None if grad_weight is None else grad_weight.mul_(grad).to(weight_dtype),
            None if grad_bias is None else grad_bias.mul_(grad).to(bias_dtype),
            None,
            None,
            None,
            None,
        )
