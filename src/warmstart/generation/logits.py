"""Changes to the scores of the next token, the same for greedy, beam search and sampling.

They come in transformers' order, and each means what it means there. All rows change at once.

Shape legend: B sources, R rows decoded side by side (the rows of a source stand together), N
tokens written so far (start token included), V vocabulary, n the size of an n-gram.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from warmstart.generation.config import NO_CONSTRAINTS, Constraints, GenerationConfig
from warmstart.generation.row_inputs import NO_GUIDE, Guide

__all__ = ["Rules"]

_NEVER = float("-inf")


class Rules:
    """Forbids what may not follow, by minus infinity; what is forced is certain.

    Made for one batch; it follows each row through the allowed outputs, where there are any.
    """

    def __init__(
        self,
        end: int,
        options: GenerationConfig,
        constraints: Constraints = NO_CONSTRAINTS,
        guide: Guide = NO_GUIDE,
        *,
        sources: int,
        rows: int = 1,
        beams: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        """Lays out what has to be looked up.

        Args:
            end: id of the end token, forbidden before `min_length`.
            options: lengths, penalties and sizes of n-grams are looked at.
            constraints: what the model asks for.
            guide: what the call and its texts ask for.
            sources: B.
            rows: rows of each source.
            beams: whether these compete, so that one may give way to another.
            device: of the scores.
        """
        self._end, self._options, self._constraints = end, options, constraints
        device, self._rows, self._beams = torch.device(device), rows, beams
        self._source_of_R = torch.arange(sources, device=device).repeat_interleave(rows)
        self._bad_words = _by_length(constraints.bad_words_ids, end, device)
        self._prefixes_BP, self._prefix_lengths_B = _rectangle(guide.prefixes, device)
        size = options.encoder_no_repeat_ngram_size
        self._source_ngrams_n, self._ngram_source = _ngrams(
            guide.source_rows if size else (), size, device
        )
        self._allowed = None if guide.allowed is None else guide.allowed.to(device)
        self._nodes_R = torch.zeros_like(self._source_of_R)

    @property
    def idle(self) -> bool:
        """Whether no score will ever be changed."""
        options, asked = self._options, self._constraints
        return (
            options.repetition_penalty == 1.0
            and not options.no_repeat_ngram_size
            and not options.encoder_no_repeat_ngram_size
            and not self._bad_words
            and options.min_length <= 1
            and self._allowed is None
            and asked.forced_bos_token_id is None
            and asked.forced_eos_token_id is None
            and not self._prefixes_BP.shape[1]
            and not asked.renormalize_logits
        )

    def prefix_lengths(self) -> Tensor:
        """How many tokens of each row are given. Shape: [R]"""
        if not self._prefix_lengths_B.numel():
            return torch.zeros_like(self._source_of_R)
        return self._prefix_lengths_B[self._source_of_R]

    def apply(self, scores_RV: Tensor, written_RN: Tensor, rows: Tensor | None = None) -> Tensor:
        """Changes the scores of the next token, in place where that can be.

        Args:
            scores_RV: logits or log-probabilities. Shape: [R, V]
            written_RN: tokens of each row so far, the start token first. Shape: [R, N]
            rows: which of the rows these are. Default: all. Shape: [R]
        """
        options, written = self._options, written_RN.shape[1]
        source_of_R = self._source_of_R if rows is None else self._source_of_R[rows]
        if options.repetition_penalty != 1.0:
            scores_RV = penalize(scores_RV, written_RN, options.repetition_penalty)
        if options.no_repeat_ngram_size:
            _ban_repeated(scores_RV, written_RN, options.no_repeat_ngram_size)
        if options.encoder_no_repeat_ngram_size:
            self._ban_source(scores_RV, written_RN, source_of_R)
        self._ban_words(scores_RV, written_RN)
        if written < options.min_length:
            scores_RV[:, self._end] = _NEVER
        if self._allowed is not None:
            nodes_R = self._nodes_R if rows is None else self._nodes_R[rows]
            allowed_RV = self._allowed.allowed(nodes_R, options.max_length - written)
            sources = len(self._source_of_R) // self._rows
            together = len(nodes_R) // sources if self._beams else 1
            scores_RV = _only(scores_RV, allowed_RV, self._allowed.off(nodes_R), together)
        scores_RV = self._force(scores_RV, written, source_of_R)
        return scores_RV.log_softmax(-1) if self._constraints.renormalize_logits else scores_RV

    def advance(self, tokens_R: Tensor, parents_R: Tensor | None = None) -> None:
        """Follows the rows. Row r continues ``parents_R[r]``; default: itself. Shape: [R] each"""
        if self._allowed is not None:
            nodes_R = self._nodes_R if parents_R is None else self._nodes_R[parents_R]
            self._nodes_R = self._allowed.after(nodes_R, tokens_R)

    def keep(self, sources_B: Tensor) -> None:
        """Goes on with the rows of some of the sources alone. Shape: [B]"""
        self._source_of_R = self._source_of_R.view(-1, self._rows)[sources_B].flatten()
        self._nodes_R = self._nodes_R.view(-1, self._rows)[sources_B].flatten()

    def _ban_source(self, scores_RV: Tensor, written_RN: Tensor, source_of_R: Tensor) -> None:
        before = self._options.encoder_no_repeat_ngram_size - 1
        if written_RN.shape[1] < before or not len(self._ngram_source):
            return
        ends_R1n = written_RN[:, None, written_RN.shape[1] - before :]
        same = (self._source_ngrams_n[None, :, :-1] == ends_R1n).all(-1)
        same &= source_of_R[:, None] == self._ngram_source
        row, ngram = same.nonzero(as_tuple=True)
        scores_RV[row, self._source_ngrams_n[ngram, -1]] = _NEVER

    def _ban_words(self, scores_RV: Tensor, written_RN: Tensor) -> None:
        for words in self._bad_words:
            before = words.shape[1] - 1
            if before == 0:
                scores_RV[:, words[:, 0]] = _NEVER
            elif before <= written_RN.shape[1]:
                row, word = (
                    (words[None, :, :-1] == written_RN[:, None, -before:]).all(-1)
                ).nonzero(as_tuple=True)
                scores_RV[row, words[word, -1]] = _NEVER

    def _force(self, scores_RV: Tensor, written: int, source_of_R: Tensor) -> Tensor:
        """The last token goes before the first, and what the caller gives before both."""
        forced = self._constraints.forced_bos_token_id if written == 1 else None
        last = self._constraints.forced_eos_token_id
        if written == self._options.max_length - 1 and last is not None:
            forced = last
        if forced is not None:
            scores_RV.fill_(_NEVER)
            scores_RV[:, forced] = 0.0
        if written <= self._prefixes_BP.shape[1]:
            given_R1 = (self._prefix_lengths_B >= written)[source_of_R][:, None]
            certain = torch.full_like(scores_RV, _NEVER)
            certain.scatter_(1, self._prefixes_BP[source_of_R, written - 1][:, None], 0.0)
            scores_RV = certain.where(given_R1, scores_RV)
        return scores_RV


def penalize(scores_RV: Tensor, written_RN: Tensor, penalty: float) -> Tensor:
    """Divides what is above zero by the penalty, and multiplies what is below, once for a token.

    Keskar et al. 2019, CTRL, section 4.1; below zero a division would favour the token.
    """
    of_written = scores_RV.gather(1, written_RN)
    lower = torch.where(of_written < 0, of_written * penalty, of_written / penalty)
    return scores_RV.scatter(1, written_RN, lower)


def _ban_repeated(scores_RV: Tensor, written_RN: Tensor, size: int) -> None:
    """Forbids tokens that would complete an n-gram that is there already."""
    if written_RN.shape[1] < size:
        return
    ngrams = written_RN.unfold(1, size, 1)
    ends_R1n = written_RN[:, None, written_RN.shape[1] - size + 1 :]
    row, place = (ngrams[:, :, :-1] == ends_R1n).all(-1).nonzero(as_tuple=True)
    scores_RV[row, ngrams[row, place, -1]] = _NEVER


def _only(scores_RV: Tensor, allowed_RV: Tensor, off_R: Tensor, together: int) -> Tensor:
    """Forbids all other tokens.

    Where the other rules leave none of them, they yield: each is as likely as another.

    Args:
        scores_RV: scores after the other rules. Shape: [R, V]
        allowed_RV: what may follow. Shape: [R, V]
        off_R: rows that count no more. Shape: [R]
        together: rows that stand together: one that has something left speaks for all.
    """
    scores_RV = scores_RV.masked_fill(~allowed_RV, _NEVER)
    stuck_R = scores_RV.amax(-1).isneginf() | off_R
    stuck_R = stuck_R.view(-1, together).all(1).repeat_interleave(together)
    free = torch.zeros_like(scores_RV).masked_fill(~allowed_RV, _NEVER)
    return free.where(stuck_R[:, None], scores_RV)


def _by_length(words: Sequence[Sequence[int]], end: int, device: torch.device) -> list[Tensor]:
    """Forbidden sequences, those of a length together; an output must be able to end."""
    words = [word for word in words if tuple(word) != (end,)]
    return [
        torch.tensor([word for word in words if len(word) == length], device=device)
        for length in sorted({len(word) for word in words})
    ]


def _rectangle(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows filled up with zeros, and their lengths."""
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.long, device=device)
    if not rows or not int(lengths.max()):
        return lengths.new_zeros((len(rows), 0)), lengths
    padded = pad_sequence([torch.tensor(row, dtype=torch.long) for row in rows], batch_first=True)
    return padded.to(device), lengths


def _ngrams(
    rows: Sequence[Sequence[int]], size: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """The n-grams of all rows, and the row that each is of."""
    found = [
        (source, row[place : place + size])
        for source, row in enumerate(rows)
        for place in range(len(row) - size + 1)
    ]
    ngrams = torch.tensor([ngram for _, ngram in found], dtype=torch.long, device=device)
    return ngrams, torch.tensor([source for source, _ in found], dtype=torch.long, device=device)
