"""Sentence fusion and splitting pairs from prose, by the discourse phenomena of DiscoFuse.

After Geva et al. (2019), "DiscoFuse: A Large-Scale Dataset for Discourse-Based Sentence Fusion":
a text as a person wrote it is the fused side; a rule removes the connection (a connective, a
pronoun, a relative or an apposition), which leaves two separate sentences. The paper uses
dependency parses. These rules see words only, apply where a word form is unambiguous, and ignore
the rest.

For splitting, one sentence becomes two that keep the sense of the connection: ``X because Y.``
becomes ``X. This is because Y.`` Where the sense would be lost, a pair is for fusion only.
"""

from collections.abc import Iterator

from warmstart.discourse.connected_clauses import CONNECTIVE_RULES
from warmstart.discourse.connected_sentences import PAIR_RULES
from warmstart.discourse.rule_pair import PHENOMENA, RulePair
from warmstart.discourse.shared_nouns import PHRASE_RULES

__all__ = ["PHENOMENA", "RulePair", "pairs_of_sentence", "pairs_of_two"]


def pairs_of_sentence(sentence: str) -> Iterator[RulePair]:
    """Every pair that a rule makes of one sentence."""
    for rule in (*CONNECTIVE_RULES, *PHRASE_RULES):
        pair = rule(sentence)
        if pair is not None:
            yield pair


def pairs_of_two(first: str, second: str) -> Iterator[RulePair]:
    """Every pair that a rule makes of two consecutive sentences."""
    if first[:1].islower():  # part of a sentence, which cannot be a half of a pair
        return
    for rule in PAIR_RULES:
        pair = rule(first, second)
        if pair is not None:
            yield pair
