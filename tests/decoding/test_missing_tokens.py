"""Rows of a vocabulary that stand for no token are never written."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.tiny import Checkpoints, config_of, pretrained, tokenizer_of

from warmstart.seq2seq import Seq2Seq

SEARCHES: list[dict[str, Any]] = [
    {},
    {"num_beams": 3},
    {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5},
    {"do_sample": True},
    {"draft": "source"},
    {"prefix": "the"},
    {"min_length": 8},
]


@pytest.mark.parametrize("options", SEARCHES, ids=str)
@pytest.mark.parametrize("family", ["gpt2", "bert"])
def test_padded_rows(
    options: dict[str, Any], family: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    config, tokenizer = config_of(family), tokenizer_of(family)
    config.vocab_size = len(tokenizer) + 7
    pretrained(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=tmp_path)
    rows = model.model.decoder.embedding.word.weight
    with torch.no_grad():  # as rows that nothing has trained
        rows[len(tokenizer) :] = 50 * torch.randn((7, rows.shape[1]))
    found = model.generate_detailed(["the cat", "a dog sat on"], max_length=12, **options)
    written = [token for outputs in found for output in outputs for token in output.tokens]
    assert written
    assert max(written) < len(tokenizer)
