from pathlib import Path

import pytest

from warmstart.errors import OutputError
from warmstart.quickstart.corpus import Corpus
from warmstart.quickstart.run_quickstart import (
    COPY,
    RANDOM_START,
    WARM_START,
    QuickstartConfig,
    QuickstartResult,
    run,
)
from warmstart.quickstart.splitting import splitting_pairs
from warmstart.quickstart.summary import report
from warmstart.seq2seq import Seq2Seq

TINY = QuickstartConfig(
    packages=(), max_words=20, held_out_pairs=6, max_steps=3, warmup_steps=1, batch_size=4
)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> QuickstartResult:
    return run(tmp_path_factory.mktemp("quickstart") / "model", TINY)


@pytest.mark.slow
def test_three_systems_on_the_same_held_out_pairs(result: QuickstartResult) -> None:
    assert [system.name for system in result.systems] == [COPY, RANDOM_START, WARM_START]
    assert len(result.pairs.held_out) == TINY.held_out_pairs
    copied, random, warm = result.systems
    # As the uncased tokenizer writes them.
    assert [text.lower().replace(" ", "") for text in copied.outputs] == [
        pair.fused.lower().replace(" ", "") for pair in result.pairs.held_out
    ]
    for system in result.systems:
        assert list(system.scores) == ["sari", "exact_match", "bleu"]
        assert len(system.outputs) == TINY.held_out_pairs
    assert copied.loss is None
    for system in (random, warm):
        assert system.loss is not None
        assert 0 < system.loss < 20


@pytest.mark.slow
def test_the_warm_start_is_saved_as_it_was_evaluated(result: QuickstartResult) -> None:
    loaded = Seq2Seq.from_pretrained(result.folder, device="cpu")
    sources = [pair.fused for pair in result.pairs.held_out]
    # The evaluation compares texts as the uncased tokenizer decodes them.
    assert tuple(loaded.generate(sources, detokenize="none")) == result.systems[-1].outputs


@pytest.mark.slow
def test_random_start_takes_nothing_from_the_checkpoint(result: QuickstartResult) -> None:
    origins = {entry.origin for entry in result.provenance}
    assert "leveraged" in origins
    new = {entry.part for entry in result.provenance if entry.origin == "random"}
    assert new == {"cross-attention", "head"}  # MiniLM has no head to take


@pytest.mark.slow
def test_report(result: QuickstartResult) -> None:
    text = report(result)
    for system in result.systems:
        assert system.name in text
        assert str(system.scores["sari"]) in text
    assert str(result.folder) in text
    pair = result.pairs.held_out[0]
    assert pair.fused in text
    assert " ".join(pair.split or ()) in text


def test_progress_goes_to_stderr(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "taken"
    folder.mkdir()
    (folder / "notes.txt").write_text("not a model")
    with pytest.raises(OutputError, match="taken"):
        run(folder, TINY)
    assert (folder / "notes.txt").read_text() == "not a model"
    assert capfd.readouterr().out == ""


def test_pairs_of_both_sides_come_from_different_text(stdlib_corpus: Corpus) -> None:
    corpus = stdlib_corpus
    pairs = splitting_pairs(corpus, max_words=40, held_out=500)
    train = set(corpus.train_sentences())
    held_out = set(corpus.held_out_sentences())
    assert len(pairs.train) > 200
    for side, sentences in ((pairs.train, train), (pairs.held_out, held_out)):
        for pair in side:
            assert pair.fused in sentences
    assert not {pair.fused for pair in pairs.train} & {pair.fused for pair in pairs.held_out}
