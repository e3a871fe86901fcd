"""WMT14 translation: `wmt14/en-de`, `wmt14/de-en`, and its other languages from and into English.

Bojar et al. (2014), "Findings of the 2014 Workshop on Statistical Machine Translation"; settings
and figures from Rothe et al. (2020), "Leveraging Pre-trained Checkpoints for Sequence Generation
Tasks", table 4. Validation is newstest2013, test newstest2014. The paper's second test set,
newstest2016, is the test split of WMT16: ``data={"test": "hub:wmt/wmt16:de-en"}``. The paper's BLEU
is lower-cased and by TensorFlow's script, so figures are compared with `bleu_uncased`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from warmstart.data.origin import HubData, Origin
from warmstart.errors import UsageError, did_you_mean
from warmstart.tasks.task import TaskDefinition
from warmstart.tasks.translation import TRANSLATION, language_pair

__all__ = ["WMT14"]

_HUB: Final = "wmt/wmt14"
_OTHERS: Final = ("cs", "de", "fr", "hi", "ru")  # languages of WMT14 other than English

# newstest2014 en-de and de-en, newstest2016 en-de and de-en
_BLEU: Final[Mapping[str, tuple[float, float, float, float]]] = {
    "rnd2rnd": (26.0, 29.1, 32.4, 36.7),
    "bert2rnd": (30.1, 32.7, 34.4, 39.6),
    "rnd2bert": (27.2, 30.4, 33.2, 37.5),
    "bert2bert": (30.1, 32.7, 34.6, 39.3),
    "bertShare": (29.6, 32.6, 34.4, 39.6),
    "gpt": (16.4, 21.5, 22.4, 27.7),
    "rnd2gpt": (19.6, 23.2, 24.2, 28.5),
    "bert2gpt": (23.2, 31.4, 28.1, 37.0),
    "bert2rnd, own vocabulary, 12 layers": (30.6, 33.5, 35.1, 40.2),
    "bertShare, own vocabulary, 12 layers": (30.5, 33.6, 35.5, 40.1),
    "bert2rnd, own vocabulary, 24 layers": (31.7, 34.2, 35.6, 41.1),
    "bertShare, own vocabulary, 24 layers": (30.5, 33.8, 35.4, 40.9),
}


def _figures(pair: str) -> dict[str, dict[str, float]]:
    if pair not in ("en-de", "de-en"):
        return {}
    first = ("en-de", "de-en").index(pair)
    return {
        variant: {
            "bleu_uncased newstest2014": bleu[first],
            "bleu_uncased newstest2016": bleu[first + 2],
        }
        for variant, bleu in _BLEU.items()
    }


def _of_languages(pair: str) -> TaskDefinition:
    source, target = language_pair("wmt14", pair)
    other = source if target == "en" else target
    if "en" not in (source, target) or other not in _OTHERS:
        pairs = [pair for other in _OTHERS for pair in (f"en-{other}", f"{other}-en")]
        raise UsageError(
            f"WMT14 has no {pair}; {did_you_mean(pair, pairs)} For data of other languages, "
            f"use translation/{pair}."
        )
    return replace(
        TRANSLATION,
        name=f"wmt14/{pair}",
        description=f"translate {source} into {target}, on WMT14",
        origin=Origin(
            hub=HubData(name=_HUB, config=f"{other}-en"),
            kinds=("translation", "pairs"),
            languages=(source, target),
            subfolders=(f"{other}-en",),
        ),
        metrics=("bleu_uncased", *TRANSLATION.metrics),
        variants=(),
        variant=None,
        published=_figures(pair),
    )


WMT14: Final = replace(
    _of_languages("en-de"),
    name="wmt14",
    description="translate English into German, on WMT14; wmt14/de-en names other languages",
    variants=tuple(pair for other in _OTHERS for pair in (f"en-{other}", f"{other}-en")),
    variant=_of_languages,
)
