"""What `Seq2Seq.generate_detailed` gives for an output."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Alignment", "Generated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """Which source tokens each token of an output came from.

    Attributes:
        weights: how much each output token looked at each source token; the rows sum to one. In
            float32 on the CPU. Shape: [output tokens, source tokens]
        target_tokens: the output's tokens, as its tokenizer names them.
        source_tokens: the source's tokens that were read, likewise.
        source_spans: where each of them lies in the source text, first character and the one
            behind the last; nothing, such as (0, 0), for special tokens. Empty if the source's
            tokenizer cannot say.
    """

    weights: "Tensor"
    target_tokens: tuple[str, ...]
    source_tokens: tuple[str, ...]
    source_spans: tuple[tuple[int, int], ...]

    def places(self) -> list[int]:
        """The source token that each output token looked at most, special ones left out."""
        weights = self.weights
        ordinary = [place for place, (a, b) in enumerate(self.source_spans) if a < b]
        if not ordinary:
            return [int(place) for place in weights.argmax(-1)]
        return [ordinary[int(place)] for place in weights[:, ordinary].argmax(-1)]

    def words(self, source: str) -> list[tuple[str, str]]:
        """Each output token with the word of the source that it looked at most.

        A word is what stands between white space. Its tokens count together.

        Args:
            source: the source text.
        """
        words: list[str] = []
        word_of_character: list[int] = []
        for number, piece in enumerate(re.split(r"(\s)", source)):
            if number % 2 == 0:  # white space goes with the word before
                words.append(piece)
            word_of_character += [len(words) - 1] * len(piece)
        sums = self.weights.new_zeros(len(self.weights), max(len(words), 1))
        for place, (first, behind) in enumerate(self.source_spans):
            if first < behind:
                # Some tokens begin with the space before their word.
                sums[:, word_of_character[behind - 1]] += self.weights[:, place]
        return [
            (token, words[int(word)])
            for token, word in zip(self.target_tokens, sums.argmax(-1), strict=True)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """An output.

    Attributes:
        text: as `Seq2Seq.generate` gives it.
        tokens: ids behind the start token, up to the end token.
        score: the sum of the token scores over ``length ** length_penalty``; the length counts the
            tokens that were not given as a prefix. Minus infinity for an output that there is not:
            a beam search found fewer than were asked for. Of a source that was decoded in pieces,
            the mean of their scores, weighted by their tokens. nan where it was not asked for.
        token_scores: log-probability of each token, after all rules and filters; 0 of tokens that
            were given. Empty where scores were not asked for.
        at_limit: whether the length limit cut it off.
        steps: steps of the model that it took. Drafts write several tokens in one; it counts those
            that were done again for a near tie, too.
        source_cut: whether the source was longer than the model reads and lost its end.
        chunks: in how many pieces the source was decoded.
        alignment: which source tokens its tokens came from; None: not asked for.
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
