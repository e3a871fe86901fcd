import gzip
from collections import Counter
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.scoring import scored
from tests.support.shared_data import shared_data

from warmstart.metrics.all_metrics import get_metric
from warmstart.metrics.sari_easse import SariEasse

SENTENCES = st.lists(st.sampled_from("abcd"), max_size=8).map(" ".join)
EXAMPLES = st.tuples(SENTENCES, SENTENCES, st.lists(SENTENCES, min_size=1, max_size=3))


def slow_sari(examples: list[tuple[str, str, list[str]]], deletion: str = "f1") -> float:
    """The definition through multisets: every count repeated once for each reference."""
    f1s: list[float] = []
    for order in range(1, 5):

        def grams(text: str, n: int = order) -> list[str]:
            words = text.split()
            return [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]

        add, keep, delete = Counter[str](), Counter[str](), Counter[str]()
        for source, output, references in examples:
            times = len(references)
            source_grams = Counter(grams(source) * times)
            output_grams = Counter(grams(output) * times)
            reference_grams = Counter(gram for text in references for gram in grams(text))
            added = output_grams.keys() - source_grams.keys()
            to_add = reference_grams.keys() - source_grams.keys()
            kept, to_keep = source_grams & output_grams, source_grams & reference_grams
            deleted, to_delete = source_grams - output_grams, source_grams - reference_grams
            add.update(hit=len(added & to_add), out=len(added), ref=len(to_add))
            keep.update(hit=(kept & to_keep).total(), out=kept.total(), ref=to_keep.total())
            delete.update(
                hit=(deleted & to_delete).total(), out=deleted.total(), ref=to_delete.total()
            )
        for counts in (add, keep, delete):
            precision = counts["hit"] / counts["out"] if counts["out"] else 0.0
            recall = counts["hit"] / counts["ref"] if counts["ref"] else 0.0
            both = precision + recall
            f1 = 2 * precision * recall / both if both else 0.0
            f1s.append(precision if counts is delete and deletion == "precision" else f1)
    return 100 * sum(f1s) / 12


def read(name: str) -> list[str]:
    with gzip.open(shared_data("turkcorpus", name), "rt", encoding="utf-8") as file:
        return file.read().removesuffix("\n").split("\n")


@pytest.mark.parametrize(
    ("system", "expected"), [("Dress-Ls", 37.266058818588216), ("Hybrid", 31.39665078989411)]
)
def test_published_figures_on_turkcorpus(system: str, expected: float) -> None:
    # EASSE's `legacy`: nothing lower-cased, and the source not tokenized any further.
    sources = read("test.8turkers.tok.norm.gz")
    outputs = read(f"{system}.tok.low.gz")
    columns = [read(f"test.8turkers.tok.turk.{number}.gz") for number in range(8)]
    references = list(zip(*columns, strict=True))
    score = scored(get_metric("sari_easse_legacy"), sources, outputs, references)
    assert score.value == pytest.approx(expected, abs=1e-9)
    assert "source-tok:none" in score.signature


@pytest.mark.parametrize(
    ("system", "expected"), [("Dress-Ls", 36.73586275692667), ("Hybrid", 31.008109926854227)]
)
def test_published_figures_on_turkcorpus_without_tokenization(system: str, expected: float) -> None:
    # Those of EASSE's own tests, with its tokenizer "plain".
    sources = read("test.8turkers.tok.norm.gz")
    columns = [read(f"test.8turkers.tok.turk.{number}.gz") for number in range(8)]
    references = list(zip(*columns, strict=True))
    metric = SariEasse(lowercase=False, tokenize="none")
    score = scored(metric, sources, read(f"{system}.tok.low.gz"), references)
    assert score.value == pytest.approx(expected, abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(st.lists(EXAMPLES, min_size=1, max_size=3), st.sampled_from(["f1", "precision"]))
def test_equals_the_definition(
    examples: list[tuple[str, str, list[str]]], deletion: Literal["f1", "precision"]
) -> None:
    sources, outputs, references = map(list, zip(*examples, strict=True))
    metric = SariEasse(deletion=deletion)
    score = scored(metric, sources, outputs, references, per_example=True)
    assert score.value == pytest.approx(slow_sari(examples, deletion), abs=1e-9)
    each = [slow_sari([example], deletion) for example in examples]
    assert score.per_example == pytest.approx(each, abs=1e-9)
    of_sentences = scored(replace(metric, level="sentence"), sources, outputs, references)
    assert of_sentences.value == pytest.approx(sum(each) / len(each), abs=1e-9)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(SENTENCES, SENTENCES, SENTENCES), min_size=1, max_size=3))
def test_no_output_beats_the_only_reference(examples: list[tuple[str, str, str]]) -> None:
    sources, outputs, targets = map(list, zip(*examples, strict=True))
    references = [[target] for target in targets]
    best = scored(SariEasse(), sources, targets, references).value
    assert scored(SariEasse(), sources, outputs, references).value <= best + 1e-9


def test_an_output_equal_to_its_reference_reaches_100() -> None:
    sources, targets = ["a b c d e f g h"], ["a b c d x y z w"]
    assert scored(SariEasse(), sources, targets, [targets]).value == pytest.approx(100)


def test_lower_cases_by_default() -> None:
    args = (["A b c d e"], ["a B c d x"], [["A b c d x"]])
    assert scored(SariEasse(), *args).value > scored(SariEasse(lowercase=False), *args).value
