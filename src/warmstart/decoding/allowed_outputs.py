"""The outputs that a request allows, choices or a regular expression, in token ids."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from transformers import PreTrainedTokenizerBase

from warmstart.constrained.preimage import preimage
from warmstart.constrained.regex_automaton import automaton_of, stripped
from warmstart.constrained.token_automaton import TokenAutomaton, TokenTree
from warmstart.constrained.token_bytes import TokenBytes, token_bytes
from warmstart.errors import UsageError
from warmstart.generation.generation_config import Constraints, GenerationConfig
from warmstart.text.checks import check_ids, check_texts
from warmstart.text.tokenizer_pair import TokenizerPair

__all__ = ["chosen_outputs", "matching_outputs", "without_missing_tokens"]

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
    """The allowed texts by their tokens, end token included; empty without choices.

    Args:
        choices: the texts.
        config: for its length limit.
        constraints: for their forced tokens.
        tokenizers: for the target's.
        vocabulary: tokens that the model has a vector for.
        prefix: whether prefixes are given, too.

    Raises:
        UsageError: if a choice is too long or invalid, or has the tokens of another one; or if
            prefixes or a forced token contradict the choices.
    """
    if choices is None:
        return {}
    anything: object = choices
    if isinstance(anything, str) or not isinstance(anything, Sequence) or not anything:
        raise UsageError("choices takes a list of the allowed texts, at least one.")
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
    for number, (text, row) in enumerate(zip(choices, rows, strict=True), start=1):
        if len(row) > limit:
            raise UsageError(
                f"Choice {number} has {len(row)} tokens with its end, but max_length is "
                f"{config.max_length}, start token included; raise it or leave the choice "
                "out."
            )
        if end in row[:-1]:
            raise UsageError(
                f"Choice {number} contains the end token, which ends outputs; remove it."
            )
        if first not in (None, row[0]) or (len(row) == limit and last not in (None, end)):
            name = "forced_bos_token_id" if first not in (None, row[0]) else "forced_eos_token_id"
            raise UsageError(
                f"Choice {number}, '{text:.40}', contradicts the constraint {name}, which is "
                f"{getattr(constraints, name)}; leave one of them out."
            )
        if texts.setdefault(tuple(row), text) != text:
            raise UsageError(
                f"Choice {number}, '{text:.40}', has the same tokens in the target's vocabulary as "
                f"'{texts[tuple(row)]:.40}', so they are the same output; leave one of them out."
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
        regex: in the syntax of Python's `re`.
        config: for its length limit.
        constraints: for their forced tokens.
        tokenizers: for the target's.
        vocabulary: tokens that the model has a vector for.
        prefixes: tokens that outputs begin with, or empty. Shape: [B, ...]

    Raises:
        UsageError: if it is not a regular expression, or contradicts the vocabulary, the limit, a
            prefix or a forced token.
    """
    automaton = _automaton(regex, tokenizers, vocabulary)
    named = f"regex is '{regex:.80}'"
    if automaton.shortest() is None:
        raise UsageError(
            f"{named}, but the target's vocabulary cannot write any text that it matches. An "
            "uncased vocabulary has no capitals, and outputs have no space around them; change the "
            "regex."
        )
    first, last = constraints.forced_bos_token_id, constraints.forced_eos_token_id
    if last is not None and automaton.writes(last):
        raise UsageError(
            f"{named}, but the model forces outputs to end with the token {last} at the limit "
            "(forced_eos_token_id), which has a text of its own; leave the regex out."
        )
    for number, row in enumerate(prefixes or [[]], start=1):
        # Decoded from its tokens, which may have spaces that the text did not.
        beginning = f"Prefix {number}, '{tokenizers.decode([row])[0]:.40}'," if row else ""
        if not row and first is not None:
            row, beginning = [first], f"the model's forced_bos_token_id, {first},"
        least = automaton.shortest(row)
        if least is None:
            raise UsageError(
                f"{named}, but no text that it matches begins with {beginning} as outputs must; "
                "let the regex match the beginning, too, or leave one of them out."
            )
        if least > config.max_length - 1:
            after = f" after {beginning}" if beginning else ""
            raise UsageError(
                f"{named}, whose shortest output{after} has {least} tokens with its end, but "
                f"max_length is {config.max_length}, start token included; raise it."
            )
    return automaton


@lru_cache(maxsize=8)
def _automaton(regex: str, tokenizers: TokenizerPair, vocabulary: int) -> TokenAutomaton:
    of_tokens, tree = _token_tree(tokenizers.target, vocabulary)
    automaton = preimage(stripped(automaton_of(regex)), of_tokens.replacements)
    if len(automaton.after_NB) > _LARGEST:
        raise UsageError(
            f"regex is '{regex:.80}', whose automaton has {len(automaton.after_NB)} states; "
            f"allowed are {_LARGEST}. Lower the counts of repetitions, or use * or +."
        )
    return TokenAutomaton(automaton, tree, tokenizers.special.end, tokenizers.target_start)


def without_missing_tokens(
    constraints: Constraints, tokenizer: PreTrainedTokenizerBase, vocabulary: int
) -> Constraints:
    """Constraints that also ban the ids that stand for no token.

    Vocabularies are often padded to a round number of rows, which nothing has trained.

    Args:
        constraints: of the model.
        tokenizer: of the targets.
        vocabulary: rows of the target embedding.
    """
    missing = _missing_tokens(tokenizer, len(tokenizer), vocabulary)
    if not missing:
        return constraints
    return replace(constraints, bad_words_ids=(*constraints.bad_words_ids, *missing))


@lru_cache(maxsize=8)
def _missing_tokens(
    tokenizer: PreTrainedTokenizerBase, _tokens: int, vocabulary: int
) -> tuple[tuple[int], ...]:
    held = {*tokenizer.get_vocab().values()}
    return tuple((token,) for token in range(vocabulary) if token not in held)


@lru_cache(maxsize=2)
def _token_tree(
    tokenizer: PreTrainedTokenizerBase, vocabulary: int
) -> tuple[TokenBytes, TokenTree]:
    of_tokens = token_bytes(tokenizer, vocabulary)
    return of_tokens, TokenTree(of_tokens.first, of_tokens.later)
