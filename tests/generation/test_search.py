"""Greedy and beam search against all sequences that there are, on a vocabulary of five."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import cache
from itertools import product

import pytest
import torch
from tests.model.stacks import CONFIGS
from tests.support.searches import first_outputs
from torch import nn

from warmstart.generation.beam import beam_search
from warmstart.generation.generation_config import GenerationConfig
from warmstart.generation.greedy import greedy_search
from warmstart.generation.hypothesis import Hypothesis
from warmstart.generation.search import Search
from warmstart.model.config import EncoderDecoderConfig, HeadConfig
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.sequences import Sequences
from warmstart.text.special_tokens import SpecialTokens

WORDS = 5
END = 1
SPECIAL = SpecialTokens(start=0, end=END, pad=2)
ONE_FOR_BOTH = SpecialTokens(start=END, end=END, pad=END)  # as GPT-2's
SOURCES = Sequences.of([[2, 3, 4], [4], [3, 3], [0, 1, 2, 3, 4, 2]])
ROWS = [part.tolist() for part in SOURCES.tokens.split(SOURCES.lengths)]
MOST = WORDS**3  # beams that hold every beginning of three tokens


@cache
def model_of(seed: int, *, prefix: bool = False) -> EncoderDecoder:
    """A model of five words, half taught random pairs: outputs vary and nearly tie."""
    stack = CONFIGS["pre-norm"]
    stack = replace(stack, embedding=replace(stack.embedding, vocabulary=WORDS))
    torch.manual_seed(seed)
    model = EncoderDecoder(
        EncoderDecoderConfig(
            encoder=None if prefix else replace(stack, causal=False),
            decoder=replace(stack, cross_attention=None if prefix else "plain"),
            head=HeadConfig(tied=False, bias=True),
        )
    ).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0.0, 0.3)
    sources = [torch.randint(WORDS, (1 + row % 5,)).tolist() for row in range(16)]
    targets = [[*torch.randint(2, WORDS, (row % 6,)).tolist(), END] for row in range(16)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(30):
        inputs = Sequences.of([[SPECIAL.start, *row[:-1]] for row in targets])
        model(Sequences.of(sources), inputs, Sequences.of(targets).tokens).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


def log_probabilities(
    model: EncoderDecoder, source: list[int], start: int, rows: list[list[int]]
) -> list[float]:
    """Of whole outputs, from a single pass without any cache."""
    with torch.no_grad():
        logits = model(
            Sequences.of([source] * len(rows)), Sequences.of([[start, *row[:-1]] for row in rows])
        )
    written = Sequences.of(rows)
    by_token = logits.double().log_softmax(-1).gather(1, written.tokens[:, None])[:, 0]
    return [part.sum().item() for part in by_token.split(written.lengths)]


def tokens(found: list[list[Hypothesis]]) -> list[list[int]]:
    return [outputs[0].tokens for outputs in found]


def possible(row: list[int], start: int, end: int, options: GenerationConfig) -> bool:
    """Whether an output may be: the rules, told of finished outputs instead of steps."""
    if end in row[:-1]:
        return False
    if row[-1] != end and len(row) + 1 < options.max_length:
        return False
    if row[-1] == end and len(row) < options.min_length:
        return False
    size, whole = options.no_repeat_ngram_size, [start, *row]
    grams = [tuple(whole[at : at + size]) for at in range(len(whole) - size + 1)] if size else []
    return len(grams) == len(set(grams))


def best_of_all(
    model: EncoderDecoder, source: list[int], special: SpecialTokens, options: GenerationConfig
) -> list[int]:
    """The output with the highest score among all that are possible."""
    rows = [
        list(row)
        for length in range(1, options.max_length)
        for row in product(range(WORDS), repeat=length)
        if possible(list(row), special.start, special.end, options)
    ]
    scores = [
        log_probability / len(row) ** options.length_penalty
        for row, log_probability in zip(
            rows, log_probabilities(model, source, special.start, rows), strict=True
        )
    ]
    return rows[scores.index(max(scores))]


@pytest.mark.parametrize("prefix", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        GenerationConfig(max_length=4),
        GenerationConfig(max_length=4, length_penalty=0.0),
        GenerationConfig(max_length=4, length_penalty=3.0),
        GenerationConfig(max_length=4, min_length=3),
        GenerationConfig(max_length=4, no_repeat_ngram_size=1),
        GenerationConfig(max_length=4, no_repeat_ngram_size=2, length_penalty=2.0),
    ],
)
def test_with_enough_beams_the_best_of_all_outputs_is_found(
    options: GenerationConfig, prefix: bool
) -> None:
    for seed, special in ((1, SPECIAL), (2, ONE_FOR_BOTH)):
        model = model_of(seed, prefix=prefix)
        for early in (False, True, "never"):
            settings = replace(options, num_beams=MOST, early_stopping=early)  # type: ignore[arg-type]
            found = first_outputs(model, Sequences.of(ROWS[:2]), special, settings)
            assert found == [best_of_all(model, row, special, options) for row in ROWS[:2]]


@pytest.mark.parametrize("seed", range(6))
def test_one_beam_is_greedy(seed: int) -> None:
    model = model_of(seed)
    for options in (
        GenerationConfig(max_length=9),
        GenerationConfig(max_length=9, early_stopping=True),
        GenerationConfig(max_length=9, min_length=5),
        GenerationConfig(max_length=9, no_repeat_ngram_size=2),
    ):
        search = Search(model=model, special=SPECIAL, config=options)
        assert tokens(beam_search(search, SOURCES)) == tokens(greedy_search(search, SOURCES))


@pytest.mark.parametrize("seed", range(4))
def test_greedy_takes_the_likeliest_token_at_each_step(seed: int) -> None:
    model = model_of(seed)
    search = Search(model=model, special=SPECIAL, config=GenerationConfig(max_length=7))
    found = greedy_search(search, SOURCES)
    for source, output in zip(ROWS, tokens(found), strict=True):
        row: list[int] = []
        while len(row) < 6 and SPECIAL.end not in row:
            with torch.no_grad():
                logits = model(Sequences.of([source]), Sequences.of([[SPECIAL.start, *row]]))
            row.append(int(logits[-1].argmax()))
        assert output == row


@pytest.mark.parametrize("prefix", [False, True])
@pytest.mark.parametrize("beams", [1, 2, 4])
def test_an_output_does_not_depend_on_its_batch(beams: int, prefix: bool) -> None:
    lengths = set()
    for seed in range(5):
        model = model_of(seed, prefix=prefix)
        options = GenerationConfig(num_beams=beams, max_length=9, length_penalty=0.7)
        together = first_outputs(model, SOURCES, SPECIAL, options)
        alone = [first_outputs(model, Sequences.of([row]), SPECIAL, options)[0] for row in ROWS]
        assert together == alone
        lengths |= {*map(len, together)}
    assert len(lengths) > 2


def test_outputs_end_with_the_end_token_or_at_the_limit() -> None:
    for seed in range(5):
        for beams in (1, 3):
            options = GenerationConfig(num_beams=beams, max_length=6)
            for output in first_outputs(model_of(seed), SOURCES, ONE_FOR_BOTH, options):
                assert ONE_FOR_BOTH.end not in output[:-1]
                assert output[-1] == ONE_FOR_BOTH.end or len(output) == 5


@pytest.mark.parametrize("train", [True, False])
def test_search_puts_the_models_mode_back(train: bool) -> None:
    model = deepcopy(model_of(0)).train(train)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.9
    options = GenerationConfig(max_length=6)
    found = first_outputs(model, SOURCES, SPECIAL, options)
    assert model.training is train
    assert all(module.training is train for module in model.modules())
    assert found == first_outputs(model.eval(), SOURCES, SPECIAL, options), "dropout was on"


def test_search_puts_the_models_mode_back_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("in the middle")

    model = deepcopy(model_of(0)).train()
    monkeypatch.setattr(model, "start", fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        first_outputs(model, SOURCES, SPECIAL, GenerationConfig())
    assert model.training


@pytest.mark.parametrize("find", [greedy_search, beam_search])
def test_no_step_is_made_after_the_last_output(
    find: Callable[..., list[list[Hypothesis]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, steps = deepcopy(model_of(3)), 0
    step = model.step

    def counted(*arguments: object) -> object:
        nonlocal steps
        steps += 1
        return step(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(model, "step", counted)
    beams = 1 if find is greedy_search else 2
    options = GenerationConfig(num_beams=beams, max_length=30, early_stopping=True)
    with torch.inference_mode():
        found = find(Search(model=model, special=SPECIAL, config=options), SOURCES)
    if find is greedy_search:
        assert steps == max(map(len, tokens(found)))
    assert steps < 29
