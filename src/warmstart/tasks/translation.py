"""Translation from any language into any other.

Settings and figures of WMT14 English and German from Rothe et al. (2020), "Leveraging Pre-trained
Checkpoints for Sequence Generation Tasks", table 4. The paper's BLEU is lower-cased
and by TensorFlow's script; sacrebleu's default, which this task takes, is neither.
"""

from typing import Final

from warmstart.data.pairs import read_examples
from warmstart.generation.options import GenerationOptions
from warmstart.tasks.task import TaskDefinition

__all__ = ["TRANSLATION"]


def _figures(
    en_de_2014: float, de_en_2014: float, en_de_2016: float, de_en_2016: float
) -> dict[str, float]:
    return {
        "bleu newstest2014 en-de": en_de_2014,
        "bleu newstest2014 de-en": de_en_2014,
        "bleu newstest2016 en-de": en_de_2016,
        "bleu newstest2016 de-en": de_en_2016,
    }


TRANSLATION: Final = TaskDefinition(
    name="translation",
    description="translate (two parallel text files, or columns of TSV, CSV or JSON Lines)",
    read=read_examples,
    max_source_length=128,
    max_target_length=128,
    metrics=("bleu", "chrf"),
    # Beam and penalty of the paper. It gives alpha of Wu et al. (2016), where a beam's score is
    # divided by ((5 + length) / 6) ** alpha; ours is divided by length ** alpha.
    generation=GenerationOptions(num_beams=4, length_penalty=0.6, max_length=128),
    published={
        "rnd2rnd": _figures(26.0, 29.1, 32.4, 36.7),
        "bert2rnd": _figures(30.1, 32.7, 34.4, 39.6),
        "rnd2bert": _figures(27.2, 30.4, 33.2, 37.5),
        "bert2bert": _figures(30.1, 32.7, 34.6, 39.3),
        "bertShare": _figures(29.6, 32.6, 34.4, 39.6),
        "gpt": _figures(16.4, 21.5, 22.4, 27.7),
        "rnd2gpt": _figures(19.6, 23.2, 24.2, 28.5),
        "bert2gpt": _figures(23.2, 31.4, 28.1, 37.0),
        "bert2rnd, own vocabulary, 12 layers": _figures(30.6, 33.5, 35.1, 40.2),
        "bertShare, own vocabulary, 12 layers": _figures(30.5, 33.6, 35.5, 40.1),
        "bert2rnd, own vocabulary, 24 layers": _figures(31.7, 34.2, 35.6, 41.1),
        "bertShare, own vocabulary, 24 layers": _figures(30.5, 33.8, 35.4, 40.9),
    },
)
