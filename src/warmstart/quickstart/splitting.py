"""The quickstart's task: sentence splitting, on pairs made by rule from the machine's own text."""

from collections.abc import Sequence
from dataclasses import dataclass

from warmstart.quickstart.corpus import Corpus, Passage
from warmstart.quickstart.rules import DiscoursePair, discourse_pairs
from warmstart.tasks.task import Split, Task, TaskDefinition

__all__ = ["SPLITTING", "SplittingPairs", "pairs_of", "splitting_pairs"]

SPLITTING = TaskDefinition(
    name="splitting",
    description="one sentence to two that say the same",
    max_source_length=128,
    max_target_length=128,
    metrics=("sari", "exact_match", "bleu"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplittingPairs:
    """Pairs to train on, and pairs of other text to evaluate on."""

    train: tuple[DiscoursePair, ...]
    held_out: tuple[DiscoursePair, ...]

    @property
    def task(self) -> Task:
        """The same as a task with a "train" and a "test" split."""
        splits = {
            name: Split(
                definition=SPLITTING,
                name=name,
                examples=tuple(pair.splitting() for pair in pairs),
            )
            for name, pairs in (("train", self.train), ("test", self.held_out))
        }
        return Task(definition=SPLITTING, splits=splits)


def pairs_of(passages: Sequence[Passage], max_words: int) -> tuple[DiscoursePair, ...]:
    """Every pair of some passages, in their order.

    Args:
        passages: Text.
        max_words: Words of the unsplit sentence, the most.
    """
    return tuple(
        pair
        for passage in passages
        for run in passage.runs
        for pair in discourse_pairs(run, max_words)
    )


def splitting_pairs(corpus: Corpus, *, max_words: int, held_out: int) -> SplittingPairs:
    """Pairs of both sides of a corpus.

    Args:
        corpus: Text.
        max_words: Words of the unsplit sentence, the most.
        held_out: Pairs to evaluate on, the most; they are taken evenly from all that there are.
    """
    every = pairs_of(corpus.held_out, max_words)
    count = min(held_out, len(every))
    chosen = tuple(every[index * len(every) // count] for index in range(count))
    return SplittingPairs(train=pairs_of(corpus.train, max_words), held_out=chosen)
