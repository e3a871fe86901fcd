"""Initial values of new cross-attention that are not random."""

from collections.abc import Mapping

import torch
from torch import Tensor

from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.stack import Block

__all__ = ["copied_part", "copies_of_self_attention", "copy_self_attention"]


def copies_of_self_attention(model: EncoderDecoder) -> dict[str, str]:
    """For "copy" and "gated": each tensor of cross-attention, and the tensor that it copies.

    Query, key, value and output projections, the query and key norms, and the norm before them,
    which gives the projections the inputs they were trained on. A layer without that norm
    (ModernBERT's first) has none to copy.
    """
    copies = {}
    for layer, block in enumerate(model.decoder.blocks):
        assert isinstance(block, Block) and block.cross_attention is not None
        start = f"decoder.blocks.{layer}"
        own = dict(block.self_attention.named_parameters())
        for name, _ in block.cross_attention.named_parameters():
            module, _, kind = name.rpartition(".")
            origin = f"qkv.{kind}" if module in ("query", "key_value") else name
            if origin in own:
                copies[f"{start}.cross_attention.{name}"] = f"{start}.self_attention.{origin}"
    return copies


@torch.no_grad()
def copy_self_attention(model: EncoderDecoder, copies: Mapping[str, str]) -> None:
    """Copies the tensors, in place."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for name, origin in copies.items():
        parameters[name].copy_(copied_part(name, parameters[origin], parameters[name]))


def copied_part(name: str, origin: Tensor, copy: Tensor) -> Tensor:
    """The part of a tensor of self-attention that cross-attention copies.

    Args:
        name: of the copy.
        origin: of self-attention; it may hold query, key and value rows, in this order.
        copy: has the size of the part.
    """
    return origin[-len(copy) :] if ".key_value." in name else origin[: len(copy)]
