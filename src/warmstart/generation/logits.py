"""Changes to the scores of the next token, the same for greedy, beam search and sampling.

They come in transformers' order, with transformers' meaning. All rows change at once.

Shape legend: B sources, R rows decoded side by side (the rows of a source are adjacent), N tokens
so far (start token included), V vocabulary, n the size of an n-gram.
"""

import logging
import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from warmstart.generation.generation_config import Constraints, GenerationConfig
from warmstart.generation.row_inputs import RowInputs

__all__ = ["LogitsProcessor", "penalize"]

_NEVER = float("-inf")

logger = logging.getLogger(__name__)


class LogitsProcessor:
    """Bans tokens by minus infinity, and makes forced ones certain.

    Made for one batch; it tracks each row's state among the allowed outputs, if they are limited.
    """

    def __init__(
        self,
        end: int,
        config: GenerationConfig,
        constraints: Constraints,
        inputs: RowInputs,
        *,
        sources: int,
        copies: int = 1,
        competing: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        """Builds the tables.

        Args:
            end: id of the end token, banned before `min_length`.
            config: lengths, penalties and sizes of n-grams.
            constraints: of the model.
            inputs: of the batch.
            sources: B.
            copies: rows of each source.
            competing: whether these compete, so that one may yield to another.
            device: of the scores.
        """
        self._end, self._config, self._constraints = end, config, constraints
        device, self._copies, self._competing = torch.device(device), copies, competing
        self._source_of_R = torch.arange(sources, device=device).repeat_interleave(copies)
        self._bad_words = _by_length(constraints.bad_words_ids, end, device)
        self._prefixes_BP, self._prefix_lengths_B = _padded(inputs.prefixes, device)
        size = config.encoder_no_repeat_ngram_size
        self._source_ngrams_n, self._ngram_source = _ngrams(
            inputs.source_rows if size else (), size, device
        )
        self._automaton = None if inputs.automaton is None else inputs.automaton.to(device)
        self._states_R = torch.zeros_like(self._source_of_R)
        self._warned = False

    @property
    def idle(self) -> bool:
        """Whether no score will ever change."""
        config, constraints = self._config, self._constraints
        return (
            config.repetition_penalty == 1.0
            and not config.no_repeat_ngram_size
            and not config.encoder_no_repeat_ngram_size
            and not self._bad_words
            and config.min_length <= 1
            and self._automaton is None
            and constraints.forced_bos_token_id is None
            and constraints.forced_eos_token_id is None
            and not self._prefixes_BP.shape[1]
            and not constraints.renormalize_logits
        )

    def prefix_lengths(self) -> Tensor:
        """Tokens of each row's prefix. Shape: [R]"""
        if not self._prefix_lengths_B.numel():
            return torch.zeros_like(self._source_of_R)
        return self._prefix_lengths_B[self._source_of_R]

    def check(self, scores_RV: Tensor, length: int) -> None:
        """Warns once of scores that are not numbers; they stay so in all later steps.

        Looks at the steps whose number is a power of two, as each look waits for the scores.

        Args:
            scores_RV: logits of a step. Shape: [R, V]
            length: tokens of each row so far, the start token included.
        """
        if self._warned or length & (length - 1):
            return
        highest = float(scores_RV.detach().amax())  # NaN if any is
        if math.isnan(highest) or highest == math.inf:
            self._warned = True
            logger.warning(
                "The model's scores are not numbers (NaN or infinite) at output token %d, so its "
                "outputs mean nothing. Its weights are damaged, or too large for %s; load another "
                "checkpoint of the run, or another dtype.",
                length,
                str(scores_RV.dtype).removeprefix("torch."),
            )

    def apply(self, scores_RV: Tensor, tokens_RN: Tensor, rows_R: Tensor | None = None) -> Tensor:
        """Changes the scores of the next token, in place where possible.

        Args:
            scores_RV: logits or log-probabilities. Shape: [R, V]
            tokens_RN: tokens of each row so far, the start token first. Shape: [R, N]
            rows_R: indices of these rows. Default: all. Shape: [R]
        """
        config, length = self._config, tokens_RN.shape[1]
        source_of_R = self._source_of_R if rows_R is None else self._source_of_R[rows_R]
        if config.repetition_penalty != 1.0:
            scores_RV = penalize(scores_RV, tokens_RN, config.repetition_penalty)
        if config.no_repeat_ngram_size:
            _ban_repeated(scores_RV, tokens_RN, config.no_repeat_ngram_size)
        if config.encoder_no_repeat_ngram_size:
            self._ban_source(scores_RV, tokens_RN, source_of_R)
        self._ban_words(scores_RV, tokens_RN)
        if length < config.min_length:
            scores_RV[:, self._end] = _NEVER
        if self._automaton is not None:
            states_R = self._states_R if rows_R is None else self._states_R[rows_R]
            allowed_RV = self._automaton.next_tokens(states_R, config.max_length - length)
            sources = len(self._source_of_R) // self._copies
            group = len(states_R) // sources if self._competing else 1
            scores_RV = _only(scores_RV, allowed_RV, self._automaton.finished(states_R), group)
        scores_RV = self._force(scores_RV, length, source_of_R)
        return scores_RV.log_softmax(-1) if self._constraints.renormalize_logits else scores_RV

    def advance(self, tokens_R: Tensor, parents_R: Tensor | None = None) -> None:
        """Takes the newest tokens. Row r continues ``parents_R[r]``; default: itself.

        Shape of each: [R]
        """
        if self._automaton is not None:
            states_R = self._states_R if parents_R is None else self._states_R[parents_R]
            self._states_R = self._automaton.advance(states_R, tokens_R)

    def keep(self, sources_B: Tensor) -> None:
        """Continues with the rows of some of the sources. Shape: [B]"""
        self._source_of_R = self._source_of_R.view(-1, self._copies)[sources_B].flatten()
        self._states_R = self._states_R.view(-1, self._copies)[sources_B].flatten()

    def _ban_source(self, scores_RV: Tensor, tokens_RN: Tensor, source_of_R: Tensor) -> None:
        before = self._config.encoder_no_repeat_ngram_size - 1
        if tokens_RN.shape[1] < before or not len(self._ngram_source):
            return
        ends_R1n = tokens_RN[:, None, tokens_RN.shape[1] - before :]
        same = (self._source_ngrams_n[None, :, :-1] == ends_R1n).all(-1)
        same &= source_of_R[:, None] == self._ngram_source
        row, ngram = same.nonzero(as_tuple=True)
        scores_RV[row, self._source_ngrams_n[ngram, -1]] = _NEVER

    def _ban_words(self, scores_RV: Tensor, tokens_RN: Tensor) -> None:
        for words in self._bad_words:
            before = words.shape[1] - 1
            if before == 0:
                scores_RV[:, words[:, 0]] = _NEVER
            elif before <= tokens_RN.shape[1]:
                row, word = ((words[None, :, :-1] == tokens_RN[:, None, -before:]).all(-1)).nonzero(
                    as_tuple=True
                )
                scores_RV[row, words[word, -1]] = _NEVER

    def _force(self, scores_RV: Tensor, length: int, source_of_R: Tensor) -> Tensor:
        """A forced last token overrides a forced first one, and a prefix overrides both."""
        forced = self._constraints.forced_bos_token_id if length == 1 else None
        last = self._constraints.forced_eos_token_id
        if length == self._config.max_length - 1 and last is not None:
            forced = last
        if forced is not None:
            scores_RV.fill_(_NEVER)
            scores_RV[:, forced] = 0.0
        if length <= self._prefixes_BP.shape[1]:
            in_prefix_R1 = (self._prefix_lengths_B >= length)[source_of_R][:, None]
            certain = torch.full_like(scores_RV, _NEVER)
            certain.scatter_(1, self._prefixes_BP[source_of_R, length - 1][:, None], 0.0)
            scores_RV = certain.where(in_prefix_R1, scores_RV)
        return scores_RV


def penalize(scores_RV: Tensor, tokens_RN: Tensor, penalty: float) -> Tensor:
    """Divides positive scores of tokens so far by the penalty, and multiplies negative ones.

    Keskar et al. 2019, CTRL, section 4.1; below zero a division would favour the token.
    """
    so_far_RN = scores_RV.gather(1, tokens_RN)
    lower_RN = torch.where(so_far_RN < 0, so_far_RN * penalty, so_far_RN / penalty)
    return scores_RV.scatter(1, tokens_RN, lower_RN)


def _ban_repeated(scores_RV: Tensor, tokens_RN: Tensor, size: int) -> None:
    """Bans tokens that would repeat an n-gram."""
    if tokens_RN.shape[1] < size:
        return
    ngrams = tokens_RN.unfold(1, size, 1)
    ends_R1n = tokens_RN[:, None, tokens_RN.shape[1] - size + 1 :]
    row, index = (ngrams[:, :, :-1] == ends_R1n).all(-1).nonzero(as_tuple=True)
    scores_RV[row, ngrams[row, index, -1]] = _NEVER


def _only(scores_RV: Tensor, allowed_RV: Tensor, finished_R: Tensor, group: int) -> Tensor:
    """Bans all tokens that are not allowed.

    Where the other bans leave none of the allowed tokens, those bans yield: each allowed token is
    as likely as another.

    Args:
        scores_RV: scores after the other bans. Shape: [R, V]
        allowed_RV: tokens that may follow. Shape: [R, V]
        finished_R: rows that no longer count. Shape: [R]
        group: adjacent rows, of which one with tokens left keeps the bans for all.
    """
    scores_RV = scores_RV.masked_fill(~allowed_RV, _NEVER)
    stuck_R = scores_RV.amax(-1).isneginf() | finished_R
    stuck_R = stuck_R.view(-1, group).all(1).repeat_interleave(group)
    free = torch.zeros_like(scores_RV).masked_fill(~allowed_RV, _NEVER)
    return free.where(stuck_R[:, None], scores_RV)


def _by_length(words: Sequence[Sequence[int]], end: int, device: torch.device) -> list[Tensor]:
    """Banned sequences, grouped by length; never the end token alone, or no output could end."""
    words = [word for word in words if tuple(word) != (end,)]
    return [
        torch.tensor([word for word in words if len(word) == length], device=device)
        for length in sorted({len(word) for word in words})
    ]


def _padded(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows padded with zeros, and their lengths."""
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.long, device=device)
    if not rows or not int(lengths.max()):
        return lengths.new_zeros((len(rows), 0)), lengths
    padded = pad_sequence([torch.tensor(row, dtype=torch.long) for row in rows], batch_first=True)
    return padded.to(device), lengths


def _ngrams(
    rows: Sequence[Sequence[int]], size: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """The n-grams of all rows, and the row of each."""
    by_source = [
        (source, row[first : first + size])
        for source, row in enumerate(rows)
        for first in range(len(row) - size + 1)
    ]
    ngrams = torch.tensor([ngram for _, ngram in by_source], dtype=torch.long, device=device)
    return ngrams, torch.tensor(
        [source for source, _ in by_source], dtype=torch.long, device=device
    )
