import gzip

import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.scoring import scored
from tests.support.shared_data import shared_data

from warmstart.errors import UsageError
from warmstart.metrics.all_metrics import get_metric
from warmstart.metrics.bleu import Bleu

SENTENCES = st.lists(st.sampled_from(["a", "b", "C", "d,", "e."]), max_size=8).map(" ".join)


def read(name: str) -> list[str]:
    with gzip.open(shared_data("wmt17", name), "rt", encoding="utf-8") as file:
        return file.read().removesuffix("\n").split("\n")


@pytest.mark.parametrize(
    ("system", "expected"),
    [("uedin-nmt.4722", 28.3), ("C-3MA.4959", 22.67), ("online-F.0", 15.45)],
)
def test_published_figures_of_newstest2017(system: str, expected: float) -> None:
    outputs = read(f"newstest2017.{system}.en-de.txt.gz")
    references = [[reference] for reference in read("newstest2017.ref.de.txt.gz")]
    score = scored(Bleu(), outputs, outputs, references)
    assert score.value == pytest.approx(expected, abs=0.01)
    assert score.ci is not None
    assert score.ci[0] < score.value < score.ci[1]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(SENTENCES, SENTENCES, SENTENCES), min_size=1, max_size=5),
    st.sampled_from(["none", "13a"]),
    st.booleans(),
)
def test_equals_sacrebleu(
    examples: list[tuple[str, str, str]], tokenize: str, lowercase: bool
) -> None:
    outputs, first, second = map(list, zip(*examples, strict=True))
    expected = sacrebleu.corpus_bleu(
        outputs, [first, second], tokenize=tokenize, lowercase=lowercase, force=True
    )
    score = scored(
        Bleu(tokenize=tokenize, lowercase=lowercase),
        outputs,
        outputs,
        list(zip(first, second, strict=True)),
    )
    assert score.value == pytest.approx(expected.score, abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(SENTENCES, st.lists(SENTENCES, min_size=1, max_size=3)), min_size=1, max_size=4
    )
)
def test_sentences_are_those_of_sacrebleu(examples: list[tuple[str, list[str]]]) -> None:
    """Also where examples have different numbers of references."""
    outputs, references = map(list, zip(*examples, strict=True))
    expected = [sacrebleu.sentence_bleu(output, texts).score for output, texts in examples]
    score = scored(Bleu(), None, outputs, references, per_example=True)
    assert score.per_example == pytest.approx(expected, abs=1e-9)


def test_the_papers_variant_is_uncased_and_international() -> None:
    outputs, references = ["the “Cat” sat – on 3.5 mats"], [["The “cat” sat – on 3.5 mats !"]]
    expected = sacrebleu.corpus_bleu(
        outputs, [[texts[0] for texts in references]], tokenize="intl", lowercase=True
    )
    score = scored(get_metric("bleu_uncased"), None, outputs, references)
    assert score.value == pytest.approx(expected.score, abs=1e-9)
    assert "case:lc" in score.signature
    assert "tok:intl" in score.signature


def test_signature_is_that_of_sacrebleu() -> None:
    theirs = sacrebleu.metrics.bleu.BLEU(lowercase=True)
    theirs.corpus_score(["a b c d"], [["a b c d"]])
    ours = scored(Bleu(lowercase=True), ["x"], ["a b c d"], [["a b c d"]]).signature
    assert ours == f"bleu|{theirs.get_signature()}"


def test_refuses_an_unknown_tokenization() -> None:
    with pytest.raises(UsageError, match="bleu has no tokenization 'international'"):
        Bleu(tokenize="international")
