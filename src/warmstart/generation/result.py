"""Outputs with tokens, scores and alignments."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Alignment", "Generated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """The source tokens that the tokens of an output came from.

    Attributes:
        weights: of attention from each output token to each source token; the rows sum to one. In
            float32 on the CPU. Shape: [output tokens, source tokens]
        target_tokens: names of the output's tokens.
        source_tokens: names of the source's tokens that were read.
        source_spans: the span of each in the source text, from its first character to the one
            after its last; empty, such as (0, 0), for special tokens. No spans if the source's
            tokenizer has none.
    """

    weights: "Tensor"
    target_tokens: tuple[str, ...]
    source_tokens: tuple[str, ...]
    source_spans: tuple[tuple[int, int], ...]

    def places(self) -> list[int]:
        """The index of the source token with the highest weight, special ones left out."""
        weights = self.weights
        ordinary = [index for index, (a, b) in enumerate(self.source_spans) if a < b]
        if not ordinary:
            return [int(index) for index in weights.argmax(-1)]
        return [ordinary[int(index)] for index in weights[:, ordinary].argmax(-1)]

    def words(self, source: str) -> list[tuple[str, str]]:
        """Each output token with the source word of the highest weight.

        Words are separated by white space. The weights of their tokens add up.

        Args:
            source: the source text.
        """
        words: list[str] = []
        word_of_character: list[int] = []
        for number, piece in enumerate(re.split(r"(\s)", source)):
            if number % 2 == 0:  # white space belongs to the word before
                words.append(piece)
            word_of_character += [len(words) - 1] * len(piece)
        sums = self.weights.new_zeros(len(self.weights), max(len(words), 1))
        for index, (start, end) in enumerate(self.source_spans):
            if start < end:
                # Some tokens begin with the space before their word.
                sums[:, word_of_character[end - 1]] += self.weights[:, index]
        return [
            (token, words[int(word)])
            for token, word in zip(self.target_tokens, sums.argmax(-1), strict=True)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """An output.

    Attributes:
        text: as `Seq2Seq.generate` gives it.
        tokens: ids after the start token, up to the end token.
        score: the sum of the token scores over ``length ** length_penalty``, where the length
            excludes the prefix. Minus infinity for a missing output, where a beam search has fewer
            than `num_return_sequences`. For a source decoded in chunks, the mean of their scores,
            weighted by their tokens. nan without scores.
        token_scores: log-probability of each token, after all processing and filters; 0 within the
            prefix. Empty without scores.
        at_limit: whether the length limit cut it off.
        steps: steps of the model that it took. A speculative step may write several tokens; steps
            repeated for a near tie count, too.
        source_cut: whether the source was truncated to what the model reads.
        chunks: number of chunks in which the source was decoded.
        alignment: the source tokens that its tokens came from; None if not requested.
    """

    text: str
    tokens: tuple[int, ...]
    score: float
    token_scores: tuple[float, ...]
    at_limit: bool
    steps: int = 0
    source_cut: bool = False
    chunks: int = 1
    alignment: Alignment | None = None
