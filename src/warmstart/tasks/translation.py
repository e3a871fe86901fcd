"""Translation from any language into any other; `translation/de-en` says which.

With the languages named, columns ``de`` and ``en``, an object ``translation: {de, en}``, and the
files train.de and train.en of a folder are found, in the right direction.
"""

import re
from dataclasses import replace
from typing import Final

from warmstart.data.origin import Origin
from warmstart.errors import UsageError
from warmstart.generation.generation_config import GenerationConfig
from warmstart.metrics.tokenization import tokenization_of_language
from warmstart.tasks.task import TaskDefinition

__all__ = ["TRANSLATION", "language_pair"]


def language_pair(name: str, pair: str) -> tuple[str, str]:
    """The languages of source and target in ``"de-en"``.

    Args:
        name: name of the task, for the error.
        pair: two codes and a hyphen.

    Raises:
        UsageError: if `pair` is malformed, or the languages are the same.
    """
    if not re.fullmatch(r"[a-z]{2,3}(_[A-Za-z]+)?-[a-z]{2,3}(_[A-Za-z]+)?", pair):
        raise UsageError(
            f"{name}/{pair} names no pair of languages; give the source's code, a hyphen and the "
            f"target's: {name}/de-en."
        )
    source, target = pair.split("-")
    if source == target:
        raise UsageError(f"{name}/{pair} goes from {source} to {source}; give two languages.")
    return source, target


def _of_languages(pair: str) -> TaskDefinition:
    source, target = language_pair("translation", pair)
    return replace(
        TRANSLATION,
        name=f"translation/{pair}",
        description=f"translate {source} into {target}",
        origin=replace(TRANSLATION.origin, languages=(source, target)),
        tokenize=tokenization_of_language(target),
        variants=(),
        variant=None,
    )


TRANSLATION: Final = TaskDefinition(
    name="translation",
    description="translate (parallel text files, or columns); translation/de-en names languages",
    max_source_length=128,
    max_target_length=128,
    metrics=("bleu", "chrf"),
    origin=Origin(kinds=("translation", "pairs")),
    variants=("de-en", "en-de"),
    variant=_of_languages,
    # Beam and penalty of Rothe et al. (2020). It gives alpha of Wu et al. (2016), where a beam's
    # score is divided by ((5 + length) / 6) ** alpha; ours is divided by length ** alpha.
    generation=GenerationConfig(num_beams=4, length_penalty=0.6, max_length=128),
)
