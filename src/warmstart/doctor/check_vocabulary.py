"""Does every token of a tokenizer have a row in its embedding?"""

from collections.abc import Iterator

from transformers import PreTrainedTokenizerBase

from warmstart.doctor.finding import Check, Complaint, Verdict, judge
from warmstart.doctor.subject import Side, Subject
from warmstart.text.tokenizer_pair import tokens_beyond

__all__ = ["VOCABULARY"]

_FEWEST = 0.9  # of the rows: embeddings are padded to round numbers, but not by a tenth


def _run(subject: Subject) -> Verdict:
    sides = [side for side in subject.sides if side.tokenizer is not None]
    if not sides:
        return Verdict(status="skipped", what="There is no tokenizer to compare with.")
    figures: dict[str, int] = {}
    complaints = list(_exchanged(subject.sides))
    for side in sides:
        assert side.tokenizer is not None
        figures[f"{side.name}_tokens"] = len(side.tokenizer)
        figures[f"{side.name}_largest_id"] = _largest(side.tokenizer)
        figures[f"{side.name}_rows"] = side.rows
        complaints += _of_side(side, side.tokenizer)
    fine = "; ".join(
        f"{side.name}: {figures[f'{side.name}_tokens']} tokens, the largest id "
        f"{figures[f'{side.name}_largest_id']}, {side.rows} rows"
        for side in sides
    )
    return judge(complaints, fine=f"{fine}.", figures=figures)


def _of_side(side: Side, tokenizer: PreTrainedTokenizerBase) -> Iterator[Complaint]:
    tokens, largest = len(tokenizer), _largest(tokenizer)
    beyond = tokens_beyond(tokenizer, side.rows)
    if beyond and all(special for _, special in beyond.values()):
        names = ", ".join(text for text, _ in beyond.values())
        yield Complaint(
            status="warning",
            what=f"The {side.name} tokenizer has special tokens without a row of the embedding: "
            f"{names}.",
            remedy="None is needed unless a text contains their names; such a text is rejected.",
        )
    elif max(tokens, largest + 1) > side.rows:
        yield Complaint(
            status="problem",
            what=f"The {side.name} tokenizer has {tokens} tokens up to the id {largest}, but the "
            f"embedding only {side.rows} rows.",
            remedy="Use the tokenizer that the weights were trained with; tokens added to it need "
            "rows of their own.",
        )
    elif tokens < _FEWEST * side.rows:
        yield Complaint(
            status="warning",
            what=f"The {side.name} tokenizer has {tokens} tokens for {side.rows} rows of the "
            "embedding; the others can never be used.",
            remedy="Check that it is the tokenizer that the weights were trained with.",
        )


def _exchanged(sides: tuple[Side, ...]) -> Iterator[Complaint]:
    """Finds a tokenizer that contradicts its own half and not the other one."""
    if len(sides) < 2:
        return
    source, target = sides
    if source.tokenizer is None or target.tokenizer is None:
        return
    wrong_source = _misfits(source.tokenizer, source) and not _misfits(source.tokenizer, target)
    wrong_target = _misfits(target.tokenizer, target) and not _misfits(target.tokenizer, source)
    if wrong_source and wrong_target:
        what = "The source and the target tokenizer are exchanged: each fits the other's half."
    elif wrong_source:
        what = "The source tokenizer does not fit the encoder; it is the decoder's."
    elif wrong_target:
        what = "The target tokenizer does not fit the decoder; it is the encoder's."
    else:
        return
    yield Complaint(
        status="problem",
        what=what,
        remedy="Put the encoder checkpoint's tokenizer in the model folder and the decoder's in "
        "decoder_tokenizer/ inside it.",
    )


def _misfits(tokenizer: PreTrainedTokenizerBase, side: Side) -> bool:
    """Whether a tokenizer contradicts the config of a half."""
    if max(len(tokenizer), _largest(tokenizer) + 1) > side.rows:
        return True
    if len(tokenizer) < _FEWEST * side.rows:
        return True
    tokens = {key: getattr(tokenizer, key, None) for key in side.special_ids()}
    return any(
        tokens[key] is not None and tokens[key] not in ids
        for key, ids in side.special_ids().items()
        if max(ids, default=-1) < side.rows  # else the config is wrong
    )


def _largest(tokenizer: PreTrainedTokenizerBase) -> int:
    return max(tokenizer.get_vocab().values())


VOCABULARY = Check(
    name="vocabulary",
    why="An id without a row stops the model in the middle of a text; a tokenizer of another "
    "checkpoint gives every token a vector that means something else.",
    run=_run,
)
