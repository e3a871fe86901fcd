"""Compiled layers: the same gradients as others, and one graph for all batches."""

from dataclasses import replace

import pytest
import torch
from tests.support.tiny import Checkpoints
from tests.training.runs import copying_examples, seq2seq
from torch._dynamo.testing import CompileCounterWithBackend

from warmstart.model.attention import CrossAttention, SelfAttention
from warmstart.seq2seq import Seq2Seq
from warmstart.training.batches import TokenizedExamples, collate, sequences
from warmstart.training.compiled import compiled_layers


@pytest.fixture(scope="module")
def model(checkpoints: Checkpoints) -> Seq2Seq:
    return seq2seq(checkpoints("bert"))


# What torch warns itself of, looking at activations while it compiles.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_gradients_are_equal_and_batches_share_graphs(model: Seq2Seq) -> None:
    torch._dynamo.reset()
    examples = TokenizedExamples(model, copying_examples(60), None, None)
    batches = [collate([examples[i] for i in range(n * n, (n + 1) ** 2)]) for n in range(2, 7)]
    network = model.model.train()
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(module, SelfAttention | CrossAttention):
            module.config = replace(module.config, dropout=0.0)

    def gradients() -> list[list[torch.Tensor]]:
        found = []
        for batch in batches:
            network.zero_grad()
            network(*sequences(batch), batch["labels"]).backward()
            found.append([p.grad.clone() for p in network.parameters() if p.grad is not None])
        return found

    expected = gradients()
    counter = CompileCounterWithBackend("aot_eager")
    with compiled_layers(network, counter):
        found = gradients()
        assert 1 <= counter.frame_count <= 2, "at most one a half"
        network.eval()
        before = counter.frame_count
        model.generate(["the cat sat"])
        assert counter.frame_count == before, "decoding compiles nothing"
    for of_batch, wanted in zip(found, expected, strict=True):
        for gradient, reference in zip(of_batch, wanted, strict=True):
            torch.testing.assert_close(gradient, reference, rtol=1e-5, atol=1e-6)
    assert "forward" not in network.decoder.blocks[0].feed_forward.__dict__
