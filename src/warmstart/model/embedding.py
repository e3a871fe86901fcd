"""Token ids to vectors. Shape legend: T tokens (any leading shape), E embedding, H hidden size."""

import torch
from torch import Tensor, nn

from warmstart.model.config import LearnedPositions, SinusoidalPositions, StackConfig
from warmstart.model.norm import norm
from warmstart.model.position import sinusoids

__all__ = ["Embedding"]


class Embedding(nn.Module):
    """Word, position and type vectors, summed, normed, and projected if the widths differ."""

    def __init__(self, config: StackConfig) -> None:
        super().__init__()
        self.config = config.embedding
        size = self.config.size
        self.word = nn.Embedding(self.config.vocabulary, size)
        self.position: nn.Embedding | None = None
        if isinstance(self.config.positions, LearnedPositions):
            width = size if self.config.positions.projected else config.hidden_size
            self.position = nn.Embedding(self.config.positions.rows, width)
        self.token_type: nn.Embedding | None = None
        if self.config.token_types:
            self.token_type = nn.Embedding(self.config.token_types, size)
        self.task_type: nn.Embedding | None = None
        if self.config.task_types:
            self.task_type = nn.Embedding(self.config.task_types, size)
        self.norm = norm(self.config.norm, size) if self.config.norm is not None else None
        self.projection = (
            nn.Linear(size, config.hidden_size, self.config.projection_bias)
            if size != config.hidden_size
            else None
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, tokens_T: Tensor, positions_T: Tensor) -> Tensor:
        """Shape: [T], [T] -> [T, H]"""
        x: Tensor = self.word(tokens_T)
        if self.config.scale != 1.0:
            # Rounded to the weight's type first, as Gemma was trained.
            x = x * torch.tensor(self.config.scale, dtype=x.dtype)
        late: Tensor | None = None
        if self.position is not None:
            assert isinstance(self.config.positions, LearnedPositions)
            vectors: Tensor = self.position(positions_T + self.config.positions.offset)
            if self.config.positions.projected:
                x = x + vectors
            else:
                late = vectors
        elif isinstance(self.config.positions, SinusoidalPositions):
            x = x + sinusoids(positions_T, self.config.size).to(x.dtype)
        if self.token_type is not None:
            x = x + self.token_type.weight[0]
        if self.task_type is not None:
            x = x + self.task_type.weight[0]
        if self.norm is not None:
            x = self.norm(x)
        x = self.dropout(x)
        if self.projection is not None:
            x = self.projection(x)
        return x if late is None else x + late
