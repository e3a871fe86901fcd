from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmstart.metrics import ngrams
from warmstart.metrics.ngrams import NgramTable, character_tables, word_tables

TEXTS = st.lists(st.text(alphabet="abc", max_size=7), min_size=1, max_size=4)


def counted(blocks: list[list[NgramTable]], order: int) -> list[list[list[int]]]:
    """The counts of all n-grams of each example, in each text, in no order."""
    found = []
    for tables in blocks:
        table = tables[order - 1]
        for example in range(len(table.lengths_ES)):
            counts = table.counts_MS[table.example_M == example]
            found.append(sorted(map(list, counts.tolist())))
    return found


def expected(examples: list[list[str]], order: int) -> list[list[list[int]]]:
    found = []
    for texts in examples:
        grams = [Counter(t[i : i + order] for i in range(len(t) - order + 1)) for t in texts]
        every = {gram for of_text in grams for gram in of_text}
        found.append(sorted([of_text[gram] for of_text in grams] for gram in every))
    return found


@settings(deadline=None, max_examples=80)
@given(st.lists(TEXTS, min_size=1, max_size=5), st.integers(1, 9), st.booleans())
def test_counts_are_those_of_each_text(
    examples: list[list[str]], block: int, few_bits: bool
) -> None:
    """Whatever the block's size, and where n-grams have to be numbered anew to fit a key."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ngrams, "_BLOCK_TOKENS", block)
        if few_bits:
            patch.setattr(ngrams, "_KEY_BITS", 12)
        of_characters = list(character_tables(examples, 4))
        of_words = list(word_tables([[list(text) for text in texts] for texts in examples], 4))
    for order in (1, 2, 3, 4):
        for blocks in (of_characters, of_words):
            slots = max(len(texts) for texts in examples)
            padded = [[*texts, *[""] * (slots - len(texts))] for texts in examples]
            found = [
                [[*row, *[0] * (slots - len(row))] for row in of_example]
                for of_example in counted(blocks, order)
            ]
            assert found == [
                [[*row, *[0] * (slots - len(row))] for row in of_example]
                for of_example in expected(padded, order)
            ]
            totals = np.array(
                [[max(0, len(text) - order + 1) for text in texts] for texts in padded]
            )
            rows = [tables[order - 1].totals_ES for tables in blocks]
            width = [np.pad(row, ((0, 0), (0, slots - row.shape[1]))) for row in rows]
            assert np.array_equal(np.concatenate(width), totals)


def test_sums_by_example_are_zero_where_there_is_no_ngram() -> None:
    (tables,) = word_tables([[["a", "b", "a"]], [[]], [["c"]]], 2)
    assert tables[0].by_example(tables[0].counts_MS[:, 0]).tolist() == [3, 0, 1]
    assert tables[1].by_example(tables[1].counts_MS[:, 0]).tolist() == [2, 0, 0]
    assert tables[1].first == 0
