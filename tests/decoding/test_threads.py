"""One model in several threads: each gets what it would get alone."""

import json
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from sentencepiece import SentencePieceTrainer
from tests.parity.reference import teach
from tests.support.tiny import WORDS, Checkpoints

from warmstart.model.evaluation_mode import evaluation_mode
from warmstart.seq2seq import Seq2Seq
from warmstart.text.tokenizer_files import load_tokenizer
from warmstart.text.tokenizer_pair import TokenizerPair

THREADS, CALLS = 8, 12


@pytest.fixture(scope="module")
def taught(checkpoints: Checkpoints) -> Seq2Seq:
    model = Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=checkpoints("bert"))
    teach(model, steps=30)
    return model


def texts_of(call: int) -> list[str]:
    """Short ones and ones that are cut, in numbers that differ from call to call."""
    dice = random.Random(call)
    return [" ".join(dice.choices(WORDS, k=dice.choice((3, 9, 90)))) for _ in range(1 + call % 4)]


def detailed(model: Seq2Seq, texts: list[str], **options: Any) -> object:
    return [
        [
            (output.text, output.tokens, output.source_cut, output.alignment
             and (output.alignment.source_spans, output.alignment.weights.tolist()))
            for output in found
        ]
        for found in model.generate_detailed(texts, max_length=8, **options)
    ]  # fmt: skip


# What a caller asks for: of the model, its texts and a number that differs by call.
KINDS: dict[str, Callable[[Seq2Seq, list[str], int], object]] = {
    "limits": lambda model, texts, call: model.generate(
        texts, max_length=8, max_source_length=5 + call % 5
    ),
    "alignments": lambda model, texts, call: detailed(
        model, texts, alignments="mean", max_source_length=5 + call % 5
    ),
    "beams": lambda model, texts, _: model.generate(texts, max_length=8, num_beams=3),
    "chunks": lambda model, texts, call: model.generate(
        texts, max_length=6, long="chunk", max_source_length=20 + call % 5
    ),
    "samples": lambda model, texts, call: model.generate(
        texts, max_length=8, do_sample=True, seed=call
    ),
    "regex": lambda model, texts, call: model.generate(
        texts, max_length=8, regex=f"(the|a) (cat|dog)( sat){{0,{1 + call % 3}}}"
    ),
    "choices": lambda model, texts, _: model.generate(texts, choices=["the cat", "the dog sat"]),
    "drafts": lambda model, texts, _: model.generate(texts, max_length=12, draft="source"),
    "prefix": lambda model, texts, _: model.generate(texts, max_length=8, prefix="the"),
    "stream": lambda model, texts, _: [
        list(model.stream(text, max_length=8, max_source_length=7)) for text in texts
    ],
    "targets": lambda model, texts, call: (
        model.encode_sources(texts, 6 + call % 4), model.encode_targets(texts, 6 + call % 4)
    ),
}  # fmt: skip


def in_threads(ask: Callable[[int], object], calls: int) -> list[object]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(ask, range(calls)))


@pytest.mark.slow
@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_eight_threads_get_what_one_gets(taught: Seq2Seq, training: bool) -> None:
    """All kinds of calls at once, with dropout in the model's own mode."""
    jobs = [(kind, call) for call in range(CALLS) for kind in KINDS]

    def ask(job: int) -> object:
        kind, call = jobs[job]
        return KINDS[kind](taught, texts_of(call), call)

    alone = [ask(job) for job in range(len(jobs))]
    taught.model.train(training)
    try:
        together = in_threads(ask, len(jobs))
        assert taught.model.training == training
        assert all(module.training == training for module in taught.model.modules())
    finally:
        taught.model.eval()
    wrong = {jobs[job] for job in range(len(jobs)) if together[job] != alone[job]}
    assert not wrong
    assert any(len(text.split()) > 64 for call in range(CALLS) for text in texts_of(call)), "cut"


@pytest.mark.parametrize(("encoder", "decoder"), [("roberta", "gpt2"), ("bert", "llama")])
def test_cut_sources_of_other_tokenizers(
    encoder: str, decoder: str, checkpoints: Checkpoints
) -> None:
    model = Seq2Seq.warm_start(encoder=checkpoints(encoder), decoder=checkpoints(decoder))
    same_in_threads(model.tokenizers)


def test_a_tokenizer_in_python_whose_targets_are_of_another_language(tmp_path: Path) -> None:
    """Marian's switches to the target's SentencePiece model and back in each call."""
    pieces: dict[str, int] = {"</s>": 0, "<unk>": 1}
    for side, letters in (("source", "abcd"), ("target", "acbd")):
        texts = [f"{x}{y}{x} {y}{x}{z}" for x in letters for y in letters for z in letters[:2]]
        SentencePieceTrainer.train(  # type: ignore[attr-defined]
            sentence_iterator=iter(texts if side == "source" else [text * 3 for text in texts]),
            model_prefix=str(tmp_path / side),
            vocab_size=14 if side == "source" else 20,
            minloglevel=2,
        )
        (tmp_path / f"{side}.model").rename(tmp_path / f"{side}.spm")
        for line in (tmp_path / f"{side}.vocab").read_text().splitlines():
            pieces.setdefault(line.split("\t")[0], len(pieces))
    pieces["<pad>"] = len(pieces)
    (tmp_path / "vocab.json").write_text(json.dumps(pieces))
    settings = {"tokenizer_class": "MarianTokenizer", "source_lang": "en", "target_lang": "de"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "marian"}))
    tokenizer = load_tokenizer(tmp_path, "the tokenizer")
    assert not tokenizer.is_fast
    same_in_threads(TokenizerPair.of(tokenizer, tokenizer, {"decoder_start_token_id": 0}))


def same_in_threads(tokenizers: TokenizerPair) -> None:
    def ask(call: int) -> object:
        texts = [*texts_of(call), "abab cbda " * (call % 7)]
        return (
            tokenizers.encode_sources(texts, 4 + call % 5),
            tokenizers.encode_targets(texts, 4 + call % 5),
            tokenizers.count_sources(texts),
        )

    alone = [ask(call) for call in range(200)]
    assert in_threads(ask, 200) == alone


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_rounded_weights(taught: Seq2Seq, dtype: Any, tmp_path: Path) -> None:
    taught.save_pretrained(tmp_path / "model")
    loaded = Seq2Seq.from_pretrained(tmp_path / "model", dtype=dtype)

    def ask(call: int) -> object:
        return loaded.generate(texts_of(call), max_length=8, max_source_length=5 + call % 5)

    alone = [ask(call) for call in range(40)]
    assert in_threads(ask, 40) == alone


def test_the_last_to_leave_puts_the_mode_back() -> None:
    model = torch.nn.Sequential(torch.nn.Dropout(0.5))
    first, second = evaluation_mode(model), evaluation_mode(model)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not any(module.training for module in model.modules())
    second.__exit__(None, None, None)
    assert all(module.training for module in model.modules())
    with pytest.raises(KeyError), evaluation_mode(model):
        raise KeyError
    assert all(module.training for module in model.modules())
