"""WikiSplit: one complex sentence into two simpler ones.

Botha et al. (2018), "Learning To Split and Rephrase From Wikipedia Edit History"; settings and
figures from Rothe et al. (2020), "Leveraging Pre-trained Checkpoints for Sequence Generation
Tasks", tables 2 and 3. Published as TSV without a header: the complex sentence, a tab, and the two
with <::::> between them.
"""

from dataclasses import replace
from typing import Final

from warmstart.data.example import Example
from warmstart.data.origin import HubData, Origin
from warmstart.data.recognize import WIKISPLIT_SEPARATOR
from warmstart.tasks.task import TaskDefinition

__all__ = ["WIKISPLIT"]


def _prepare(example: Example) -> Example:
    return replace(example, targets=tuple(map(_join_sentences, example.targets)))


def _join_sentences(target: str) -> str:
    return " ".join(part.strip() for part in target.split(WIKISPLIT_SEPARATOR))


def _figures(exact_match: float, sari: float, bleu: float) -> dict[str, float]:
    return {"exact_match": exact_match, "sari": sari, "bleu": bleu}


WIKISPLIT: Final = TaskDefinition(
    name="wikisplit",
    description="split a complex sentence into two",
    max_source_length=128,
    max_target_length=128,
    metrics=("exact_match", "sari", "bleu"),
    tokenize="none",  # the data is tokenized, and the paper's BLEU takes it as it is
    origin=Origin(
        hub=HubData(name="google-research-datasets/wiki_split"),
        kinds=("splitting", "simplification", "pairs"),
    ),
    prepare=_prepare,
    published={
        "roberta2gpt": _figures(15.1, 63.2, 76.8),
        "robertaShare": _figures(16.1, 63.4, 77.1),
        "bert2bert": _figures(15.6, 63.2, 77.0),
        "bert2rnd": _figures(15.9, 63.1, 76.9),
        "bertShare": _figures(16.3, 63.5, 77.2),
        "bert2gpt": _figures(14.6, 62.4, 76.5),
        "gpt": _figures(14.2, 61.1, 75.8),
        "rnd2bert": _figures(15.2, 61.8, 76.5),
        "rnd2rnd": _figures(14.6, 61.7, 76.3),
        "rnd2gpt": _figures(14.2, 61.3, 76.2),
        "robertaShare 24 layers": _figures(16.4, 63.8, 77.4),
        "bertShare 24 layers": _figures(16.6, 63.7, 77.3),
    },
)
