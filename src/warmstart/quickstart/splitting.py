"""The quickstart's task: sentence splitting, on pairs made by rule from the machine's own text."""

from collections.abc import Sequence
from dataclasses import dataclass

from warmstart.data.example import Example
from warmstart.data.splits import TEST, TRAIN
from warmstart.discourse.rule_pair import RulePair
from warmstart.discourse.write_pairs import PairSettings, pairs_of_sentences
from warmstart.quickstart.corpus import Corpus, Passage
from warmstart.tasks.task import Split, Task, TaskDefinition

__all__ = ["SplittingPairs", "splitting_pairs"]

SPLITTING = TaskDefinition(
    name="splitting",
    description="split one sentence into two that say the same",
    max_source_length=128,
    max_target_length=128,
    metrics=("sari", "exact_match", "bleu"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplittingPairs:
    """Pairs to train on, and pairs of other text to evaluate on."""

    train: tuple[RulePair, ...]
    held_out: tuple[RulePair, ...]

    @property
    def task(self) -> Task:
        """A task with these pairs as its "train" and "test" splits."""
        splits: dict[str, Split] = {
            name: Split(
                definition=SPLITTING,
                name=name,
                examples=tuple(Example(pair.fused, (_split_text(pair),)) for pair in pairs),
            )
            for name, pairs in ((TRAIN, self.train), (TEST, self.held_out))
        }
        return Task(definition=SPLITTING, splits=splits)


def _split_text(pair: RulePair) -> str:
    assert pair.split is not None  # as the settings of `pairs_of` ask
    return " ".join(pair.split)


def pairs_of(passages: Sequence[Passage], max_words: int) -> tuple[RulePair, ...]:
    """Every pair of some passages, in their order.

    Args:
        passages: the text.
        max_words: words of the unsplit sentence, at most.
    """
    settings = PairSettings(direction="splitting", max_words=max_words)
    return tuple(
        pair
        for passage in passages
        for run in passage.runs
        for pair in pairs_of_sentences(run, settings)
    )


def splitting_pairs(corpus: Corpus, *, max_words: int, held_out: int) -> SplittingPairs:
    """Pairs of both sides of a corpus.

    Args:
        corpus: the text.
        max_words: words of the unsplit sentence, at most.
        held_out: pairs to evaluate on, at most; they are chosen evenly from all.
    """
    every = pairs_of(corpus.held_out, max_words)
    count = min(held_out, len(every))
    chosen = tuple(every[index * len(every) // count] for index in range(count))
    return SplittingPairs(train=pairs_of(corpus.train, max_words), held_out=chosen)
