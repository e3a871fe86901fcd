"""Prompt lookup: drafts copied from the source, for speculative search to verify.

Splitting, fusion, correction and simplification copy most of their source. The newest tokens of an
output are looked up there, and the tokens after them are the draft (Yang et al. 2023, Inference
with Reference). Where they occur several times, or not at all, the aligned position decides: the
one that the output has reached.
"""

from collections.abc import Sequence

import torch

__all__ = ["DraftLengthController", "PromptLookup"]

_LOOKED_UP = 3  # newest tokens of an output that are compared with the source; 2 to 4 do as well
# Fixed cost of a step, in tokens: weights are read once, whatever the number of tokens. On a CPU as
# measured with a decoder of 6 layers and a width of 384.
_CPU_STEP, _COMPILED_STEP, _GPU_STEP = 16.0, 8.0, 256.0
_WORTH = 1.1  # the least speed-up that a draft has to promise
_MEMORY = 0.9  # weight of past counts, for each step since
_FIRST_TESTED, _FIRST_ACCEPTED = 4.0, 3.0  # tokens, before the first step


class PromptLookup:
    """Tracks one output through its source and proposes the next tokens.

    Any token may be proposed, for the model verifies it: zeros follow the end of the source.
    """

    def __init__(self, source: Sequence[int]) -> None:
        """Starts at the beginning of the source.

        Args:
            source: its tokens, in the target's vocabulary.
        """
        self._source, self._aligned = list(source), 0
        self._after: dict[int, list[int]] = {}  # token -> the positions after it
        for position, token in enumerate(self._source, start=1):
            self._after.setdefault(token, []).append(position)

    def propose(self, tokens: Sequence[int], length: int) -> list[int]:
        """A draft.

        Args:
            tokens: the output so far, the start token first.
            length: tokens of the draft.
        """
        # Where not even the newest token occurs, the output continues at its aligned position.
        positions = self._after.get(tokens[-1])
        if positions is not None:
            self._aligned = max(positions, key=lambda position: self._fit(position, tokens))
        draft = self._source[self._aligned : self._aligned + length]
        return draft + [0] * (length - len(draft))

    def _fit(self, position: int, tokens: Sequence[int]) -> tuple[int, int]:
        """How many of the newest tokens precede a position, and how near it is."""
        matches = 1
        while (
            matches < min(_LOOKED_UP, position, len(tokens))
            and self._source[position - 1 - matches] == tokens[-1 - matches]
        ):
            matches += 1
        ahead = position - self._aligned
        # A way back counts twice, for outputs follow their source.
        return matches, -ahead if ahead >= 0 else 2 * ahead

    def advance(self, tokens: int) -> None:
        """Moves on by the tokens written since."""
        self._aligned = min(self._aligned + tokens, len(self._source))


class DraftLengthController:
    """The length of drafts that pays best, by the share accepted so far.

    With a share a of tokens accepted, a draft of K gives (1 - a**(K+1)) / (1 - a) tokens (Leviathan
    et al. 2023, Fast Inference from Transformers via Speculative Decoding, equation 1), and a step
    over R rows costs a constant plus R * (K + 1) tokens.
    """

    def __init__(
        self, rows: int, longest: int, device: torch.device, *, compiled: bool = False
    ) -> None:
        """Starts with a guess.

        Args:
            rows: R.
            longest: the most tokens of a draft.
            device: of the model.
            compiled: whether its steps are compiled.
        """
        on_cpu = _COMPILED_STEP if compiled else _CPU_STEP
        self._step = on_cpu if device.type == "cpu" else _GPU_STEP
        self._longest = longest
        self.keep(rows)
        self._tested, self._accepted = _FIRST_TESTED, _FIRST_ACCEPTED

    def keep(self, rows: int) -> None:
        """Continues with fewer rows."""
        self._costs = [self._step + rows * (tokens + 1) for tokens in range(self._longest + 1)]

    def tokens(self) -> int:
        """Tokens to propose; 0 where drafts do not pay."""
        share, gains, expected = self._accepted / self._tested, [], 0.0
        for tokens, cost in enumerate(self._costs):
            expected += share**tokens
            gains.append(expected / cost)
        best = max(range(len(gains)), key=gains.__getitem__)
        return best if gains[best] > _WORTH * gains[0] else 0

    def record(self, tested: int, accepted: int) -> None:
        """Counts tokens that were verified, and those accepted."""
        self._tested = _MEMORY * self._tested + tested
        self._accepted = _MEMORY * self._accepted + accepted
