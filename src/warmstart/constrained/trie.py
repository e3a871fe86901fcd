"""A prefix tree of the allowed outputs, in tensors for all rows at once.

Shape legend: R rows of a batch, E edges, V vocabulary.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

__all__ = ["Trie"]


class Trie:
    """A prefix tree of sequences of tokens; node 0 is the root.

    After a whole sequence, and off the tree, is a last node where only the end token follows.
    """

    def __init__(self, rows: Iterable[Sequence[int]], end: int, vocabulary: int) -> None:
        """Builds the tree.

        Args:
            rows: allowed outputs, each up to its end token.
            end: the end token.
            vocabulary: rows of the target embedding, more than any token.
        """
        children: list[dict[int, int]] = [{}]
        self.outputs = 0  # distinct ones
        for row in rows:
            node = 0
            for token in row:
                if token not in children[node]:
                    children[node][token] = len(children)
                    children.append({})
                    self.outputs += token == end
                node = children[node][token]
        self._last, self._vocabulary = len(children), vocabulary
        for leaf in children:
            if not leaf:
                leaf[end] = self._last
        children.append({end: self._last})
        edges = [
            (node, token, child)
            for node, following in enumerate(children)
            for token, child in sorted(following.items())
        ]
        counts = torch.tensor([len(following) for following in children])
        self._counts = counts
        self._firsts = counts.cumsum(0) - counts
        self._tokens_E = torch.tensor([token for _, token, _ in edges])
        self._children_E = torch.tensor([child for _, _, child in edges])
        # Edges in the order of this key, so that one search finds the edges of all rows.
        self._keys_E = torch.tensor([node * vocabulary + token for node, token, _ in edges])

    def to(self, device: torch.device) -> "Trie":
        """Moves the tree, in place."""
        for name in ("_counts", "_firsts", "_tokens_E", "_children_E", "_keys_E"):
            setattr(self, name, getattr(self, name).to(device))
        return self

    def next_tokens(self, states_R: Tensor, room: int) -> Tensor:
        """See `OutputAutomaton`; all outputs fit into any room. Shape: [R] -> [R, V]"""
        counts_R = self._counts[states_R]
        rows = torch.arange(len(states_R), device=states_R.device).repeat_interleave(counts_R)
        within = torch.arange(len(rows), device=rows.device) - (counts_R.cumsum(0) - counts_R)[rows]
        allowed_RV = torch.zeros(
            len(states_R), self._vocabulary, dtype=torch.bool, device=states_R.device
        )
        allowed_RV[rows, self._tokens_E[self._firsts[states_R][rows] + within]] = True
        return allowed_RV

    def finished(self, states_R: Tensor) -> Tensor:
        """Whether rows have ended, or have left the tree. Shape: [R] -> [R]"""
        return states_R == self._last

    def advance(self, states_R: Tensor, tokens_R: Tensor) -> Tensor:
        """The nodes that tokens lead to. Shape: [R], [R] -> [R]"""
        keys_R = states_R * self._vocabulary + tokens_R
        indices = torch.searchsorted(self._keys_E, keys_R).clamp_max(len(self._keys_E) - 1)
        return self._children_E[indices].where(self._keys_E[indices] == keys_R, self._last)
