"""Every metric by name, as `warmstart list metrics` shows them."""

from dataclasses import replace
from typing import Any, Final

from warmstart.errors import UsageError, did_you_mean
from warmstart.metrics.bertscore import BertScore
from warmstart.metrics.bleu import Bleu
from warmstart.metrics.chrf import Chrf
from warmstart.metrics.copy_rate import CopyRate
from warmstart.metrics.errant import Errant
from warmstart.metrics.exact_match import ExactMatch
from warmstart.metrics.gleu_correction import GleuCorrection
from warmstart.metrics.length_limit import LengthLimit
from warmstart.metrics.length_ratio import LengthRatio
from warmstart.metrics.longer_outputs import LongerOutputs
from warmstart.metrics.metric import Metric
from warmstart.metrics.novel_ngrams import NovelNgrams
from warmstart.metrics.repetition_rate import RepetitionRate
from warmstart.metrics.rouge import Rouge
from warmstart.metrics.sari import Sari
from warmstart.metrics.sari_easse import SariEasse
from warmstart.metrics.simplification_ratios import SimplificationRatio
from warmstart.metrics.ter import Ter

__all__ = ["METRICS", "get_metric"]

METRICS: Final[tuple[Metric, ...]] = (
    ExactMatch(),
    Sari(),
    Sari(
        name="sari_deletion_f1",
        description="SARI, tensor2tensor's definition: sentence mean, deletion by F1",
        source="Xu et al. 2016; tensor2tensor, utils/sari_hook.py with beta_for_deletion=1",
        deletion="f1",
    ),
    SariEasse(),
    SariEasse(
        name="sari_easse_legacy",
        description="SARI, EASSE's legacy=True: as sari_easse, but cased, source not tokenized; "
        "TurkCorpus's published figures, on its lower-cased files",
        source="Xu et al. 2016; EASSE (Alva-Manchego et al. 2019), legacy=True",
        lowercase=False,
        legacy=True,
    ),
    SariEasse(
        name="sari_easse_precision",
        description="SARI, EASSE's definition: over the corpus, deletion by precision",
        source="Xu et al. 2016; EASSE (Alva-Manchego et al. 2019), use_f1_for_deletion=False",
        deletion="precision",
    ),
    SariEasse(
        name="sari_easse_sentence",
        description="SARI, EASSE's definition: mean over sentences, deletion by F1",
        source="Xu et al. 2016; EASSE (Alva-Manchego et al. 2019), each sentence a corpus",
        level="sentence",
    ),
    Bleu(),
    Bleu(
        name="bleu_uncased",
        description="BLEU-4 over the corpus; lower-cased, international tokens",
        source="Rothe et al. 2020 on WMT: TensorFlow's compute_bleu, uncased; sacrebleu, intl",
        lowercase=True,
        tokenize="intl",
    ),
    Bleu(
        name="spbleu",
        description="spBLEU: BLEU over the SentencePiece tokens of FLORES-200, for any script",
        source="Goyal et al. 2022, NLLB Team 2022; sacrebleu, tokenize=flores200",
        tokenize="flores200",
        by_name_only=True,
    ),
    Chrf(),
    Chrf(
        name="chrf++",
        description="chrF++ over the corpus: F-score of n-grams of characters and of words",
        source="Popović 2017; sacrebleu (Post 2018), word_order=2",
        word_order=2,
    ),
    Ter(),
    Rouge(name="rouge1", description="ROUGE-1 F1: words in common"),
    Rouge(name="rouge2", description="ROUGE-2 F1: pairs of words in common"),
    Rouge(name="rougeL", description="ROUGE-L F1: longest common subsequence"),
    Rouge(name="rougeLsum", description="ROUGE-Lsum F1: ROUGE-L by lines"),
    GleuCorrection(),
    LengthRatio(),
    SimplificationRatio(
        name="compression_ratio",
        description="characters of outputs in percent of their sources', mean over examples",
        source="EASSE (Alva-Manchego et al. 2019)",
        measure="characters",
    ),
    SimplificationRatio(
        name="sentence_splits",
        description="sentences of outputs in percent of their sources', mean over examples",
        source="EASSE (Alva-Manchego et al. 2019); sentences by rule",
        measure="sentences",
    ),
    LongerOutputs(),
    RepetitionRate(),
    CopyRate(),
    NovelNgrams(
        name="novel_1grams", order=1, description="share of the outputs' words not in their source"
    ),
    *(
        NovelNgrams(
            name=f"novel_{order}grams",
            order=order,
            description=f"share of the outputs' {order}-grams not in their source",
        )
        for order in (2, 3, 4)
    ),
    LengthLimit(),
    BertScore(),
    Errant(),
)


def get_metric(
    name: str,
    *,
    lowercase: bool | None = None,
    tokenize: str | None = None,
    stemmer: bool | None = None,
) -> Metric:
    """The metric of that name.

    Args:
        name: a name in `METRICS`.
        lowercase: whether texts are lower-cased first; None: the metric's own default.
        tokenize: one of `TOKENIZATIONS`; None: the metric's own default.
        stemmer: whether ROUGE compares stems; None: it does. A metric with a fixed casing or
            tokenization (the tokens of ROUGE, chrF and exact match) is unchanged, as its signature
            shows.

    Raises:
        UsageError: if the metric or the tokenization is unknown.
    """
    by_name = {metric.name: metric for metric in METRICS}
    if name not in by_name:
        raise UsageError(f"There is no metric {name!r}; {did_you_mean(name, by_name)}")
    metric = by_name[name]
    asked = {"lowercase": lowercase, "tokenize": tokenize, "stemmer": stemmer}
    changes: dict[str, Any] = {
        option: value
        for option, value in asked.items()
        if value is not None and metric.has_option(option, value)
    }
    return replace(metric, **changes)
