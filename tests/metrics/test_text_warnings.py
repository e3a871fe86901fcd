"""Texts that a metric cannot measure are reported; texts that it can are not."""

import logging
import sys
from typing import Any

import pytest
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU
from tests.support.scoring import scored

from warmstart.errors import UsageError
from warmstart.evaluation.score import choose_metrics
from warmstart.metrics.all_metrics import get_metric
from warmstart.metrics.metric import Metric
from warmstart.metrics.metric_options import MetricOptions
from warmstart.metrics.system_outputs import SystemOutputs
from warmstart.metrics.tokenization import tokenization_of_language, unicode_words
from warmstart.tasks.all_tasks import get_task_definition

SCRIPTS = {
    "Devanagari": "नेपाल राम्रो छ",
    "Chinese": "猫在坐在垫子上",
    "Japanese": "猫がマットの上に座っている",
    "Thai": "แมวนั่งบนเสื่อ",
    "Korean": "고양이가 매트 위에 앉아 있다",
    "Russian": "привет мир снова",
    "Arabic": "مرحبا بالعالم اليوم",
    "Greek": "καλημέρα κόσμε πάλι",
    "French": "le résumé a été très bon",
}
ENGLISH = "The cat sat on the mat with Zoë. A dog barked, didn't it? They slept."


def changed(metric: str, **options: Any) -> Metric:
    (made,) = MetricOptions(**options).apply([get_metric(metric)])
    return made


def warnings(metric: str, texts: list[str], **options: str) -> list[str]:
    system = SystemOutputs(outputs=texts, references=[[text] for text in texts], sources=texts)
    chosen = changed(metric, **options)
    return list(chosen.warnings(system))


@pytest.mark.parametrize("script", SCRIPTS)
def test_rouge_of_words_outside_a_to_z(script: str) -> None:
    text = SCRIPTS[script]
    (sentence,) = warnings("rouge1", [text])
    assert "--tokenize unicode" in sentence
    assert warnings("rouge1", [text], tokenize="unicode") == []
    for name in ("rouge1", "rouge2", "rougeL"):
        metric = changed(name, tokenize="unicode")
        assert scored(metric, None, [text], [[text]]).value == 100
        assert scored(metric, None, [text], [["x y z"]]).value == 0


def test_rouge_of_english_is_silent() -> None:
    assert warnings("rougeL", [ENGLISH, *[ENGLISH.replace("ë", "e")] * 9]) == []


def test_rouge_of_all_scripts_separates_words_that_rouge_score_does_not() -> None:
    metric = changed("rouge1", tokenize="unicode")
    assert scored(get_metric("rouge1"), None, ["résumé"], [["r sum"]]).value == 100
    assert scored(metric, None, ["résumé"], [["r sum"]]).value == 0


@pytest.mark.parametrize("stemmer", [True, False])
def test_unicode_words_of_ascii_texts_are_those_of_rouge_score(stemmer: bool) -> None:
    output, reference = "Running dogs, they ran_fast; didn't they? 3.5 km", "the dogs run 3 km fast"
    theirs = RougeScorer(["rouge2", "rougeL"], use_stemmer=stemmer).score(reference, output)
    for name in ("rouge2", "rougeL"):
        metric = changed(name, tokenize="unicode", stemmer=stemmer)
        ours = scored(metric, None, [output], [[reference]])
        assert ours.value == pytest.approx(100 * theirs[name].fmeasure)
        assert "tok:unicode" in ours.signature


def test_words_of_scripts_without_spaces_are_characters_with_their_marks() -> None:
    assert unicode_words("abc猫が 12नेपाल") == ["abc", "猫", "が", "12नेपाल"]
    assert unicode_words("ที่นี่") == ["ที่", "นี่"]


@pytest.mark.parametrize(
    ("script", "better"),
    [("Chinese", "zh"), ("Japanese", "ja-mecab"), ("Thai", "char"), ("Korean", "ko-mecab")],
)
@pytest.mark.parametrize("metric", ["bleu", "sari", "sari_easse", "gleu_correction"])
def test_scripts_without_spaces(metric: str, script: str, better: str) -> None:
    (sentence,) = warnings(metric, [SCRIPTS[script]])
    assert f"--tokenize {better}" in sentence
    assert warnings(metric, [SCRIPTS[script]], tokenize=better) == []


@pytest.mark.parametrize("script", ["Devanagari", "Russian", "Arabic", "Greek", "French"])
def test_scripts_with_spaces_are_silent(script: str) -> None:
    assert warnings("bleu", [SCRIPTS[script]] * 30) == []


@pytest.mark.parametrize("code", ["zh", "ja", "ko"])
def test_the_target_language_chooses_sacrebleu_s_tokenizer(code: str) -> None:
    pytest.importorskip({"zh": "sacrebleu", "ja": "MeCab", "ko": "mecab_ko"}[code])
    text = {"zh": SCRIPTS["Chinese"], "ja": SCRIPTS["Japanese"], "ko": SCRIPTS["Korean"]}[code]
    output = text[:-2]
    tokenize = tokenization_of_language(f"{code}-XX")
    assert tokenize is not None
    metric = get_metric("bleu", tokenize=tokenize)
    expected = BLEU(trg_lang=code).corpus_score([output], [[text]]).score
    assert scored(metric, None, [output], [[text]]).value == pytest.approx(expected)
    assert get_task_definition(f"translation/en-{code}").tokenize == tokenize
    assert get_task_definition("translation/en-de").tokenize is None


def test_a_tokenizer_that_is_not_installed_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "MeCab", None)
    monkeypatch.delitem(sys.modules, "sacrebleu.tokenizers.tokenizer_ja_mecab", raising=False)
    with pytest.raises(UsageError, match=r"pip install 'warmstart\[ja\]'"):
        scored(get_metric("bleu", tokenize="ja-mecab"), None, ["猫"], [["猫"]])


def test_a_misspelt_tokenizer_is_refused_by_every_metric() -> None:
    for name in ("bleu", "rougeL"):
        with pytest.raises(UsageError, match="no tokenization 'unicod'"):
            changed(name, tokenize="unicod")


def test_rouge_keeps_its_words_where_a_task_names_a_tokenizer_of_others() -> None:
    assert get_metric("rougeL", tokenize="none") == get_metric("rougeL")


def test_summaries_on_one_line() -> None:
    text = "The cat sat on the mat. A dog barked loudly. They slept."
    other = "A dog barked loudly. They slept. The cat sat on the mat."
    (sentence,) = warnings("rougeLsum", [text] * 3)
    assert "--split-sentences rule" in sentence
    assert warnings("rougeLsum", [text.replace(". ", ".\n")]) == []
    assert warnings("rougeLsum", ["No sentence ends here"]) == []
    assert warnings("rougeL", [text]) == []
    by_rule = changed("rougeLsum", split_sentences="rule")
    assert scored(by_rule, None, [text], [[other]]).value == pytest.approx(100)
    lines = [t.replace(". ", ".\n") for t in (text, other)]
    expected = RougeScorer(["rougeLsum"], use_stemmer=True).score(lines[1][:-9], lines[0])
    got = scored(by_rule, None, [text], [[other[:-9]]])
    assert got.value == pytest.approx(100 * expected["rougeLsum"].fmeasure)
    by_mark = changed("rougeLsum", split_sentences="<q>")
    marked = scored(by_mark, None, [text.replace(". ", ".<q>")], [[other.replace(". ", ".<q>")]])
    assert marked.value == pytest.approx(100)
    assert "sentences:<q>" in marked.signature


def test_tokenized_outputs_as_sacrebleu_finds_them(caplog: pytest.LogCaptureFixture) -> None:
    texts = ["a b c ."] * 100
    assert warnings("bleu", texts[1:]) == []
    (sentence,) = warnings("bleu", texts)
    assert sentence.startswith("100 outputs end in a tokenized period")
    assert warnings("bleu", texts, tokenize="none") == []
    with caplog.at_level(logging.WARNING, logger="sacrebleu"):
        BLEU().corpus_score(texts, [texts])
    assert "tokenized period" in caplog.text


def test_what_needs_a_download_is_not_among_all() -> None:
    system = SystemOutputs(outputs=["a"], references=[["a"]], sources=["a"])
    names = {metric.name for metric in choose_metrics(["all"], system)}
    assert "ter" in names
    assert not {"spbleu", "bertscore"} & names


def test_an_empty_output_is_never_the_better_one() -> None:
    """Smoothing gave an empty output 100 where a sentence has few words."""
    source, reference = "a b c d e", "a b c d f"
    score = scored(
        get_metric("gleu_correction"),
        [source, source],
        ["", "a b c d g"],
        [[reference], [reference]],
        per_example=True,
    )
    assert score.per_example is not None
    assert score.per_example[0] == 0 < score.per_example[1]
