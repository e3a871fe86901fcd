"""DiscoFuse: two sentences fused into a coherent text, on Wikipedia or on sports articles.

Geva et al. (2019), "DiscoFuse: A Large-Scale Dataset for Discourse-Based Sentence Fusion"; settings
and figures from Rothe et al. (2020), "Leveraging Pre-trained Checkpoints for Sequence Generation
Tasks", table 2 and section 5, which train on the balanced Wikipedia part. 10 and 1 % of the data
are ``fraction=0.1`` and ``fraction=0.01``.

Published as TSV with a header, train_balanced.tsv next to train.tsv and so on, in folders wikipedia
and sports (https://github.com/google-research-datasets/discofuse). The hub has only the files that
are not balanced, so the paper's data is a local copy. The source is both incoherent sentences, the
target the coherent ones: two, or one where the second is empty.
"""

from dataclasses import replace
from typing import Final

from warmstart.data.origin import HubData, Origin
from warmstart.errors import UsageError, did_you_mean
from warmstart.tasks.task import TaskDefinition

__all__ = ["DISCOFUSE"]

_CONFIGS: Final = {"wikipedia": "discofuse-wikipedia", "sports": "discofuse-sport"}

_NOTE: Final = (
    "this is the whole corpus, not the balanced part that published figures are of; that one is in "
    "the archive of https://github.com/google-research-datasets/discofuse"
)


def _figures(exact_match: float, sari: float, sari_10: float, sari_1: float) -> dict[str, float]:
    return {"exact_match": exact_match, "sari": sari, "sari 10%": sari_10, "sari 1%": sari_1}


def _part(name: str) -> TaskDefinition:
    if name not in _CONFIGS:
        raise UsageError(f"DiscoFuse has no part {name!r}; {did_you_mean(name, _CONFIGS)}")
    return replace(
        DISCOFUSE,
        name=f"discofuse/{name}",
        description=f"fuse two sentences, on {name}",
        origin=_origin(name),
        variants=(),
        variant=None,
        published=DISCOFUSE.published if name == "wikipedia" else {},
    )


def _origin(name: str) -> Origin:
    config = _CONFIGS[name]
    return Origin(
        hub=HubData(name="google-research-datasets/discofuse", config=config, note=_NOTE),
        kinds=("fusion", "pairs"),
        subfolders=(f"discofuse_v1/{name}", name, config),
        prefer="balanced",
    )


DISCOFUSE: Final = TaskDefinition(
    name="discofuse",
    description="fuse two sentences into one text, on Wikipedia; or discofuse/sports",
    max_source_length=128,
    max_target_length=128,
    metrics=("exact_match", "sari"),
    origin=_origin("wikipedia"),
    variants=tuple(_CONFIGS),
    variant=_part,
    published={
        "roberta2gpt": _figures(65.6, 89.9, 87.1, 80.3),
        "robertaShare": _figures(65.3, 89.7, 86.9, 81.2),
        "bert2bert": _figures(63.9, 89.3, 86.1, 81.2),
        "bert2rnd": _figures(63.9, 89.3, 86.1, 80.3),
        "bertShare": _figures(63.9, 89.2, 86.0, 80.8),
        "bert2gpt": _figures(61.5, 88.4, 84.1, 70.2),
        "gpt": _figures(60.4, 88.0, 82.9, 74.5),
        "rnd2bert": _figures(60.0, 87.6, 82.1, 72.8),
        "rnd2rnd": _figures(58.3, 86.9, 81.5, 69.3),
        "rnd2gpt": _figures(57.6, 86.5, 81.4, 70.6),
        "robertaShare 24 layers": _figures(66.6, 90.3, 87.7, 81.5),
        "bertShare 24 layers": _figures(65.3, 89.9, 86.6, 81.4),
        "rnd2rnd, embeddings of bert": {"sari": 87.1},
        "rnd2rnd, embeddings of gpt": {"sari": 87.0},
        "bertShare, without the embeddings": {"sari": 87.5},
        "gpt, without the embeddings": {"sari": 77.0},
        "bertShare, the first 10 of 24 layers": {"sari": 88.2},
        "bertShare, layers 9, 10, 13-18, 23, 24 of 24": {"sari": 89.1},
    },
)
