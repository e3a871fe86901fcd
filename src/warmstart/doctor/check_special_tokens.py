"""Start, end and pad: do config, tokenizer and weights agree?"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from transformers import PreTrainedTokenizerBase

from warmstart.doctor.finding import Check, Complaint, Verdict, judge
from warmstart.doctor.subject import Side, Subject
from warmstart.errors import CheckpointError
from warmstart.generation.saved import FILE as GENERATION
from warmstart.text.special_tokens import resolve_special_tokens

__all__ = ["SPECIAL_TOKENS"]

_KEYS = {"start": "decoder_start_token_id", "end": "eos_token_id", "pad": "pad_token_id"}


def _run(subject: Subject) -> Verdict:
    complaints = [complaint for side in subject.sides for complaint in _of_side(side)]
    fine = "The checkpoint's config and tokenizer give its special tokens the same ids."
    tokenizer = subject.target.tokenizer
    if subject.composition is None or tokenizer is None:
        return judge(complaints, fine=fine)
    try:
        usual = asdict(resolve_special_tokens(tokenizer, subject.target.config))
    except CheckpointError as error:
        usual = {}
        remedy = f"Or write eos_token_id and the others to {GENERATION}."
        complaints.append(Complaint(status="problem", what=str(error), remedy=remedy))
    figures: dict[str, int] = {}
    files: dict[str, None] = {}  # the files with a token, in order
    for role, key in _KEYS.items():
        saved = _saved(subject, key)
        used = next(iter(saved.values()), usual.get(role))
        if used is None:
            continue
        figures[role] = used
        files |= dict.fromkeys(saved)
        # A pre-trained encoder-decoder has a start token of its own (T5's is the pad).
        expected = None if subject.composition.pretrained else usual.get(role)
        complaints += _of_role(role, key, saved, used, expected, subject.target)
    tokens = ", ".join(f"{role} {_token(tokenizer, token)}" for role, token in figures.items())
    fine = (
        f"{tokens}: {', '.join([*files, 'the tokenizer'])} and the {subject.target.rows} rows of "
        "the embedding agree."
    )
    return judge(complaints, fine=fine, figures=figures)


def _saved(subject: Subject, key: str) -> dict[str, int]:
    """A token's id by file, in order of precedence."""
    files = {GENERATION: subject.settings, "config.json": subject.checkpoint.config}
    ids = {file: _first(values, key) for file, values in files.items()}
    return {file: token for file, token in ids.items() if token is not None}


def _of_role(
    role: str, key: str, saved: Mapping[str, int], used: int, usual: int | None, side: Side
) -> Iterator[Complaint]:
    """Defects of one of the target's tokens."""
    tokenizer = side.tokenizer
    assert tokenizer is not None
    advice = "" if usual is None else f" The tokenizer's own is {_token(tokenizer, usual)}."
    if len(set(saved.values())) > 1:
        listed = " and ".join(f"{file} has {token}" for file, token in saved.items())
        yield Complaint(
            status="problem",
            what=f"The target's {role} token is ambiguous: {listed}.",
            remedy=f"Write the id that the model was trained with as {key} in both files.{advice}",
        )
    elif not 0 <= used < side.rows:
        yield Complaint(
            status="problem",
            what=f"The target's {role} token is {used}, but the embedding has {side.rows} rows.",
            remedy=f"Correct {key} in {' and '.join(saved) or 'the tokenizer'}.{advice}",
        )
    elif used not in tokenizer.all_special_ids:
        yield Complaint(
            status="problem",
            what=f"The target's {role} token is {_token(tokenizer, used)}, which is not a "
            "special token of the target tokenizer.",
            remedy=f"Correct {key} in {' and '.join(saved) or 'the tokenizer'}.{advice}",
        )
    elif usual is not None and used != usual:
        yield Complaint(
            status="warning",
            what=f"The target's {role} token is {_token(tokenizer, used)}, where its family uses "
            f"{_token(tokenizer, usual)}.",
            remedy=f"Unless the model was trained with it, correct {key} in {' and '.join(saved)}.",
        )


def _of_side(side: Side) -> Iterator[Complaint]:
    """Differences between a checkpoint's own config and tokenizer."""
    if side.tokenizer is None:
        yield Complaint(
            status="problem",
            what=side.complaint,
            remedy="Take the tokenizer's files from the checkpoint that was composed.",
        )
        return
    for key, ids in side.special_ids().items():
        token = getattr(side.tokenizer, key, None)
        if token is None or token in ids:
            continue
        listed = " and ".join(map(str, ids))
        yield Complaint(
            status="warning",
            what=f"The {side.name}'s config has {key} {listed}, its tokenizer "
            f"{_token(side.tokenizer, token)}.",
            remedy="Check that the tokenizer is the one that the checkpoint was pre-trained with, "
            "then correct the id in config.json.",
        )


def _token(tokenizer: PreTrainedTokenizerBase, token: int) -> str:
    """The token's text and id."""
    text = tokenizer.convert_ids_to_tokens(token) if 0 <= token < len(tokenizer) else None
    return f"{text or 'no token'} ({token})"


def _first(values: Mapping[str, Any], key: str) -> int | None:
    """An id; of several end tokens the first, the one that is written."""
    value = values.get(key)
    if isinstance(value, list):
        value = value[0] if value else None
    return None if value is None else int(value)


SPECIAL_TOKENS = Check(
    name="special tokens",
    why="A model that starts from another token than it was trained with writes worse, one with "
    "a wrong end token never stops, and special tokens in its outputs make it unusable.",
    run=_run,
)
