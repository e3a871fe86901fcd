"""The outputs that a request allows, choices or a regular expression, in token ids."""

from collections.abc import Sequence
from functools import lru_cache

from transformers import PreTrainedTokenizerBase

from warmstart.constrained.preimage import preimage
from warmstart.constrained.regex_automaton import automaton_of, stripped
from warmstart.constrained.token_automaton import TokenAutomaton, TokenTree
from warmstart.constrained.token_bytes import TokenBytes, token_bytes
from warmstart.errors import UsageError
from warmstart.generation.config import Constraints, GenerationConfig
from warmstart.text.checks import check_ids, check_texts
from warmstart.text.tokenizer_pair import TokenizerPair

__all__ = ["chosen_outputs", "matching_outputs"]

_LARGEST = 50_000  # states of an automaton: some gigabytes and minutes


def chosen_outputs(
    choices: Sequence[str] | None,
    config: GenerationConfig,
    constraints: Constraints,
    tokenizers: TokenizerPair,
    vocabulary: int,
    *,
    prefix: bool,
) -> dict[tuple[int, ...], str]:
    """The texts that are allowed, by their tokens with the end token; nothing without choices.

    Args:
        choices: the texts.
        config: the length limit is looked at.
        constraints: forced tokens are looked at.
        tokenizers: the target's is used.
        vocabulary: words that the model has a vector for.
        prefix: whether prefixes are given, too.

    Raises:
        UsageError: if a choice is too long or none, or the vocabulary cannot tell two from each
            other; or if prefixes or a forced token contradict them.
    """
    if choices is None:
        return {}
    given: object = choices
    if isinstance(given, str) or not isinstance(given, Sequence) or not given:
        raise UsageError("choices takes a list of the texts that are allowed, at least one.")
    if prefix:
        raise UsageError(
            "prefix and choices are both given; give the choices that begin with the prefix."
        )
    check_texts(choices, "Choice")
    rows = tokenizers.encode_targets(choices, None).rows
    check_ids(rows, vocabulary, tokenizers.target)
    first, last = constraints.forced_bos_token_id, constraints.forced_eos_token_id
    end, limit = tokenizers.special.end, config.max_length - 1
    texts: dict[tuple[int, ...], str] = {}
    for place, (text, row) in enumerate(zip(choices, rows, strict=True), start=1):
        if len(row) > limit:
            raise UsageError(
                f"Choice {place} has {len(row)} tokens with its end, but max_length is "
                f"{config.max_length}, start token included; raise it or leave the choice "
                "out."
            )
        if end in row[:-1]:
            raise UsageError(
                f"Choice {place} holds the end token, so nothing could follow; take it out."
            )
        if first not in (None, row[0]) or (len(row) == limit and last not in (None, end)):
            name = "forced_bos_token_id" if first not in (None, row[0]) else "forced_eos_token_id"
            raise UsageError(
                f"Choice {place}, '{text:.40}', contradicts the constraint {name}, which is "
                f"{getattr(constraints, name)}; leave one of them out."
            )
        if texts.setdefault(tuple(row), text) != text:
            raise UsageError(
                f"Choice {place}, '{text:.40}', has the same tokens in the target's vocabulary as "
                f"'{texts[tuple(row)]:.40}', so they cannot be told apart; leave one of them out."
            )
    return texts


def matching_outputs(
    regex: str,
    config: GenerationConfig,
    constraints: Constraints,
    tokenizers: TokenizerPair,
    vocabulary: int,
    prefixes: Sequence[Sequence[int]],
) -> TokenAutomaton:
    """The outputs whose text a regular expression matches.

    Args:
        regex: as Python's `re` takes it.
        config: the length limit is looked at.
        constraints: of the model; forced tokens are looked at.
        tokenizers: the target's is used.
        vocabulary: words that the model has a vector for.
        prefixes: tokens that outputs begin with, if any are given. Shape: [B, ...]

    Raises:
        UsageError: if it is none, or contradicts the vocabulary, the limit, a prefix or a forced
            token.
    """
    automaton = _automaton(regex, tokenizers, vocabulary)
    named = f"regex is '{regex:.80}'"
    if automaton.shortest() is None:
        raise UsageError(
            f"{named}, but the target's vocabulary cannot write any text that it matches. An "
            "uncased vocabulary has no capitals, and space around a text is never part of it; "
            "change the regex."
        )
    first, last = constraints.forced_bos_token_id, constraints.forced_eos_token_id
    if last is not None and automaton.writes(last):
        raise UsageError(
            f"{named}, but the model forces outputs to end with the token {last} at the limit "
            "(forced_eos_token_id), which writes text of its own; leave the regex out."
        )
    for place, row in enumerate(prefixes or [[]], start=1):
        # As its tokens read: they may put spaces where the text had none.
        given = f"Prefix {place}, '{tokenizers.decode([row])[0]:.40}'," if row else ""
        if not row and first is not None:
            row, given = [first], f"the model's forced_bos_token_id, {first},"
        least = automaton.shortest(row)
        if least is None:
            raise UsageError(
                f"{named}, but no text that it matches begins with {given} which outputs have "
                "to; let the regex match the beginning, too, or leave one of them out."
            )
        if least > config.max_length - 1:
            behind = f" behind {given}" if given else ""
            raise UsageError(
                f"{named}, whose shortest output{behind} has {least} tokens with its end, but "
                f"max_length is {config.max_length}, start token included; raise it."
            )
    return automaton


@lru_cache(maxsize=8)
def _automaton(regex: str, tokenizers: TokenizerPair, vocabulary: int) -> TokenAutomaton:
    written, tree = _token_tree(tokenizers.target, vocabulary)
    automaton = preimage(stripped(automaton_of(regex)), written.replacements)
    if len(automaton.after_NB) > _LARGEST:
        raise UsageError(
            f"regex is '{regex:.80}', whose automaton has {len(automaton.after_NB)} states; "
            f"allowed are {_LARGEST}. Lower the counts of repetitions, or use * or +."
        )
    return TokenAutomaton(automaton, tree, tokenizers.special.end, tokenizers.target_start)


@lru_cache(maxsize=2)
def _token_tree(
    tokenizer: PreTrainedTokenizerBase, vocabulary: int
) -> tuple[TokenBytes, TokenTree]:
    written = token_bytes(tokenizer, vocabulary)
    return written, TokenTree(written.first, written.later)
