import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.scoring import scored

from warmstart.metrics.all_metrics import get_metric
from warmstart.metrics.gleu_correction import GleuCorrection

SENTENCES = st.lists(st.sampled_from("abc"), max_size=8).map(" ".join)


def counts(source: str, output: str, reference: str) -> list[int]:
    """Lengths, then hits and n-grams of each order, as Napoles et al. define them."""
    row = [len(output.split()), len(reference.split())]
    for order in range(1, 5):

        def grams(text: str, n: int = order) -> Counter[str]:
            words = text.split()
            return Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))

        in_output, in_reference = grams(output), grams(reference)
        uncorrected = Counter(
            {gram: count for gram, count in grams(source).items() if gram not in in_reference}
        )
        hits = (in_output & in_reference).total() - (in_output & uncorrected).total()
        row += [max(hits, 0), in_output.total()]
    return row


def gleu(sums: list[float]) -> float:
    if min(sums) == 0:
        return 0.0
    precisions = [hits / total for hits, total in zip(sums[2::2], sums[3::2], strict=True)]
    penalty = min(0.0, 1 - sums[1] / sums[0])
    return 100 * math.exp(penalty + sum(map(math.log, precisions)) / 4)


@settings(deadline=None, max_examples=80)
@given(st.lists(st.tuples(SENTENCES, SENTENCES, SENTENCES), min_size=1, max_size=4))
def test_equals_the_definition(examples: list[tuple[str, str, str]]) -> None:
    sources, outputs, targets = map(list, zip(*examples, strict=True))
    rows = [counts(*example) for example in examples]
    references = [[target] for target in targets]
    score = scored(GleuCorrection(), sources, outputs, references, per_example=True)
    assert score.value == pytest.approx(gleu([sum(row) for row in zip(*rows, strict=True)]))
    each = [
        # As its program smooths sentences; but nothing in the place of something is worth nothing.
        gleu([count or 1 for count in row]) if row[0] or not row[1] else 0.0
        for row in rows
    ]
    assert score.per_example == pytest.approx([min(value, 100) for value in each])


def test_is_the_mean_over_draws_of_references() -> None:
    """Two ways to the figure: draws, as Napoles et al. (2016), and what they tend to."""
    generator = random.Random(1)
    words = [f"w{i}" for i in range(30)]

    def edited(text: str, share: float) -> str:
        changed = [
            w if generator.random() > share else generator.choice(words) for w in text.split()
        ]
        return " ".join(changed)

    targets = [" ".join(generator.choices(words, k=generator.randint(8, 20))) for _ in range(400)]
    sources = [edited(target, 0.2) for target in targets]
    outputs = [edited(target, 0.1) for target in targets]
    references = [[target, *(edited(target, 0.05) for _ in range(3))] for target in targets]
    rows = [
        [counts(source, output, reference) for reference in of_example]
        for source, output, of_example in zip(sources, outputs, references, strict=True)
    ]
    drawn = []
    for _ in range(300):
        chosen = [generator.choice(of_example) for of_example in rows]
        drawn.append(gleu([sum(row) for row in zip(*chosen, strict=True)]))
    score = scored(GleuCorrection(), sources, outputs, references)
    assert score.value == pytest.approx(sum(drawn) / len(drawn), abs=0.05)


def test_leaving_an_error_costs_more_than_in_bleu() -> None:
    source, target = "he go to the big school today", "he goes to the big school today"
    kept = scored(GleuCorrection(), [source], [source], [[target]]).value
    other = scored(GleuCorrection(), [source], [source.replace("go ", "went ")], [[target]]).value
    assert kept < other < 100
    assert scored(get_metric("bleu"), None, [source], [[target]]).value > kept


def test_its_name_is_not_that_of_another_metric() -> None:
    assert "not Google's" in get_metric("gleu_correction").description
    assert "def:napoles2016" in get_metric("gleu_correction").signature("4")
