"""A decoder alone, with the source as its prefix: transformers' causal model of both in a row."""

from pathlib import Path

import pytest
import torch
import transformers
from tests.parity.reference import random_pairs, teach
from tests.support.searches import first_outputs
from tests.support.tiny import SENTENCES, Checkpoints
from torch import Tensor
from transformers import PreTrainedModel

from warmstart.generation.generation_config import GenerationConfig
from warmstart.model.sequences import Sequences
from warmstart.seq2seq import Seq2Seq

DECODERS = ("gpt2", "bert", "roberta", "bert-generation")


@pytest.mark.parametrize("family", DECODERS)
def test_logits_are_those_of_source_and_target_in_a_row(
    family: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    model = prefix_model(checkpoints(family))
    reference = load(model, tmp_path / "model")
    sources, targets = rows(model)
    with torch.no_grad():
        ours = model.model(Sequences.of(sources), Sequences.of(targets))
        theirs = [
            reference(torch.tensor([source + target])).logits[0, len(source) :]
            for source, target in zip(sources, targets, strict=True)
        ]
    torch.testing.assert_close(ours, torch.cat(theirs), rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", DECODERS)
def test_steps_after_prefixes_of_different_lengths_give_the_same_logits(
    family: str, checkpoints: Checkpoints
) -> None:
    model = prefix_model(checkpoints(family))
    sources, targets = rows(model)
    longest = max(map(len, targets))
    with torch.no_grad():
        at_once = model.model(Sequences.of(sources), Sequences.of(targets))
        cache = model.model.start(Sequences.of(sources), longest)
        steps = [
            model.model.step(torch.tensor([[row[min(at, len(row) - 1)]] for row in targets]), cache)
            for at in range(longest)
        ]
    by_row = torch.cat(steps, dim=1)
    packed = torch.cat([by_row[i, : len(row)] for i, row in enumerate(targets)])
    torch.testing.assert_close(packed, at_once, rtol=0, atol=1e-5)


@pytest.mark.parametrize("beams", [1, 3])
def test_gpt2_writes_what_transformers_writes_after_each_source(
    beams: int, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    model = prefix_model(checkpoints("gpt2"))
    teach(model, steps=60)
    reference = load(model, tmp_path / "model")
    special, longest = model.tokenizers.special, 14
    sources = model.encode_sources([source for source, _ in random_pairs(seed=1, count=6)])
    ours = first_outputs(
        model.model,
        Sequences.of(sources),
        special,
        GenerationConfig(num_beams=beams, max_length=longest, early_stopping="never"),
    )
    for source, output in zip(sources, ours, strict=True):
        prompt = torch.tensor([[*source, special.start]])
        written: Tensor = reference.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=False,
            num_beams=beams,
            max_new_tokens=longest - 1,
            early_stopping="never",
            # The target begins behind the start token, so the penalty counts as ours does.
            eos_token_id=special.end,
            pad_token_id=special.pad,
        )
        new = written[0, prompt.shape[1] :].tolist()
        assert output == (new[: new.index(special.end) + 1] if special.end in new else new)


def prefix_model(folder: Path) -> Seq2Seq:
    model = Seq2Seq.warm_start(encoder=None, decoder=folder)
    model.model.eval()
    return model


def load(model: Seq2Seq, folder: Path) -> PreTrainedModel:
    model.save_pretrained(folder)
    reference: PreTrainedModel = transformers.AutoModelForCausalLM.from_pretrained(folder)
    return reference.eval()


def rows(model: Seq2Seq) -> tuple[list[list[int]], list[list[int]]]:
    start = model.tokenizers.special.start
    targets = model.encode_targets(SENTENCES[::-1])
    return model.encode_sources(SENTENCES), [[start, *target] for target in targets]
