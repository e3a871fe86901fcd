import pytest
import torch

from warmstart.generation.topk import argmax, topk


@pytest.mark.parametrize("words", [7, 64, 1000, 3001, 4096])
@pytest.mark.parametrize("kind", ["normal", "ties", "hardly any"])
def test_best_scores_are_the_plain_kernels(words: int, kind: str) -> None:
    scores = torch.randn(9, words, generator=torch.Generator().manual_seed(words))
    if kind == "ties":
        scores = scores.round()
    if kind == "hardly any":  # fewer than asked for, some of them at the end
        scores[:, : words - 3] = float("-inf")
    assert torch.equal(argmax(scores), scores.argmax(-1))
    for count in (1, 2, 7):
        values, places = topk(scores, count)
        assert torch.equal(values, scores.topk(count).values)
        assert torch.equal(values, scores.gather(1, places))
        for row, real in zip(places, ~values.isneginf(), strict=True):
            assert len(set(row[real].tolist())) == int(real.sum())
