"""Outputs that a regular expression matches, against Python's own engine."""

import re
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
import torch
from tests.families.test_seq2seq_family import save_marian_tokenizer
from tests.parity.reference import teach
from tests.support.command_line import Finished
from tests.support.tiny import SENTENCES, Checkpoints
from tests.support.tiny_seq2seq import save_seq2seq
from tests.text.tokenizers import KINDS

from warmstart.errors import UsageError
from warmstart.generation.generation_config import Constraints
from warmstart.seq2seq import Seq2Seq

Run = Callable[..., Finished]
Making = Callable[[str], Seq2Seq]
NEVER = float("-inf")
LETTERS = ("word pieces", "word pieces, cleaned up", "byte level", "byte fallback", "unigram")
BYTES = ("byte level", "byte fallback")
# Expressions, and the vocabularies that can write what they match.
EXPRESSIONS = (
    (r"\d{4}-\d{2}-\d{2}", LETTERS),
    (r"yes|no|the cat", tuple(KINDS)),
    (r"[A-Z][a-z]+( [a-z]+)*\.", LETTERS),
    (r"[à-ÿ]+", tuple(KINDS)),
    (r"😀{1,2}|🎉", BYTES),
    (r"\s*a ?b\s*", tuple(KINDS)),
    (r"it's( not)?, .{3}[!?]", LETTERS),
    (r"(?i)the (cat|no)n't", LETTERS),
    (r"\W\w\S\D", LETTERS),
    (r"([^\W\d_]|[ .,'])*", tuple(KINDS)),
    (r".{5,9}", tuple(KINDS)),
)
SEARCHES: tuple[dict[str, object], ...] = (
    {},
    {"batch_size": 1},
    {"num_beams": 4, "num_return_sequences": 2},
    {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 1.0, "num_return_sequences": 4},
    {"do_sample": True, "temperature": 3.0, "top_k": 0, "num_return_sequences": 3},
    {"num_beams": 2, "no_repeat_ngram_size": 1, "repetition_penalty": 2.0},
    {"min_length": 15, "length_penalty": 0.0, "num_beams": 3, "early_stopping": True},
)


@pytest.fixture(scope="module")
def making(checkpoints: Checkpoints, tmp_path_factory: pytest.TempPathFactory) -> Making:
    """Random models whose targets a kind of tokenizer cuts."""
    made: dict[str, Seq2Seq] = {}

    def make(kind: str) -> Seq2Seq:
        if kind not in made:
            folder = tmp_path_factory.mktemp("tokenizer")
            KINDS[kind]().save_pretrained(folder)
            made[kind] = Seq2Seq.warm_start(
                encoder=checkpoints("bert"), decoder=checkpoints("gpt2"), target_vocabulary=folder
            )
            torch.manual_seed(1)
            with torch.no_grad():
                for parameter in made[kind].model.parameters():
                    parameter += 0.2 * torch.randn_like(parameter)
        return made[kind]

    return make


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=() if kind in ("words", "byte level") else pytest.mark.slow)
        for kind in KINDS
    ],
)
def test_every_output_matches_as_a_whole(making: Making, kind: str) -> None:
    model = making(kind)
    for regex in [regex for regex, kinds in EXPRESSIONS if kind in kinds]:
        for changes in SEARCHES:
            found = model.generate_detailed(SENTENCES, regex=regex, max_length=18, **changes)
            for output in [output for outputs in found for output in outputs]:
                if output.score == NEVER:  # the language has fewer texts than there are beams
                    assert output.text == ""
                    continue
                assert re.fullmatch(regex, output.text), (regex, changes, output.text)
                assert not output.at_limit
            assert all(outputs[0].score != NEVER for outputs in found)


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_vocabulary_cannot_write_is_refused(making: Making, kind: str) -> None:
    for regex, kinds in EXPRESSIONS:
        if kind not in kinds:
            with pytest.raises(UsageError, match="the target's vocabulary cannot write any text"):
                making(kind).generate(SENTENCES, regex=regex)


@pytest.mark.parametrize("beams", [1, 12])
@pytest.mark.parametrize("kind", ["words", "word pieces, cleaned up"])
def test_a_finite_language_is_a_list_of_choices(making: Making, kind: str, beams: int) -> None:
    model = making(kind)
    if kind == "words":
        regex = r"(the|no|2024)( (cat|is))?( Mr)?"
        parts = product(("the", "no", "2024"), ("", " cat", " is"), ("", " Mr"))
        choices = ["".join(part) for part in parts]
    else:  # words of more than one piece could be written in other ways
        regex = r"[a-c]( [x-z])?[.!]"
        parts = product("abc", ("", " x", " y", " z"), ".!")
        choices = ["".join(part) for part in parts]
    assert all(re.fullmatch(regex, choice) for choice in choices)
    changes = {"num_beams": beams, "num_return_sequences": min(beams, 5), "max_length": 12}
    expected = model.generate_detailed(SENTENCES, choices=choices, **changes)
    found = model.generate_detailed(SENTENCES, regex=regex, **changes)
    for outputs, others in zip(found, expected, strict=True):
        assert [output.text for output in outputs] == [output.text for output in others]
        scores = [output.score for output in others]
        assert [output.score for output in outputs] == pytest.approx(scores, abs=1e-5)


def test_more_beams_than_texts(making: Making) -> None:
    model = making("words")
    for outputs in model.generate_detailed(
        SENTENCES, regex="yes|no", num_beams=4, num_return_sequences=4
    ):
        assert {output.text for output in outputs[:2]} == {"yes", "no"}
        assert [output.score for output in outputs[2:]] == [NEVER] * 2


def test_outputs_are_led_to_an_end_before_the_limit(making: Making) -> None:
    model = making("byte level")
    for limit in range(6, 14):
        for changes in ({}, {"num_beams": 3}, {"do_sample": True, "seed": limit}):
            regex = r"x(ab|ba)*(z|yyy)"
            outputs = model.generate(SENTENCES, regex=regex, max_length=limit, **changes)
            assert all(re.fullmatch(regex, output) for output in outputs)
    (least,) = model.generate(["a"], regex="[a-z]{4}", max_length=6)
    assert re.fullmatch("[a-z]{4}", least)


def test_a_token_has_to_fit_the_rest(making: Making) -> None:
    """ "ab" and "ba" end the text, but the vocabulary cannot write what "c" would begin."""
    assert set(making("words").generate(SENTENCES, regex="a b|a cat|a dog|c[^a-z]{3}")) <= {
        "a b",
        "a cat",
    }


def test_the_expression_covers_the_prefix(making: Making) -> None:
    model, regex = making("byte level"), r"\d{4}-\d\d( (yes|no))?"
    outputs = model.generate(SENTENCES, prefix=["2024", "", "2024-1", "2024-12"], regex=regex)
    assert all(re.fullmatch(regex, output) for output in outputs)
    assert outputs[0].startswith("2024-")
    assert outputs[2].startswith("2024-1")
    with pytest.raises(UsageError, match="no text that it matches begins with Prefix 1, 'x',"):
        model.generate(SENTENCES, prefix="x", regex=regex)
    with pytest.raises(UsageError, match="Prefix 1, '2024 - 1',"):  # as its tokens read
        making("word pieces").generate(SENTENCES, prefix="2024-1", regex=regex)


def test_other_rules_yield(making: Making) -> None:
    model = making("words")
    tokenizer = model.tokenizers.target
    yes, no, cat = tokenizer.convert_tokens_to_ids(["yes", "no", "cat"])
    try:
        model.constraints = Constraints(bad_words_ids=((no,),))
        assert set(model.generate(SENTENCES, regex="yes|no")) == {"yes"}
        model.constraints = Constraints(bad_words_ids=((no,), (yes,), (cat,)))
        for changes in ({}, {"num_beams": 4}, {"do_sample": True, "num_return_sequences": 3}):
            outputs = model.generate(SENTENCES, regex="(yes|no) (yes|no) cat", **changes)
            assert all(re.fullmatch("(yes|no) (yes|no) cat", output) for output in outputs)
            chosen = model.generate(SENTENCES, choices=["no cat"], **changes)
            assert set(chosen) == {"no cat"}
    finally:
        model.constraints = Constraints()


def test_forced_tokens(making: Making) -> None:
    model = making("words")
    tokenizer = model.tokenizers.target
    yes, start = tokenizer.convert_tokens_to_ids(["yes", "<s>"])
    try:
        for first, expected in ((start, {"no"}), (None, {"no"})):
            model.constraints = Constraints(forced_bos_token_id=first, forced_eos_token_id=2)
            assert set(model.generate(SENTENCES, regex="no", max_length=4)) == expected
        model.constraints = Constraints(forced_bos_token_id=yes)
        with pytest.raises(UsageError, match="begins with the model's forced_bos_token_id"):
            model.generate(SENTENCES, regex="no")
        model.constraints = Constraints(forced_eos_token_id=yes)
        with pytest.raises(UsageError, match="forced_eos_token_id"):
            model.generate(SENTENCES, regex="no")
    finally:
        model.constraints = Constraints()


def test_a_tokenizer_written_in_python(tmp_path: Path) -> None:
    folder = save_seq2seq(tmp_path / "marian", "marian")
    (folder / "tokenizer.json").unlink()
    save_marian_tokenizer(folder)
    model, regex = Seq2Seq.from_pretrained(folder), r"d[aeiou]\w( k\w+)?"
    assert not model.tokenizers.target.is_fast
    for changes in ({}, {"num_beams": 3}, {"do_sample": True}):
        outputs = model.generate(SENTENCES, regex=regex, max_length=20, **changes)
        assert all(re.fullmatch(regex, output) for output in outputs)


def test_outputs_that_begin_with_a_special_token(checkpoints: Checkpoints) -> None:
    """BART's targets begin with <s> behind the start token."""
    model = Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=checkpoints("roberta"))
    start = model.tokenizers.target.convert_tokens_to_ids("<s>")
    model.tokenizers = type(model.tokenizers)(
        model.tokenizers.source, model.tokenizers.target, model.tokenizers.special, (start,)
    )
    for changes in ({}, {"num_beams": 3}, {"prefix": "the"}):
        for (output,) in model.generate_detailed(SENTENCES, regex="the (cat|dog)", **changes):
            assert output.text in ("the cat", "the dog")
            assert output.tokens[0] == start
            assert len(output.tokens) == 4


def test_pieces_of_a_stream_and_drafts(making: Making, caplog: pytest.LogCaptureFixture) -> None:
    for kind in ("byte fallback", "word pieces, cleaned up"):
        model, regex = making(kind), r"[A-Z][a-z ]+('s|n't)?[.!]"
        for changes in ({}, {"do_sample": True, "seed": 3}):
            whole = model.generate(SENTENCES, regex=regex, max_length=20, **changes)
            for text, output in zip(SENTENCES, whole, strict=True):
                pieces = model.stream(text, regex=regex, max_length=20, **changes)
                assert "".join(pieces) == output
    drafted = model.generate(SENTENCES, regex=regex, draft="source", max_length=20)
    assert drafted == model.generate(SENTENCES, regex=regex, max_length=20)
    assert "they ignore which outputs are allowed" in caplog.text


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"regex": ""}, "regex is empty and matches only an empty output"),
        ({"regex": 3}, "regex is 3; give a text"),
        ({"regex": "(a"}, "which is not a regular expression: missing"),
        ({"regex": "a(?=b)"}, "which has a look-around; allowed are characters"),
        ({"regex": r"(a)\1"}, "which has a back-reference"),
        ({"regex": r"a\b"}, r"which has an anchor or \\b inside"),
        ({"regex": "a$b"}, "which has an anchor"),
        ({"regex": "a++"}, "which has a possessive repetition"),
        ({"regex": "(a{0,90}){0,90}"}, "has more than 5000 characters; lower the counts"),
        ({"regex": "(a|b)*a(a|b){30}"}, "grows too fast with the counts of its repetitions"),
        ({"regex": "\ud800"}, "which is not a regular expression"),
        ({"regex": "[3-9]{9}", "max_length": 5}, "whose shortest output has 10 tokens with its"),
        (
            {"regex": "[3-9]{5}", "max_length": 6, "prefix": "33"},
            "shortest output after Prefix 1, '33', has 6 tokens",
        ),
        ({"regex": "a", "choices": ["a"]}, "choices and regex are both given"),
        ({"regex": "a", "long": "chunk"}, "regex is given and long is 'chunk'"),
        ({"regex": " a"}, "outputs have no space around them"),
    ],
)
def test_what_cannot_be(making: Making, given: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        making("byte level").generate(SENTENCES, **given)
    assert "\n" not in str(caught.value)


def test_without_the_library(making: Making, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "outlines_core", None)
    with pytest.raises(UsageError, match=r"pip install 'warmstart\[regex\]'"):
        making("words").generate(SENTENCES, regex="a new one")


def test_on_the_command_line(warmstart: Run, composed: Path, tmp_path: Path) -> None:
    lines = "".join(f"{sentence}\n" for sentence in SENTENCES)
    regex = r"(the|two) (red |blue )?(cat|trees)"
    command = ("generate", composed, "--regex", regex, "--max-length", 9)
    finished = warmstart(*command, stdin=lines)
    assert finished.code == 0, finished.err
    outputs = finished.out.splitlines()
    assert outputs == Seq2Seq.from_pretrained(composed).generate(
        SENTENCES, regex=regex, max_length=9
    )
    assert all(re.fullmatch(regex, output) for output in outputs)
    warmstart("generate", composed, "--regex", "(a", stdin=lines).assert_failed(
        2, "which is not a regular expression"
    )


def test_a_taught_model_is_not_disturbed(checkpoints: Checkpoints) -> None:
    """An expression that all outputs match changes none, if they were written as they are cut."""
    model = Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=checkpoints("bert"))
    teach(model, steps=30)
    for changes in ({"num_beams": 1, "draft": "none"}, {"num_beams": 3}):
        plain = model.generate(SENTENCES, max_length=12, **changes)
        led = model.generate(SENTENCES, max_length=12, regex=r"(\w+( \w+)*)?", **changes)
        ended = model.generate_detailed(SENTENCES, max_length=12, **changes)
        for output, other, (whole, *_) in zip(plain, led, ended, strict=True):
            assert whole.at_limit or output == other
