"""How new cross-attention starts, where it is not random."""

from collections.abc import Mapping

import torch
from torch import Tensor

from warmstart.model.attention import SelfAttention
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.stack import Block

__all__ = ["copies_of_self_attention", "copy_self_attention"]


def copies_of_self_attention(model: EncoderDecoder) -> dict[str, str]:
    """For "copy" and "gated": each tensor of cross-attention, and what it begins equal to.

    Query, key, value and output projections, the query and key norms, and the norm beside them,
    which gives the projections what they were trained on. A layer without that norm (ModernBERT's
    first) has none to copy.
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
    """Makes the copies."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for name, origin in copies.items():
        block = model.decoder.blocks[int(name.split(".")[2])]
        assert isinstance(block, Block)
        parameters[name].copy_(_part(name, parameters[origin], block.self_attention))


def _part(name: str, whole: Tensor, attention: SelfAttention) -> Tensor:
    rows = attention.config.heads * attention.config.head_size
    if ".query." in name:
        return whole[:rows]
    return whole[rows:] if ".key_value." in name else whole
