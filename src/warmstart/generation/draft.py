"""What may follow, looked up in the source: guesses that one step of the model then verifies.

Splitting, fusion, correction and simplification copy most of their source. The newest tokens of an
output are looked up there, and what stands behind them is the draft (Yang et al. 2023, Inference
with Reference). Where they are found in several places, or nowhere, the aligned place decides: the
one that the output has got to.

Shape legend: R rows decoded side by side, S tokens of the longest source, L tokens of the longest
output, N = `_LOOKED_UP` newest tokens, K tokens of a draft.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Drafts", "Pace"]

_LOOKED_UP = 3  # newest tokens of an output that are compared with the source; 2 to 4 do as well
# What a step costs before its first token, counted in tokens: weights are read once whatever the
# number of tokens. On a CPU as measured with a decoder of 6 layers and a width of 384.
_CPU_STEP, _COMPILED_STEP, _GPU_STEP = 16.0, 8.0, 256.0
_WORTH = 1.1  # a draft has to promise so many times the speed
_MEMORY = 0.9  # share of what was seen that still counts a step later
_FIRST_TESTED, _FIRST_ACCEPTED = 4.0, 3.0  # tokens, before any was seen


class Drafts:
    """Follows each row through its source and proposes what comes next.

    Any token may be proposed, for the model has the last word: behind a source's end come zeros.
    """

    def __init__(self, sources: Sequence[Sequence[int]], device: torch.device) -> None:
        """Lays the sources out.

        Args:
            sources: tokens of each row's source, in the target's vocabulary. Shape: [R, ...]
            device: of the tokens.
        """
        longest = max(map(len, sources))
        rows = [[*row, *([-1] * (longest - len(row)))] for row in sources]
        self._source_RS = torch.tensor(rows, dtype=torch.long, device=device)
        # What stands before each place, newest first, from the source's first place to the one
        # behind its last.
        padded = F.pad(self._source_RS, (_LOOKED_UP, 0), value=-1)
        self._before_RSN = padded.unfold(1, _LOOKED_UP, 1).flip(-1)
        self._places_S = torch.arange(longest + 1, device=device)
        self._aligned_R = self._places_S.new_zeros(len(sources))

    def propose(self, written_RL: Tensor, lengths_R: Tensor, tokens: int) -> Tensor:
        """Drafts of so many tokens.

        Args:
            written_RL: each row's tokens, the start token first. Shape: [R, L]
            lengths_R: how many there are. Shape: [R]
            tokens: K.

        Returns:
            Shape: [R, K]
        """
        device = written_RL.device
        places_RN = lengths_R[:, None] - 1 - torch.arange(_LOOKED_UP, device=device)
        newest_RN = written_RL.gather(1, places_RN.clamp_min(0)).masked_fill(places_RN < 0, -2)
        found_RS = (self._before_RSN == newest_RN[:, None]).long().cumprod(-1).sum(-1)
        ahead_RS = self._places_S - self._aligned_R[:, None]
        # Behind counts twice, for outputs follow their source.
        away_RS = torch.where(ahead_RS < 0, -2 * ahead_RS, ahead_RS)
        self._aligned_R = (found_RS * (2 * len(self._places_S)) - away_RS).argmax(-1)
        places_RK = self._aligned_R[:, None] + torch.arange(tokens, device=device)
        last = self._source_RS.shape[1] - 1
        drafts_RK = self._source_RS.gather(1, places_RK.clamp_max(last))
        return drafts_RK.masked_fill((drafts_RK < 0) | (places_RK > last), 0)

    def keep(self, rows_R: Tensor) -> None:
        """Goes on with some of the rows alone. Shape: [R]"""
        self._source_RS, self._before_RSN = self._source_RS[rows_R], self._before_RSN[rows_R]
        self._aligned_R = self._aligned_R[rows_R]

    def advance(self, tokens_R: Tensor) -> None:
        """Goes on by the tokens that each row has written since. Shape: [R]"""
        self._aligned_R = (self._aligned_R + tokens_R).clamp_max(len(self._places_S) - 1)


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
