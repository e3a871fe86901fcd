"""Do the limits of tokenizers, positions and decoding agree?"""

from collections.abc import Iterator

from warmstart.doctor.finding import Check, Complaint, Verdict, judge
from warmstart.doctor.subject import Side, Subject
from warmstart.generation.generation_config import GenerationConfig
from warmstart.generation.saved import FILE as GENERATION

__all__ = ["POSITIONS"]

_UNSET = 10**9  # transformers writes about 1e30 for a tokenizer without a limit


def _run(subject: Subject) -> Verdict:
    figures: dict[str, int] = {}
    parts: list[str] = []
    complaints: list[Complaint] = []
    for side in subject.sides:
        limit, own = side.stack.position_limit, _tokenizer_limit(side)
        if limit is not None:
            figures[f"{side.name}_positions"] = limit
        if own is not None:
            figures[f"{side.name}_tokenizer_limit"] = own
        parts.append(
            f"{side.name} {'any number of' if limit is None else limit} positions, tokenizer up to "
            f"{'any length' if own is None else own}"
        )
        complaints += _of_tokenizer(side, limit, own)
    if subject.composition is not None:
        longest = _longest(subject)
        figures["max_length"] = longest
        parts.append(f"outputs up to {longest} tokens")
        complaints += _of_outputs(subject, longest)
    return judge(complaints, fine=f"{'; '.join(parts)}.", figures=figures)


def _of_tokenizer(side: Side, limit: int | None, own: int | None) -> Iterator[Complaint]:
    # Rotary positions continue beyond the limit; a table ends there.
    if limit is None or own is None or own <= limit or side.stack.embedding.positions is None:
        return
    yield Complaint(
        status="warning",
        what=f"The {side.name} tokenizer allows {own} tokens, but there are {limit} positions. "
        "warmstart truncates at the positions; other programs would read beyond the table.",
        remedy=f"Set model_max_length to {limit} in the {side.name} tokenizer's "
        "tokenizer_config.json.",
    )


def _of_outputs(subject: Subject, longest: int) -> Iterator[Complaint]:
    limit = _target_limit(subject)
    if limit is None or longest <= limit:
        return
    yield Complaint(
        status="warning",
        what=f"Outputs may be {longest} tokens long, but there are {limit} positions for them. "
        "warmstart stops at the positions; other programs would read beyond them.",
        remedy=f"Set max_length to at most {limit} in {GENERATION}.",
    )


def _target_limit(subject: Subject) -> int | None:
    """Positions for the target; half of them where the source is its prefix."""
    limit = subject.target.stack.position_limit
    prefix = subject.composition is not None and subject.composition.encoder is None
    return limit - limit // 2 if prefix and limit is not None else limit


def _longest(subject: Subject) -> int:
    if subject.model is not None:
        return subject.model.generation.max_length
    for values in (subject.settings, subject.checkpoint.config):
        if isinstance(values.get("max_length"), int):
            return int(values["max_length"])
    return GenerationConfig().max_length


def _tokenizer_limit(side: Side) -> int | None:
    if side.tokenizer is None or side.tokenizer.model_max_length > _UNSET:
        return None
    return int(side.tokenizer.model_max_length)


POSITIONS = Check(
    name="positions",
    why="A text longer than the positions is truncated, or stops other programs with an index out "
    "of range.",
    run=_run,
)
