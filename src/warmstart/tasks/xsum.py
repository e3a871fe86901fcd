"""XSum: one sentence that says what a news article is about.

Narayan et al. (2018), "Don't Give Me the Details, Just the Summary!"; lengths and figures from
Rothe et al. (2020), "Leveraging Pre-trained Checkpoints for Sequence Generation Tasks", table 5;
decoding, and the figure named "article", from Hugging Face's article "Leveraging Pre-trained
Language Model Checkpoints for Encoder-Decoder Models".
"""

from typing import Final

from warmstart.data.origin import HubData, Origin
from warmstart.generation.generation_config import GenerationConfig
from warmstart.tasks.summarization import ROUGE, rouge_figures
from warmstart.tasks.task import TaskDefinition

__all__ = ["XSUM"]

XSUM: Final = TaskDefinition(
    name="xsum",
    description="say in one sentence what a news article is about",
    max_source_length=512,
    max_target_length=64,
    metrics=ROUGE,
    origin=Origin(
        hub=HubData(name="EdinburghNLP/xsum"),
        kinds=("summarization", "pairs"),
        sides=(("document", "summary"),),
        subfolders=("default",),
    ),
    generation=GenerationConfig(num_beams=4, length_penalty=2.0, max_length=64),
    published={
        "Lead": rouge_figures(16.30, 1.61, 11.95),
        "rnd2rnd": rouge_figures(30.90, 10.23, 24.24),
        "bert2rnd": rouge_figures(38.42, 15.83, 30.80),
        "rnd2bert": rouge_figures(32.44, 11.52, 25.65),
        "bert2bert": rouge_figures(37.53, 15.24, 30.05),
        "bertShare": rouge_figures(38.52, 16.12, 31.13),
        "robertaShare": rouge_figures(39.87, 17.50, 32.37),
        "gpt": rouge_figures(22.21, 4.89, 16.69),
        "rnd2gpt": rouge_figures(28.48, 8.77, 22.30),
        "bert2gpt": rouge_figures(27.79, 8.37, 21.91),
        "roberta2gpt": rouge_figures(19.91, 5.20, 15.88),
        "bertShare 24 layers": rouge_figures(38.93, 16.35, 31.52),
        "robertaShare 24 layers": rouge_figures(41.45, 18.79, 33.90),
        "robertaShare, article": {"rouge2": 16.89},
    },
)
