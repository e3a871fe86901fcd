"""The paper's parameter counts, from the published configurations alone."""

import pytest

from warmstart.composition.compose import plan
from warmstart.composition.composition import Composition
from warmstart.composition.composition_options import Share
from warmstart.composition.half import Source
from warmstart.composition.variants import (
    CHECKPOINTS,
    VARIANTS,
    published_config,
    variant,
    variant_provenance,
)
from warmstart.errors import UsageError

# Rothe et al. (2020), table 1, where its millions can be had to the last digit.
PUBLISHED_TOTALS = {
    "rnd2rnd": 221_140_992,
    "bert2rnd": 221_140_992,
    "rnd2bert": 221_140_992,
    "bert2bert": 221_140_992,
    "bertShare": 136_086_528,
    "robertaShare": 152_421_888,
    "rnd2gpt": 237_861_120,
    "roberta2gpt": 276_861_696,
}
# The same table's totals in millions, for the others.
PUBLISHED_MILLIONS = {"gpt": 125, "bert2gpt": 260}
CROSS_ATTENTION = 28_366_848


class Sizes:
    """Parameters by formula: what a layer is made of, from widths alone."""

    def __init__(self, hidden: int, layers: int) -> None:
        self.hidden, self.layers = hidden, layers

    @property
    def block(self) -> int:
        """Query, key, value and output; up and down; two norms."""
        h = self.hidden
        return 4 * (h * h + h) + (h * 4 * h + 4 * h) + (4 * h * h + h) + 2 * 2 * h

    @property
    def cross(self) -> int:
        """Query, key, value and output with their norm, in every layer."""
        h = self.hidden
        return self.layers * (4 * (h * h + h) + 2 * h)

    def bert(self, vocabulary: int) -> int:
        """Words, 512 positions, 2 types and their norm."""
        return (vocabulary + 512 + 2 + 2) * self.hidden

    def roberta(self) -> int:
        """50,265 words, 514 positions, 1 type and their norm."""
        return (50_265 + 514 + 1 + 2) * self.hidden

    def gpt2(self) -> int:
        """50,257 words and 1,024 positions."""
        return (50_257 + 1_024) * self.hidden

    @property
    def final_norm(self) -> int:
        return 2 * self.hidden

    def total(self, name: str) -> int:
        blocks, bert = self.layers * self.block, self.bert(28_996)
        match name:
            case "rnd2rnd" | "bert2rnd" | "rnd2bert" | "bert2bert":
                return bert + 2 * blocks + self.cross
            case "bertShare":
                return bert + blocks + self.cross
            case "robertaShare":
                return self.roberta() + blocks + self.cross
            case "gpt":
                return self.gpt2() + blocks + self.final_norm
            case "rnd2gpt":
                return self.gpt2() + 2 * blocks + self.cross + self.final_norm
            case "bert2gpt":
                return self.gpt2() + bert + 2 * blocks + self.cross + self.final_norm
            case _:
                assert name == "roberta2gpt"
                return self.gpt2() + self.roberta() + 2 * blocks + self.cross + self.final_norm

    def random(self, name: str) -> int:
        """What no checkpoint gives: cross-attention, and the layers of a random half."""
        halves = {"rnd2rnd": 2, "bert2rnd": 1, "rnd2bert": 1, "rnd2gpt": 1}.get(name, 0)
        embedding = self.bert(28_996) if name == "rnd2rnd" else 0
        cross = 0 if name == "gpt" else self.cross
        return halves * self.layers * self.block + embedding + cross


BASE, LARGE = Sizes(768, 12), Sizes(1024, 24)


@pytest.mark.parametrize("name", [variant.name for variant in VARIANTS])
def test_base_variants(name: str) -> None:
    provenance = variant_provenance(name)
    assert provenance.total == BASE.total(name)
    assert provenance.count("random") == BASE.random(name)
    assert provenance.count("leveraged") == BASE.total(name) - BASE.random(name)
    assert provenance.count("unused") == 0
    if name in PUBLISHED_TOTALS:
        assert provenance.total == PUBLISHED_TOTALS[name]
    else:
        assert provenance.total // 1_000_000 in {
            PUBLISHED_MILLIONS[name],
            PUBLISHED_MILLIONS[name] - 1,  # the paper rounds, up or down
        }


@pytest.mark.parametrize("name", [variant.name for variant in VARIANTS])
def test_large_variants(name: str) -> None:
    provenance = variant_provenance(name, "large")
    assert provenance.total == LARGE.total(name)
    assert provenance.count("random") == LARGE.random(name)


def test_cross_attention_is_all_that_is_new_in_a_warm_start() -> None:
    for name in ("bert2bert", "bertShare", "robertaShare", "bert2gpt", "roberta2gpt"):
        provenance = variant_provenance(name)
        assert provenance.count("random") == CROSS_ATTENTION
        assert provenance.count("random", ["cross-attention"]) == CROSS_ATTENTION


@pytest.mark.parametrize(
    ("checkpoint", "share", "total"),
    [
        ("bert-base-uncased", "none", 247_363_386),
        ("bert-base-uncased", "all", 138_471_738),
        ("bert-base-cased", "none", 245_017_924),
        ("bert-base-cased", "all", 137_298_244),
    ],
)
def test_the_layout_of_hugging_face(checkpoint: str, share: Share, total: int) -> None:
    """Two embeddings, a pooler and BERT's head transform, as the article counts them."""
    config = published_config(checkpoint)
    composition = Composition(encoder=config, decoder=config, share=share, pooler=True)
    source = Source(checkpoint=checkpoint)
    assert plan(composition, source, source).total == total


def test_the_uncased_vocabulary_in_the_papers_layout() -> None:
    config = published_config("bert-base-uncased")
    composition = Composition(encoder=config, decoder=config, share="embeddings", lm_head="tied")
    source = Source(checkpoint="bert-base-uncased")
    assert plan(composition, source, source).total == 222_312_960


def test_sharing_saves_exactly_the_duplicates() -> None:
    saved = variant_provenance("bert2bert").total - variant_provenance("bertShare").total
    assert saved == 12 * BASE.block
    both = variant_provenance("bertShare").count("shared")
    only_embeddings = variant_provenance("bert2bert").count("shared")
    assert both - only_embeddings == saved


def test_every_kind_of_checkpoint_has_its_config() -> None:
    for hub in CHECKPOINTS.values():
        config = published_config(hub.rpartition("/")[2])
        assert {"model_type", "vocab_size"} <= config.keys()


def test_a_wrong_name_gets_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'bertShare'"):
        variant("bertshared")
    assert variant("bertShare").share == "all"
