"""Names of cross-attention for families without it: T5Gemma's."""

from warmstart.checkpoint.rename import Rule

__all__ = ["cross_attention_rules"]


def cross_attention_rules(layer: str) -> tuple[Rule, ...]:
    """Rules for every tensor that a cross-attention sublayer can have.

    Args:
        layer: the family's prefix of a layer's names, with ``{i}``.
    """
    block, theirs = "blocks.{i}.cross_attention", f"{layer}.cross_attn"
    return (
        Rule(f"{theirs}.q_proj", f"{block}.query"),
        Rule((f"{theirs}.k_proj", f"{theirs}.v_proj"), f"{block}.key_value"),
        Rule(f"{theirs}.o_proj", f"{block}.output"),
        Rule(f"{theirs}.q_norm", f"{block}.query_norm"),
        Rule(f"{theirs}.k_norm", f"{block}.key_norm"),
        Rule(f"{layer}.pre_cross_attn_layernorm", f"{block}.norm"),
        Rule(f"{layer}.post_cross_attn_layernorm", f"{block}.output_norm"),
    )
