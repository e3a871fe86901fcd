"""The full model: encoder, bridge, decoder, head.

Shape legend: B sources, S source tokens and T target tokens of all of them together, R rows
decoded side by side (B times the beams), N new tokens a row, H decoder width, V vocabulary.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from warmstart.model.config import EncoderDecoderConfig
from warmstart.model.head import Head
from warmstart.model.key_value_cache import Cache
from warmstart.model.loading_types import Compile
from warmstart.model.sequences import Sequences, join, pad
from warmstart.model.stack import Stack

__all__ = ["EncoderDecoder"]


class EncoderDecoder(nn.Module):
    """Two stacks joined by cross-attention, or a decoder that reads the source as its prefix.

    Attributes:
        compile_steps: whether decoding compiles its steps, see `compiled_steps.py`.
        compiled_step: tried first for each step of decoding; None comes back where it has nothing.
    """

    compile_steps: Compile = "no"
    compiled_step: Callable[[Tensor, Cache], Tensor | None] | None = None

    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Stack(config.encoder) if config.encoder is not None else None
        self.decoder = Stack(config.decoder)
        if config.shared_words:
            assert self.encoder is not None
            self.decoder.embedding.word.weight = self.encoder.embedding.word.weight
        self.head = Head(config.head, config.decoder, self.decoder.embedding.word)
        self.bridge: nn.Linear | None = None
        if config.bridge:
            assert config.encoder is not None
            self.bridge = nn.Linear(config.encoder.hidden_size, config.decoder.hidden_size)

    @property
    def source_limit(self) -> int | None:
        """The longest source in tokens that the positions allow; None: any."""
        if self.config.encoder is not None:
            return self.config.encoder.position_limit
        # The source is a prefix: half of the positions are left for the target.
        limit = self.config.decoder.position_limit
        return None if limit is None else limit // 2

    @property
    def target_limit(self) -> int | None:
        """The longest target in tokens that the positions allow; None: any."""
        limit = self.config.decoder.position_limit
        if limit is None or self.config.encoder is not None:
            return limit
        return limit - limit // 2

    def forward(
        self,
        source: Sequences,
        target: Sequences,
        labels_T: Tensor | None = None,
        label_count: float | Tensor | None = None,
        *,
        weights: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> Tensor:
        """Logits, or the loss where labels are given.

        Args:
            source: source tokens.
            target: target tokens, beginning with the start token.
            labels_T: the token that should follow each target token. Shape: [T]
            label_count: divisor of the summed loss: the labels of the whole effective
                batch, or the sum of their weights, so that it does not matter how a batch is cut.
                Default: those of this batch.
            weights: how much each label counts, or each target with all of its labels.
                Default: 1. Shape: [T] or [B]
            label_smoothing: see `Head.loss`.

        Returns:
            Logits, shape [T, V]; with labels the loss in nats, shape [].
        """
        hidden_TH = self.states(source, target)
        if labels_T is None:
            logits: Tensor = self.head(hidden_TH)
            return logits
        if weights is not None and weights.shape[0] == len(target.lengths):
            lengths_B = torch.tensor(target.lengths, device=weights.device)
            weights = weights.repeat_interleave(lengths_B)
        if label_count is None:
            label_count = labels_T.shape[0] if weights is None else weights.sum()
        return self.head.loss(hidden_TH, labels_T, weights, label_smoothing) / label_count

    def states(self, source: Sequences, target: Sequences) -> Tensor:
        """Decoder states of full targets, the head's input. Shape: [T, H]"""
        if self.encoder is None:
            return self._continue_prefix(source, target)
        hidden_TH: Tensor = self.decoder(target, self.encode(source), source.lengths)
        return hidden_TH

    def encode(self, source: Sequences) -> Tensor:
        """Encoder states in the decoder's width. Shape: [S, H]"""
        assert self.encoder is not None
        states: Tensor = self.encoder(source)
        return states if self.bridge is None else self.bridge(states)

    def start(self, source: Sequences, capacity: int, beams: int = 1) -> Cache:
        """Reads the sources and returns a cache to decode from.

        Args:
            source: B sources.
            capacity: the most target tokens of a row.
            beams: rows of each source; the rows of a source are adjacent.
        """
        rows = len(source.lengths) * beams
        if self.encoder is not None:
            return self.decoder.start_cache(rows, capacity, self.encode(source), source.lengths)
        cache = self.decoder.start_cache(rows, capacity + max(source.lengths))
        cache.sources = len(source.lengths)
        tokens_RN = pad(source.tokens, source.lengths).repeat_interleave(beams, dim=0)
        lengths = tuple(length for length in source.lengths for _ in range(beams))
        self.decoder.step(tokens_RN, cache, lengths)
        return cache

    def step(self, tokens_RN: Tensor, cache: Cache) -> Tensor:
        """Logits of the successor of each of the next tokens. Shape: [R, N] -> [R, N, V]"""
        if self.compiled_step is not None:
            compiled = self.compiled_step(tokens_RN, cache)
            if compiled is not None:
                return compiled
        logits: Tensor = self.head(self.decoder.step(tokens_RN, cache))
        return logits

    def _continue_prefix(self, source: Sequences, target: Sequences) -> Tensor:
        """Target states of a decoder that has read the source first. Shape: [T, H]"""
        lengths = tuple(s + t for s, t in zip(source.lengths, target.lengths, strict=True))
        tokens = join(source.tokens, source.lengths, target.tokens, target.lengths)
        joined = Sequences(tokens, lengths)
        is_target = [
            torch.arange(total) >= prefix
            for total, prefix in zip(lengths, source.lengths, strict=True)
        ]
        hidden: Tensor = self.decoder(joined)
        return hidden[torch.cat(is_target).to(hidden.device)]
