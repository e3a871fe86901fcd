"""What `generate`, in Python and as a command, makes of texts, beginnings, choices and rubbish."""

import inspect
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from itertools import islice
from pathlib import Path

import pytest
import torch
from tests.parity.reference import random_pairs, teach
from tests.support.command_line import Finished
from tests.support.tiny import SENTENCES, Checkpoints
from torch import Tensor

from warmstart.decoding.request import RequestOptions
from warmstart.errors import UsageError
from warmstart.generation.generation_config import Constraints, GenerationConfig
from warmstart.model import attention as attention_module
from warmstart.model.attend import attend_cached, attend_cached_merged, attend_scores
from warmstart.seq2seq import Seq2Seq
from warmstart.validation import field_docs

Run = Callable[..., Finished]
TEXTS = [source for source, _ in random_pairs(seed=1, count=5)]
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def taught(checkpoints: Checkpoints) -> Seq2Seq:
    model = Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=checkpoints("roberta", seed=1))
    teach(model, steps=30)
    return model


# Outputs in detail.


def test_details_agree_with_plain_outputs(taught: Seq2Seq) -> None:
    for changes in (
        {"max_length": 9},
        {"max_length": 9, "num_beams": 3, "num_return_sequences": 2},
        {"max_length": 9, "do_sample": True, "num_return_sequences": 3, "seed": 5},
    ):
        detailed = taught.generate_detailed(TEXTS, batch_size=2, **changes)
        flat = [output for outputs in detailed for output in outputs]
        assert [output.text for output in flat] == taught.generate(TEXTS, **changes)
        first = dict(taught.generate_each(TEXTS, **changes))
        assert [outputs[0].text for outputs in detailed] == [
            first[i][0].text for i in range(len(TEXTS))
        ]
        for output in flat:
            assert len(output.token_scores) == len(output.tokens)
            total = sum(output.token_scores) / len(output.tokens)
            assert output.score == pytest.approx(total, abs=1e-5)
            assert output.at_limit is (taught.tokenizers.special.end not in output.tokens)
            assert output.alignment is None
        for outputs in detailed:
            if not changes.get("do_sample"):
                assert [o.score for o in outputs] == sorted(o.score for o in outputs)[::-1]


def test_texts_of_a_stream(taught: Seq2Seq) -> None:
    texts = [" ".join(SENTENCES[0].split()[: place % 5]) for place in range(70)]
    settings = {"max_length": 6, "batch_size": 1}
    expected = taught.generate(texts, **settings)
    assert taught.generate(iter(texts), **settings) == expected
    detailed = taught.generate_detailed((text for text in texts), prefix="the", **settings)
    assert [of[0].text for of in detailed] == taught.generate(texts, prefix="the", **settings)
    taken: list[str] = []

    def unending() -> Iterator[str]:
        while True:
            taken.append(texts[len(taken) % 70])
            yield taken[-1]

    places = [place for place, _ in islice(taught.generate_each(unending(), **settings), 40)]
    assert sorted(places[:32]) == list(range(32))
    assert len(taken) == 64
    for wrong in (None, 3):
        with pytest.raises(UsageError, match=f"takes a list of texts, not {wrong}"):
            taught.generate(wrong)  # type: ignore[arg-type]
    with pytest.raises(
        UsageError, match="which are not in a list; give a list, or one prefix for all"
    ):
        taught.generate(iter(texts), prefix=["the"] * 70)


def test_samples_differ_by_seed_and_not_by_order(taught: Seq2Seq) -> None:
    sampled = taught.generate(TEXTS, do_sample=True, max_length=9)
    assert taught.generate(TEXTS[::-1], do_sample=True, max_length=9, batch_size=2) == sampled[::-1]
    assert taught.generate(TEXTS, do_sample=True, max_length=9, seed=1) != sampled


# Alignments.


@pytest.mark.parametrize(
    ("decoder", "changes"),
    [
        ("gpt2", {"cross_attention": "merged"}),
        ("llama", {"cross_attention": "merged"}),
        ("llama", {"share": "cross"}),
        ("bert", {"cross_attention": "gated"}),
    ],
)
def test_alignments_are_the_weights_of_the_steps(
    decoder: str,
    changes: dict[str, str],
    checkpoints: Checkpoints,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = Seq2Seq.warm_start(
        encoder=checkpoints("bert"),
        decoder=checkpoints(decoder),
        **changes,  # type: ignore[arg-type]
    )
    text, seen = TEXTS[0], list[Tensor]()
    cached, merged = attend_cached, attend_cached_merged
    length = len(model.encode_sources([text])[0])
    is_merged = changes.get("cross_attention") == "merged"

    def watch(*given: object) -> Tensor:
        if is_merged:
            parts = (given[0], given[4][0], given[5], given[6])  # type: ignore[index]
        else:
            parts = (given[0], given[1], given[3], given[4])
        if parts[1].shape[2] == length and (is_merged or given[-1] is given[4]):  # type: ignore[attr-defined]
            weights = attend_scores(*parts).softmax(-1)  # type: ignore[arg-type]
            seen.append(weights[0].flatten(0, 1).mean(0))
        return merged(*given) if is_merged else cached(*given)  # type: ignore[arg-type]

    name = "attend_cached_merged" if is_merged else "attend_cached"
    monkeypatch.setattr(attention_module, name, watch)
    ((output,),) = model.generate_detailed([text], max_length=6, draft="none", alignments="mean")
    monkeypatch.undo()
    assert output.alignment is not None
    weights = output.alignment.weights
    assert weights.shape == (len(output.tokens), length)
    torch.testing.assert_close(weights.sum(-1), torch.ones(len(output.tokens)))
    layers = len(model.model.decoder.blocks)
    by_step = torch.stack(seen[: layers * len(output.tokens)]).view(-1, layers, length)
    torch.testing.assert_close(weights, by_step.mean(1), rtol=0, atol=1e-5)


def test_words_of_the_source(taught: Seq2Seq) -> None:
    text = "the  cat sat on river"
    ((output,),) = taught.generate_detailed([text], max_length=6, alignments="last")
    aligned = output.alignment
    assert aligned is not None
    assert aligned.source_tokens[1:-1] == ("the", "cat", "sat", "on", "river")
    assert [text[a:b] for a, b in aligned.source_spans[1:-1]] == [*aligned.source_tokens[1:-1]]
    by_hand = [1 + int(row[1:-1].argmax()) for row in aligned.weights]
    assert aligned.places() == by_hand
    assert aligned.words(text) == [
        (token, aligned.source_tokens[place])
        for token, place in zip(aligned.target_tokens, by_hand, strict=True)
    ]


def test_a_decoder_alone_has_no_cross_attention(checkpoints: Checkpoints) -> None:
    model = Seq2Seq.warm_start(encoder=None, decoder=checkpoints("gpt2"))
    assert model.generate_detailed(TEXTS[:1], max_length=4)[0][0].score < 0
    with pytest.raises(UsageError, match="no encoder, so there is no cross-attention"):
        model.generate_detailed(TEXTS, alignments="mean")


# Beginnings and choices.


def test_outputs_begin_with_the_text_that_is_given(taught: Seq2Seq) -> None:
    for beams in (1, 3):
        for output in taught.generate(TEXTS, prefix="the cat", num_beams=beams, max_length=9):
            assert output.startswith("the cat")
    each = ["she", "", "two red", "he was", ""]
    outputs = taught.generate(TEXTS, prefix=each, max_length=9)
    assert all(output.startswith(prefix) for output, prefix in zip(outputs, each, strict=True))
    plain = taught.generate(TEXTS, max_length=9)
    assert [outputs[1], outputs[4]] == [plain[1], plain[4]]


def test_outputs_are_among_the_choices(taught: Seq2Seq) -> None:
    choices = ["the cat sat", "the cat", "she is", "two red trees"]
    for changes in ({}, {"num_beams": 3}, {"do_sample": True}):
        outputs = taught.generate(TEXTS, choices=choices, **changes)
        assert set(outputs) <= set(choices)


def test_a_choice_comes_out_as_it_was_given(taught: Seq2Seq) -> None:
    choices = ["The CAT", "two-red  trees", "3.5%"]  # which this vocabulary cannot write
    for text in TEXTS:
        (output,) = taught.generate([text], choices=choices)
        assert output in choices
        assert list(taught.stream(text, choices=choices)) == [output]
    found = taught.generate_detailed(TEXTS, choices=choices, num_beams=4, num_return_sequences=4)
    for outputs in found:
        assert {output.text for output in outputs} == {*choices, ""}
        assert not any(output.at_limit for output in outputs)


def test_constraints_of_a_call(taught: Seq2Seq) -> None:
    plain = taught.generate_detailed(TEXTS)
    common = plain[0][0].tokens[1]
    forced = Constraints(forced_bos_token_id=common)
    assert all(
        of[0].tokens[0] == common for of in taught.generate_detailed(TEXTS, constraints=forced)
    )
    assert taught.constraints == Constraints()
    banned = taught.generate_detailed(TEXTS, constraints=Constraints(bad_words_ids=[[common]]))
    assert not any(common in of[0].tokens for of in banned)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"prefix": 3}, "prefix is 3; give one text for all, or a list"),
        ({"prefix": ["a"]}, "There are 1 prefixes for 5 texts"),
        (
            {"prefix": "the cat " * 5, "max_length": 9},
            "The prefix has 10 tokens, but max_length is 9",
        ),
        ({"prefix": "the </s>"}, "The prefix contains the end token"),
        ({"prefix": "\ud800"}, "Prefix 1 has the lone surrogate U+D800 at character 1"),
        ({"choices": []}, "choices takes a list"),
        ({"choices": "the cat"}, "choices takes a list"),
        ({"choices": ["the cat sat on"], "max_length": 4}, "Choice 1 has 5 tokens with its end"),
        ({"choices": ["the cat"], "prefix": "the"}, "prefix and choices are both given"),
        ({"choices": ["the </s> cat"]}, "Choice 1 contains the end token"),
        (
            {"choices": ["dog", "the cat", " the  cat"]},
            "as 'the cat', so they are the same output",
        ),
        ({"choices": iter(["the cat"])}, "choices takes a list"),
        (
            {"choices": ["the cat"], "constraints": Constraints(forced_bos_token_id=1)},
            "Choice 1, 'the cat', contradicts the constraint forced_bos_token_id, which is 1",
        ),
        (
            {
                "choices": ["a cat"],
                "constraints": Constraints(forced_eos_token_id=1),
                "max_length": 4,
            },
            "contradicts the constraint forced_eos_token_id",
        ),
        (
            {"constraints": Constraints(bad_words_ids=[[10**7]])},
            "bad_words_ids holds the token 1000",
        ),
        (
            {"prefix": "the \U0001f600"},
            "The prefix has the token <unk>, which is left out of outputs",
        ),
        ({"bad_words_ids": [[3]]}, "give constraints=Constraints(bad_words_ids=...)"),
        ({"max_new_tokens": 3}, "give max_length, which counts the start token"),
        ({"draft_length": 3, "num_beams": 2}, "draft_length is given, but num_beams is 2"),
        ({"max_source_length": 1}, "max_source_length is 1, and every source has 2 special"),
        ({"max_source_length": "9"}, "max_source_length is '9'; give a whole number"),
        ({"batch_size": True}, "batch_size is True; give a whole number"),
        ({"regex": ["a"]}, "regex is ['a']; give a text"),
        ({"temperature": 0.5}, "temperature is given, which only sampling uses"),
        ({"do_sample": True, "num_beams": 2}, "do_sample is set and num_beams is 2"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"long": "chnk"}, "long is 'chnk'; did you mean 'chunk'"),
        ({"long": "chunk", "chunk_overlap": -1}, "chunk_overlap is -1; it must be 0 or more"),
        ({"chunk_overlap": 3}, "chunk_overlap is 3, but long is 'truncate'"),
        ({"options": GenerationConfig()}, "give config=GenerationConfig(...)"),
        ({"config": {"num_beams": 2}}, "config is {'num_beams': 2}; give a GenerationConfig"),
        ({"constraints": [3]}, "constraints is [3]; give Constraints(...)"),
        ({"scores": True}, "scores is given, but the outputs are texts alone"),
        ({"num_return_sequences": 2}, "as many outputs as beams"),
        ({"top_q": 1}, "has no option 'top_q'; did you mean 'top_p'"),
    ],
)
def test_what_cannot_be(taught: Seq2Seq, given: dict[str, object], reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        taught.generate(TEXTS, **given)  # type: ignore[arg-type]
    assert reason in str(caught.value)


def test_every_option_is_documented_once() -> None:
    docs = field_docs(RequestOptions)
    assert list(docs) == [field.name for field in fields(RequestOptions)]
    shown = inspect.signature(Seq2Seq.generate).parameters
    assert list(shown) == ["self", "texts", *docs]


def test_ngrams_of_a_source_of_another_tokenizer(taught: Seq2Seq) -> None:
    """The target's tokenizer cuts the source: ids of one vocabulary mean nothing in another."""
    written = taught.encode_targets(TEXTS)
    found = taught.generate_detailed(TEXTS, max_length=12, encoder_no_repeat_ngram_size=1)
    assert taught.tokenizers.source is not taught.tokenizers.target
    for row, (output,) in zip(written, found, strict=True):
        assert not set(output.tokens) & set(row[:-1])


# Texts of all kinds.

RUBBISH = (
    "",
    "   ",
    "\t",
    "👩‍👩‍👧 the cat 🐈",
    "שלום عليكم the cat",
    "‮the cat‬",
    "cat\x00dog\x1b[31m",
    "the\u2028cat\x85sat",
    "𝕿𝖍𝖊",
    "x" * 100_000,
    "the cat " * 12_500,
)


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_any_text_gets_an_output(family: str, checkpoints: Checkpoints) -> None:
    encoder = None if family == "gpt2" else checkpoints("bert")
    model = Seq2Seq.warm_start(encoder=encoder, decoder=checkpoints(family))
    before = time.process_time()
    outputs = model.generate(RUBBISH, max_length=5, batch_size=4)
    assert time.process_time() - before < 30
    assert len(outputs) == len(RUBBISH)


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["the cat", "a \udfff b"], "Text 2 has the lone surrogate U+DFFF at character 3"),
        (["the cat", None], "Text 2 is None, which is not a text"),
        ("the cat", "takes a list of texts"),
    ],
)
def test_invalid_text(taught: Seq2Seq, texts: Sequence[str], reason: str) -> None:
    for call in (taught.generate, taught.generate_detailed):
        with pytest.raises(UsageError) as caught:
            call(texts)
        assert reason in str(caught.value)


def test_there_are_as_many_lines_out_as_in(warmstart: Run, composed: Path) -> None:
    lines = "\n".join(RUBBISH)
    for arguments in ((), ("--num-beams", 2), ("--do-sample",), ("--prefix", "the cat")):
        finished = warmstart("generate", composed, "--max-length", 6, *arguments, stdin=lines)
        assert finished.code == 0, finished.err
        assert len(finished.out.split("\n")) == len(RUBBISH) + 1
        assert finished.out.startswith("\n\n\n")


def test_options_of_the_command_line(warmstart: Run, composed: Path, tmp_path: Path) -> None:
    model = Seq2Seq.from_pretrained(composed)
    lines = "\n".join(SENTENCES)

    def outputs(*arguments: object) -> list[str]:
        finished = warmstart("generate", composed, "--max-length", 9, *arguments, stdin=lines)
        assert finished.code == 0, finished.err
        return finished.out.splitlines()

    assert outputs(
        "--do-sample", "--temperature", 1.5, "--top-k", 0, "--top-p", 0.9, "--min-p", 0.01,
        "--typical-p", 0.9, "--seed", 7,
    ) == model.generate(
        SENTENCES, max_length=9, do_sample=True, temperature=1.5, top_k=0, top_p=0.9, min_p=0.01,
        typical_p=0.9, seed=7,
    )  # fmt: skip
    assert outputs(
        "--repetition-penalty", 1.5, "--encoder-no-repeat-ngram-size", 2
    ) == model.generate(
        SENTENCES, max_length=9, repetition_penalty=1.5, encoder_no_repeat_ngram_size=2
    )
    assert outputs("--draft", "source", "--draft-length", 3) == outputs("--draft", "none")
    assert outputs("--prefix", "the") == model.generate(SENTENCES, max_length=9, prefix="the")
    (tmp_path / "choices.txt").write_text("the cat\n\nshe is big\n")
    assert set(outputs("--choices", tmp_path / "choices.txt")) <= {"the cat", "she is big"}


def test_wrong_use_of_the_command_line(warmstart: Run, composed: Path, tmp_path: Path) -> None:
    for arguments, words in (
        (("--top-p", 1.5, "--do-sample"), "top_p is 1.5"),
        (("--do-sample", "--num-beams", 3), "do_sample is set and num_beams is 3"),
        (("--seed", 3), "which only sampling uses"),
        (("--draft", "source", "--do-sample"), "draft is 'source' and do_sample is True"),
        (("--draft", "source", "--num-beams", 3), "draft is 'source' and num_beams is 3"),
        (("--draft", "none", "--draft-length", 3), "draft_length is given, but draft is 'none'"),
        (("--min-length", 9, "--max-length", 5), "min_length is 9"),
        (("--max-length", 4, "--prefix", "the cat sat"), "The prefix has 3 tokens"),
    ):
        finished = warmstart("generate", composed, *arguments, stdin="the cat\n")
        finished.assert_failed(2, words)
    missing = tmp_path / "none.txt"
    warmstart("generate", tmp_path / "no model", "--choices", missing).assert_failed(1, "choices")
    invalid = warmstart("generate", composed, stdin=b"the cat\n\xed\xa0\x80\n")
    invalid.assert_failed(1, "standard input, line 2")


def test_a_mark_of_the_byte_order_is_no_text(warmstart: Run, composed: Path) -> None:
    marked = warmstart("generate", composed, stdin=b"\xef\xbb\xbfthe cat\n")
    assert marked.out == warmstart("generate", composed, stdin="the cat\n").out


def test_the_decoding_page(
    composed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (DOCS / "how-to" / "generate.md").read_text(encoding="utf-8")
    code = text.split("```python\n", 1)[1].split("```", 1)[0]
    names: dict[str, object] = {}
    exec(code.replace("out/final", str(composed)), names)
    assert len(names["samples"]) == 6  # type: ignore[arg-type]
    settings = (DOCS / "reference" / "decoding-settings.md").read_text(encoding="utf-8")
    for field in fields(GenerationConfig):
        assert f"| `{field.name}` |" in settings, f"{field.name} is not documented"
    assert math.isfinite(names["best"].score)  # type: ignore[attr-defined]
    streamed = text.split("```python\n", 2)[2].split("```", 1)[0]
    capsys.readouterr()
    exec(streamed, names)
    assert capsys.readouterr().out == names["greedy"][0]  # type: ignore[index]
