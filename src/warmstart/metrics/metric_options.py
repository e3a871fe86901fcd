"""Options of metrics: how texts are compared. Loads no metric."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from warmstart.errors import UsageError
from warmstart.validation import Flags, Metavar, validate

if TYPE_CHECKING:
    from warmstart.metrics.metric import Metric

__all__ = ["MetricOptions", "SentenceSplit"]

SentenceSplit = Literal["newline", "<q>", "rule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricOptions:
    """Options of metrics; None leaves each metric's own."""

    lowercase: Annotated[bool | None, Flags("--lowercase/--cased")] = None
    """Whether metrics lower-case texts first. Default: each metric's own."""
    tokenize: Annotated[str | None, Metavar("NAME")] = None
    """How metrics split texts: none (at white space), 13a, intl, zh, ja-mecab, ko-mecab, char,
    unicode (words of any script; for ROUGE, too), flores200. Default: the task's, or each metric's
    own."""
    target_language: Annotated[str | None, Metavar("CODE")] = None
    """Language of outputs and references, such as ja: BLEU gets the tokenizer that sacrebleu has
    for it. Default: unknown."""
    stemmer: bool | None = None
    """Whether ROUGE compares stems. Default: it does."""
    split_sentences: SentenceSplit | None = None
    """Where rougeLsum finds sentences: at line breaks, at <q>, or by rule. Default: newline."""
    bertscore_model: Annotated[str | None, Metavar("FOLDER")] = None
    """An encoder for the metric bertscore. Default: none, and no bertscore."""

    def __post_init__(self) -> None:
        validate(self)

    def apply(self, metrics: "Sequence[Metric]") -> "list[Metric]":
        """The metrics with these options, where they have them.

        Raises:
            UsageError: if no metric has an option, or a value is not allowed.
        """
        from warmstart.metrics.tokenization import tokenization_of_language

        given = {
            field.name: getattr(self, field.name)
            for field in fields(MetricOptions)
            if getattr(self, field.name) is not None
        }
        language = given.pop("target_language", None)
        if language is not None and "tokenize" not in given:
            tokenize = tokenization_of_language(language)
            metrics = [
                replace(metric, **{"tokenize": tokenize})  # type: ignore[arg-type]
                if tokenize is not None and metric.has_option("tokenize", tokenize)
                else metric
                for metric in metrics
            ]
        changed = list(metrics)
        for option, value in given.items():
            field = _FIELDS.get(option, option)
            have = [metric.has_option(field, value) for metric in changed]
            if not any(have):
                raise UsageError(
                    f"{', '.join(metric.name for metric in metrics)} has no option {option!r}; "
                    "omit it, or choose a metric that has it."
                )
            change: dict[str, Any] = {field: value}
            changed = [
                replace(metric, **change) if has else metric
                for metric, has in zip(changed, have, strict=True)
            ]
        return changed


_FIELDS: Final = {"bertscore_model": "model"}  # of metrics, where they have another name
