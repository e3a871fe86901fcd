"""CNN/DailyMail: the highlights of a news article.

Hermann et al. (2015) and See et al. (2017), whose version 3.0.0 is cased and names nobody by a
number; lengths and figures from Rothe et al. (2020), "Leveraging Pre-trained Checkpoints for
Sequence Generation Tasks", table 5; decoding, and the figure named "article", from Hugging Face's
article "Leveraging Pre-trained Language Model Checkpoints for Encoder-Decoder Models". Highlights
are lines; ROUGE-Lsum counts line by line, ROUGE-L does not.
"""

from typing import Final

from warmstart.data.origin import HubData, Origin
from warmstart.generation.generation_config import GenerationConfig
from warmstart.tasks.summarization import ROUGE, rouge_figures
from warmstart.tasks.task import TaskDefinition

__all__ = ["CNN_DAILYMAIL"]

CNN_DAILYMAIL: Final = TaskDefinition(
    name="cnn_dailymail",
    description="write the highlights of a news article",
    max_source_length=512,
    max_target_length=128,
    metrics=(*ROUGE, "rougeLsum"),
    origin=Origin(
        hub=HubData(name="abisee/cnn_dailymail", config="3.0.0"),
        kinds=("summarization", "pairs"),
        sides=(("article", "highlights"),),
        subfolders=("3.0.0",),
    ),
    generation=GenerationConfig(
        num_beams=4,
        min_length=56,
        max_length=142,  # longer than what it is trained on, as the article has it
        no_repeat_ngram_size=3,
        length_penalty=2.0,
        early_stopping=True,
    ),
    published={
        "Lead": rouge_figures(39.60, 17.70, 36.20),
        "rnd2rnd": rouge_figures(35.77, 14.00, 32.96),
        "bert2rnd": rouge_figures(38.74, 17.76, 35.95),
        "rnd2bert": rouge_figures(36.65, 15.55, 33.97),
        "bert2bert": rouge_figures(39.02, 17.84, 36.29),
        "bertShare": rouge_figures(39.09, 18.10, 36.33),
        "robertaShare": rouge_figures(40.10, 18.95, 37.39),
        "gpt": rouge_figures(37.26, 15.83, 34.47),
        "rnd2gpt": rouge_figures(32.08, 8.81, 29.03),
        "bert2gpt": rouge_figures(25.20, 4.96, 22.99),
        "roberta2gpt": rouge_figures(36.35, 14.72, 33.79),
        "bertShare 24 layers": rouge_figures(39.83, 17.69, 37.01),
        "robertaShare 24 layers": rouge_figures(40.31, 18.91, 37.62),
        "bert2bert, article": {"rouge2": 18.22},
    },
)
