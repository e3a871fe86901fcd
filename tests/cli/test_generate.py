import gzip
import json
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.command_line import Finished
from tests.support.tiny import SENTENCES

from warmstart.generation.result import Generated
from warmstart.seq2seq import Seq2Seq

if TYPE_CHECKING:
    from tests.support.tiny import Checkpoints

Run = Callable[..., Finished]


def test_one_line_for_each_line_in_order(warmstart: Run, composed: Path) -> None:
    expected = Seq2Seq.from_pretrained(composed).generate(SENTENCES, max_length=8)
    texts = [*SENTENCES[:2], "", "  ", *SENTENCES[2:]]
    finished = warmstart("generate", composed, "--max-length", 8, stdin="\n".join(texts) + "\n")
    assert (finished.code, finished.err) == (0, "")
    assert finished.out.split("\n") == [*expected[:2], "", "", *expected[2:], ""]
    assert any(expected)


def test_decoding_options(warmstart: Run, composed: Path) -> None:
    model = Seq2Seq.from_pretrained(composed)
    expected = model.generate(
        SENTENCES,
        num_beams=3,
        max_length=9,
        min_length=4,
        length_penalty=2.0,
        early_stopping="never",
        no_repeat_ngram_size=2,
    )
    finished = warmstart(
        "generate", composed, "--num-beams", 3, "--max-length", 9, "--min-length", 4,
        "--length-penalty", 2, "--early-stopping", "never", "--no-repeat-ngram-size", 2,
        stdin="\n".join(SENTENCES),
    )  # fmt: skip
    assert finished.out.splitlines() == expected


def test_files_plain_and_gzip(warmstart: Run, composed: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the cat sat\n")
    with gzip.open(tmp_path / "b.txt.gz", "wt") as file:
        file.write("she is big\n\n")
    expected = Seq2Seq.from_pretrained(composed).generate(["the cat sat", "she is big"])
    finished = warmstart("generate", composed, tmp_path / "a.txt", tmp_path / "b.txt.gz")
    assert finished.out.split("\n") == [*expected, "", ""]


def test_more_texts_than_are_held_at_once(warmstart: Run, composed: Path) -> None:
    texts = [SENTENCES[number % 4] for number in range(70)]  # two to a batch: 64 are held
    expected = Seq2Seq.from_pretrained(composed).generate(SENTENCES, max_length=4)
    finished = warmstart(
        "generate", composed, "--batch-size", 2, "--max-length", 4, stdin="\n".join(texts)
    )
    assert finished.out.splitlines() == [expected[number % 4] for number in range(70)]


def test_nothing_in_nothing_out(warmstart: Run, composed: Path, tmp_path: Path) -> None:
    assert warmstart("generate", composed) == Finished(0, "", "")
    assert warmstart("generate", composed, stdin="\n \n") == Finished(0, "\n\n", "")
    (tmp_path / "empty.txt").touch()
    assert warmstart("generate", composed, tmp_path / "empty.txt") == Finished(0, "", "")


def test_line_breaks_in_an_output_become_spaces(
    warmstart: Run, composed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Generated(text="a\nb\r\nc\u2028d", tokens=(), score=0, token_scores=(), at_limit=False)
    monkeypatch.setattr(
        Seq2Seq, "generate_each", lambda self, texts, **options: iter([(0, [found])])
    )
    assert warmstart("generate", composed, stdin="x\n").out == "a b c d\n"


def test_long_sources_are_cut_and_counted(warmstart: Run, composed: Path) -> None:
    texts = ["the cat " * 100, "the cat"]
    finished = warmstart("generate", composed, "--max-length", 4, stdin="\n".join(texts))
    assert finished.code == 0
    assert finished.err == (
        "warning: 1 of 2 sources are longer than the model reads and were truncated (see --long).\n"
    )
    assert len(finished.out.splitlines()) == 2


def test_long_sources_in_pieces_or_refused(warmstart: Run, composed: Path) -> None:
    text = "The cat sat. " * 60
    expected = Seq2Seq.from_pretrained(composed).generate([text], max_length=4, long="chunk")
    options = ["--max-length", 4, "--output-format", "jsonl"]
    finished = warmstart("generate", composed, *options, "--long", "chunk", stdin=f"\n{text}\n")
    rows = [json.loads(line) for line in finished.out.splitlines()]
    assert [row["output"] for row in rows] == ["", *expected]
    assert rows[1]["chunks"] > 1
    assert "1 of 2 sources are longer than the model reads and were decoded in" in finished.err
    finished = warmstart("generate", composed, *options, "--long", "truncate", stdin=text)
    assert json.loads(finished.out)["source_cut"] is True
    finished = warmstart("generate", composed, "--long", "error", stdin=f"a\n\n{text}\n")
    finished.assert_failed(1, "standard input, line 3 has 242 tokens, and the model reads 64")


def test_json_lines(warmstart: Run, composed: Path, tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": 1, "complex": SENTENCES[0], "note": "\U0001f600 é"},
        {"id": 2, "complex": ""},
        {"id": 3, "complex": SENTENCES[1], "note": "half \ud800"},
        {"id": 4, "complex": None},
    ]
    file, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    file.write_text("\n\n".join(map(json.dumps, rows)))
    finished = warmstart("generate", composed, file, "--max-length", 8, "-o", target)
    assert (finished.code, finished.out) == (0, "")
    assert "took the field 'complex' as the source" in finished.err
    lines = target.read_text(encoding="utf-8").split("\n")
    assert lines[1::2] == ["", "", "", ""]
    expected = Seq2Seq.from_pretrained(composed).generate(SENTENCES[:2], max_length=8)
    outputs = [expected[0], "", expected[1], ""]
    assert [json.loads(line) for line in lines[0::2]] == [
        {**row, "output": output, "at_limit": bool(output)}
        for row, output in zip(rows, outputs, strict=True)
    ]


def test_json_lines_with_scores_and_several_outputs(warmstart: Run, composed: Path) -> None:
    found = Seq2Seq.from_pretrained(composed).generate_detailed(
        [SENTENCES[0]], num_beams=3, num_return_sequences=2, max_length=8, alignments="last"
    )[0]
    options = ["--num-beams", 3, "--num-return-sequences", 2, "--max-length", 8, "--scores"]
    finished = warmstart(
        "generate", composed, *options, "--alignments", "last", "--input-format", "jsonl",
        "--source-column", "a + b.c", "--output-column", "ours",
        stdin=json.dumps({"a": "the cat sat", "b": {"c": "on the mat and the dog slept"}}),
    )  # fmt: skip
    row = json.loads(finished.out)
    assert row["ours"] == [output.text for output in found]
    assert row["ours_score"] == pytest.approx([output.score for output in found])
    assert row["ours_alignment"][0] == [
        list(pair) for pair in found[0].alignment.words(SENTENCES[0])
    ]
    assert set(row) == {"a", "b", "ours", "ours_score", "ours_alignment", "ours_at_limit"}


@pytest.mark.parametrize(
    ("line", "options", "words"),
    [
        ("{", [], ["line 2 is not valid JSON"]),
        ("[1]", [], ["line 2 holds a JSON array"]),
        ('{"source": "a", "output": "b"}', [], ["has a field 'output' already", "--output-column"]),
        ('{"source": true}', [], ["line 2: the column 'source' is not text"]),
        ('{"sorce": "a"}', [], ["no column 'source'", "did you mean"]),
        ('{"source": "a \\ud800"}', [], ["half of a surrogate pair"]),
        ('{"x": "a"}', ["--source-column", "y"], ["no column 'y'"]),
    ],
)
def test_json_lines_that_are_not_as_they_should_be(
    warmstart: Run, composed: Path, line: str, options: list[str], words: list[str]
) -> None:
    stdin = '{"source": "", "x": ""}\n' + line
    finished = warmstart("generate", composed, "--input-format", "jsonl", *options, stdin=stdin)
    finished.assert_failed(1, "standard input, line", *words)


def test_a_source_that_has_no_known_name(warmstart: Run, composed: Path) -> None:
    finished = warmstart("generate", composed, "--input-format", "jsonl", stdin='\n{"x": "a"}')
    finished.assert_failed(1, "line 2 has the fields x", "--source-column")


def test_invalid_utf8_is_replaced_and_counted(warmstart: Run, composed: Path) -> None:
    expected = Seq2Seq.from_pretrained(composed).generate(["the \ufffd cat", "a \ufffd b"])
    stdin = b"the \xff cat\r\n\n\xef\xbf\xbd\n"
    finished = warmstart("generate", composed, "--errors", "replace", stdin=stdin)
    assert finished.out.split("\n")[:2] == [expected[0], ""]
    assert finished.err == (
        "warning: 1 of 3 lines contained invalid UTF-8 or lone surrogates, read as U+FFFD.\n"
    )
    options = ["--errors", "replace", "--input-format", "jsonl"]
    finished = warmstart("generate", composed, *options, stdin=b'{"source": "a \\ud800 b"}')
    row = json.loads(finished.out)
    assert (row["source"], row["output"]) == ("a \ud800 b", expected[1])
    assert "1 of 1 lines contained invalid" in finished.err


@pytest.mark.parametrize(
    ("files", "options", "words"),
    [
        (["a.tsv"], [], "has columns, by its name"),
        (["a.txt", "b.jsonl"], [], "give files of one kind"),
        (["a.txt"], ["--scores"], "scores needs the output format jsonl"),
        (["a.txt"], ["--resume"], "resume needs a file to write to"),
        (["a.txt"], ["-o", "a.txt"], "is both input and output"),
        (["a.txt"], ["-o", "b.csv"], "has columns, by its name"),
        (["a.txt"], ["-o", "b.bz2"], "the name of a compressed file that cannot be written"),
        (["a.txt", "c"], ["-o", "c", "--choices", "c"], "c holds the choices"),
        (["a.txt"], ["--max-source-length", 1], "it must be at least 3"),
        ([], ["--do-sample", "--num-beams", 2], "do_sample is set and num_beams is 2"),
        (["a.txt"], ["--chunk-overlap", 3], "long is 'truncate', where nothing overlaps"),
        (["a.txt"], ["--long", "chunk", "--choices", "a.txt"], "choices is given and long"),
        (["a.txt"], ["--prefix", "a", "--choices", "a.txt"], "prefix and choices"),
        (["a.txt"], ["--do-sample", "--num-beams", 2], "do_sample is set and num_beams is 2"),
    ],
)
def test_contradictions_are_named(
    warmstart: Run,
    composed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: list[str],
    options: list[object],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in files:
        Path(name).write_text("{}\n")
    warmstart("generate", composed, *files, *options).assert_failed(2, words)


@pytest.mark.parametrize(("stop", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_stops_a_run_that_then_resumes(
    warmstart: Run,
    composed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop: str,
    code: int,
) -> None:
    source, target = tmp_path / "in.txt", tmp_path / "out.txt"
    source.write_text("".join(f"{SENTENCES[number % 4]}\n" for number in range(80)))
    command = ["generate", composed, source, "-o", target, "--batch-size", 1, "--max-length", 4]
    monkeypatch.setattr(sys, "argv", ["warmstart", *map(str, command)])
    whole = Seq2Seq.generate_each
    calls: list[int] = []

    def stopped(self: Seq2Seq, texts: Sequence[str], **options: object) -> object:
        calls.append(len(texts))
        if sum(calls) == 63:
            signal.raise_signal(signal.Signals[stop])
        return whole(self, texts, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Seq2Seq, "generate_each", stopped)
        finished = warmstart(*command)
    assert finished.code == code
    assert finished.err.startswith(
        "Stopped after 31 lines were written. Continue with: warmstart gen"
    )
    assert finished.err.endswith("--resume\n")
    assert warmstart(*command).code == 1
    finished = warmstart(*command, "--resume")
    assert (finished.code, finished.err) == (0, "continuing after 31 lines\n")
    expected = Seq2Seq.from_pretrained(composed).generate(SENTENCES, max_length=4)
    assert target.read_text().splitlines() == expected * 20
    assert sorted(tmp_path.iterdir()) == [source, target]


def test_a_folder_is_no_input(warmstart: Run, composed: Path, tmp_path: Path) -> None:
    warmstart("generate", composed, tmp_path).assert_failed(1, "is a folder; give the files in it")


def test_strange_texts_keep_their_lines(
    warmstart: Run, checkpoints: "Checkpoints", composed: Path, tmp_path: Path
) -> None:
    texts = [
        "", " \t ", "a\u2028b", "a\u0085b", "\x0b\x0c", "nul \0 nul", "\U0001f468\u200d\U0001f469",
        "שלום עולם", "\u202eabc\u202c", "e\u0301", "\u200b", "\ufeff", "x" * 100_000, "\r", "a\r",
        "[SEP] [CLS] [MASK] </s>", "<|endoftext|>", "last",
    ]  # fmt: skip
    gpt2 = checkpoints("gpt2")
    Seq2Seq.warm_start(encoder=gpt2, decoder=gpt2).save_pretrained(tmp_path / "bytes")
    for model in (composed, tmp_path / "bytes"):
        finished = warmstart("generate", model, "--max-length", 4, stdin="\n".join(texts))
        assert finished.code == 0
        outputs = finished.out.split("\n")
        assert len(outputs) == len(texts) + 1
        assert [outputs[0], outputs[1], outputs[4], outputs[13]] == ["", "", "", ""]
        assert outputs[2].splitlines() in ([], [outputs[2]])


def test_invalid_utf8_is_named_with_its_line(warmstart: Run, composed: Path) -> None:
    finished = warmstart("generate", composed, stdin=b"the cat\n\xff\xfe\n")
    finished.assert_failed(1, "standard input, line 2", "0xff")


def test_a_missing_file_is_reported_before_the_model_is_loaded(
    warmstart: Run, tmp_path: Path
) -> None:
    finished = warmstart("generate", tmp_path / "no model", tmp_path / "no file")
    finished.assert_failed(1, "no file")


def test_a_wrong_setting(warmstart: Run, composed: Path) -> None:
    finished = warmstart("generate", composed, "--num-beams", 0, stdin="the cat\n")
    finished.assert_failed(2, "num_beams is 0")
