"""Gigaword: a headline of an article's first sentence.

Rush et al. (2015), "A Neural Attention Model for Abstractive Sentence Summarization"; settings and
figures from Rothe et al. (2020), "Leveraging Pre-trained Checkpoints for Sequence Generation
Tasks", table 5. The published texts are taken as they are: tokenized, in lower case, with # for
digits and a word such as UNK for rare words. They are parallel text files, train.src.txt and
train.tgt.txt or train.article.txt and train.title.txt.
"""

from typing import Final

from warmstart.data.origin import HubData, Origin
from warmstart.generation.generation_config import GenerationConfig
from warmstart.tasks.summarization import ROUGE, rouge_figures
from warmstart.tasks.task import TaskDefinition

__all__ = ["GIGAWORD"]

GIGAWORD: Final = TaskDefinition(
    name="gigaword",
    description="write the headline of a sentence",
    max_source_length=128,
    max_target_length=32,
    metrics=ROUGE,
    origin=Origin(
        hub=HubData(name="Harvard/gigaword"),
        kinds=("summarization", "pairs"),
        sides=(("src", "tgt"), ("article", "title")),
        subfolders=("org_data", "ggw_data/org_data", "default", "train"),
    ),
    generation=GenerationConfig(max_length=32),
    published={
        "rnd2rnd": rouge_figures(36.94, 18.71, 34.45),
        "bert2rnd": rouge_figures(37.71, 19.26, 35.26),
        "rnd2bert": rouge_figures(37.01, 18.91, 34.51),
        "bert2bert": rouge_figures(38.01, 19.68, 35.58),
        "bertShare": rouge_figures(38.13, 19.81, 35.62),
        "robertaShare": rouge_figures(38.21, 19.70, 35.44),
        "gpt": rouge_figures(36.04, 18.44, 33.67),
        "rnd2gpt": rouge_figures(36.21, 18.39, 33.83),
        "bert2gpt": rouge_figures(36.77, 18.23, 34.24),
        "roberta2gpt": rouge_figures(37.94, 19.21, 35.42),
        "bertShare 24 layers": rouge_figures(38.35, 19.80, 35.66),
        "robertaShare 24 layers": rouge_figures(38.62, 19.78, 35.94),
    },
)
