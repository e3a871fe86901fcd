"""What may follow, looked up in the source: guesses that one step of the model then verifies.

Splitting, fusion, correction and simplification copy most of their source. The newest tokens of an
output are looked up there, and what stands behind them is the draft (Yang et al. 2023, Inference
with Reference). Where they are found in several places, or nowhere, the aligned place decides: the
one that the output has got to.
"""

from collections.abc import Sequence

import torch

__all__ = ["Drafts", "Pace"]

_LOOKED_UP = 3  # newest tokens of an output that are compared with the source; 2 to 4 do as well
# What a step costs before its first token, counted in tokens: weights are read once whatever the
# number of tokens. On a CPU as measured with a decoder of 6 layers and a width of 384.
_CPU_STEP, _COMPILED_STEP, _GPU_STEP = 16.0, 8.0, 256.0
_WORTH = 1.1  # a draft has to promise so many times the speed
_MEMORY = 0.9  # share of what was seen that still counts a step later
_FIRST_TESTED, _FIRST_ACCEPTED = 4.0, 3.0  # tokens, before any was seen


class Drafts:
    """Follows one output through its source and proposes what comes next.

    Any token may be proposed, for the model has the last word: behind the source's end come zeros.
    """

    def __init__(self, source: Sequence[int]) -> None:
        """The output is at the source's beginning.

        Args:
            source: its tokens, in the target's vocabulary.
        """
        self._source, self._aligned = list(source), 0
        self._behind: dict[int, list[int]] = {}  # by token: the places behind it
        for place, token in enumerate(self._source, start=1):
            self._behind.setdefault(token, []).append(place)

    def propose(self, written: Sequence[int], tokens: int) -> list[int]:
        """A draft of so many tokens.

        Args:
            written: the output's tokens so far, the start token first.
            tokens: how many.
        """
        # Where not even the newest token is found, the output goes on at its aligned place.
        places = self._behind.get(written[-1])
        if places is not None:
            self._aligned = max(places, key=lambda place: self._fit(place, written))
        draft = self._source[self._aligned : self._aligned + tokens]
        return draft + [0] * (tokens - len(draft))

    def _fit(self, place: int, written: Sequence[int]) -> tuple[int, int]:
        """How many of the newest tokens stand before a place, and how near it is."""
        found = 1
        while (
            found < min(_LOOKED_UP, place, len(written))
            and self._source[place - 1 - found] == written[-1 - found]
        ):
            found += 1
        ahead = place - self._aligned
        # Behind counts twice, for outputs follow their source.
        return found, -ahead if ahead >= 0 else 2 * ahead

    def advance(self, tokens: int) -> None:
        """Goes on by the tokens that were written since."""
        self._aligned = min(self._aligned + tokens, len(self._source))


class Pace:
    """How long drafts should be, by what became of the last ones.

    With a share a of tokens accepted, a draft of K gives (1 - a**(K+1)) / (1 - a) tokens (Leviathan
    et al. 2023, Fast Inference from Transformers via Speculative Decoding, equation 1), and a step
    over R rows costs as much as some constant and R * (K + 1) tokens.
    """

    def __init__(
        self, rows: int, longest: int, device: torch.device, *, compiled: bool = False
    ) -> None:
        """Nothing seen yet.

        Args:
            rows: R.
            longest: the most tokens of a draft.
            device: that the model runs on.
            compiled: whether its steps are compiled.
        """
        on_cpu = _COMPILED_STEP if compiled else _CPU_STEP
        self._step = on_cpu if device.type == "cpu" else _GPU_STEP
        self._longest = longest
        self.keep(rows)
        self._tested, self._accepted = _FIRST_TESTED, _FIRST_ACCEPTED

    def keep(self, rows: int) -> None:
        """So many rows go on."""
        self._costs = [self._step + rows * (tokens + 1) for tokens in range(self._longest + 1)]

    def tokens(self) -> int:
        """How many to propose; 0 where drafts do not pay."""
        share, gains, written = self._accepted / self._tested, [], 0.0
        for tokens, cost in enumerate(self._costs):
            written += share**tokens
            gains.append(written / cost)
        best = max(range(len(gains)), key=gains.__getitem__)
        return best if gains[best] > _WORTH * gains[0] else 0

    def see(self, tested: int, accepted: int) -> None:
        """Counts tokens that were proposed and looked at, and those of them that were right."""
        self._tested = _MEMORY * self._tested + tested
        self._accepted = _MEMORY * self._accepted + accepted
