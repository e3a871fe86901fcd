"""Rotary angles and turns equal those of transformers' Llama."""

import pytest
import torch
import transformers
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

from warmstart.model.config import Rotary, RotaryScaling
from warmstart.model.position import rotate, rotation

HEAD_SIZE, TOKENS = 16, 3000
CASES: dict[str, tuple[Rotary, dict[str, object]]] = {
    "plain": (
        Rotary(theta=10_000.0, limit=TOKENS),
        {"rope_type": "default", "rope_theta": 10_000.0},
    ),
    "another base": (
        Rotary(theta=500_000.0, limit=TOKENS),
        {"rope_type": "default", "rope_theta": 500_000.0},
    ),
    "linear": (
        Rotary(limit=TOKENS, scaling=RotaryScaling(kind="linear", factor=3.0)),
        {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 3.0},
    ),
    "llama3": (
        Rotary(
            theta=500_000.0,
            limit=TOKENS,
            scaling=RotaryScaling(
                kind="llama3",
                factor=32.0,
                low_frequency_factor=1.0,
                high_frequency_factor=4.0,
                original_limit=512,
            ),
        ),
        {
            "rope_type": "llama3",
            "rope_theta": 500_000.0,
            "factor": 32.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 512,
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_rotation(name: str) -> None:
    ours, theirs = CASES[name]
    config = transformers.LlamaConfig(
        hidden_size=2 * HEAD_SIZE,
        num_attention_heads=2,
        max_position_embeddings=TOKENS,
        rope_parameters=theirs,
    )
    positions = torch.tensor([0, 1, 2, 17, 600, TOKENS - 1])
    torch.manual_seed(0)
    q, k = torch.randn(2, len(positions), 2, HEAD_SIZE)
    cosines, sines = LlamaRotaryEmbedding(config)(q, positions[None])
    their_q, their_k = apply_rotary_pos_emb(
        q.transpose(0, 1)[None], k.transpose(0, 1)[None], cosines, sines
    )
    angles = rotation(ours, HEAD_SIZE, positions, local=False)
    # Angles of thousands of radians are exact to some 1e-4 in float32, whoever computes them.
    torch.testing.assert_close(rotate(q, angles), their_q[0].transpose(0, 1), rtol=0, atol=2e-3)
    torch.testing.assert_close(rotate(k, angles), their_k[0].transpose(0, 1), rtol=0, atol=2e-3)
    near = angles._replace(cosines=angles.cosines[:4], sines=angles.sines[:4])
    torch.testing.assert_close(
        rotate(q[:4], near), their_q[0].transpose(0, 1)[:4], rtol=0, atol=1e-5
    )


def test_products_depend_on_the_distance_alone() -> None:
    torch.manual_seed(0)
    q, k = torch.randn(2, 1, 1, HEAD_SIZE)
    rotary = Rotary(limit=100)

    def product(at_query: int, at_key: int) -> float:
        turned = [
            rotate(x, rotation(rotary, HEAD_SIZE, torch.tensor([place]), local=False))
            for x, place in ((q, at_query), (k, at_key))
        ]
        return (turned[0] * turned[1]).sum().item()

    assert product(5, 2) == pytest.approx(product(60, 57), abs=1e-4)
    assert product(5, 2) != pytest.approx(product(5, 3), abs=1e-2)


def test_local_layers_have_their_own_base_and_no_scaling() -> None:
    scaling = RotaryScaling(kind="linear", factor=8.0)
    both = Rotary(limit=100, scaling=scaling, local_theta=100.0)
    one = Rotary(limit=100, scaling=scaling)
    positions = torch.arange(20)
    local = rotation(both, HEAD_SIZE, positions, local=True)
    expected = rotation(Rotary(theta=100.0, limit=100), HEAD_SIZE, positions, local=False)
    assert torch.equal(local[0], expected[0])
    # Without a base of their own they are as the global ones.
    assert torch.equal(
        rotation(one, HEAD_SIZE, positions, local=True)[1],
        rotation(one, HEAD_SIZE, positions, local=False)[1],
    )


def test_half_precision_is_kept() -> None:
    angles = rotation(Rotary(limit=100), HEAD_SIZE, torch.arange(3), local=False)
    assert angles[0].dtype == torch.float32
    assert rotate(torch.randn(3, 2, HEAD_SIZE).bfloat16(), angles).dtype == torch.bfloat16
