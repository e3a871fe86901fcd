"""Outputs whose text a byte automaton allows, in tensors for all rows at once.

A token leads from a state to the state after all of its bytes. The tokens allowed in a state are
computed when a row first reaches it, and cached. Each state has the minimal number of tokens to an
allowed end, so that rows are led to one before the limit.

Shape legend: R rows of a batch, V vocabulary, K cached states, P pairs of a state and a node of the
tree of tokens, S states.
"""

import threading
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from warmstart.constrained.byte_automaton import ByteAutomaton, distinct, spans, steps_to

__all__ = ["TokenAutomaton", "TokenTree"]

_LAST, _STATES = 1, 2  # the last node, and the one of the automaton's state 0
_FAR = int(np.iinfo(np.int16).max)  # tokens from a state without a path to an end
_PAIRS = 4_000_000  # per walk
_KEPT = 64 * 2**20  # tokens of cached states; more than a batch needs


class TokenTree:
    """A prefix tree of the bytes of tokens; node 0 is the root.

    The nodes of a depth are contiguous, and so are the children of a node.

    Attributes:
        nodes: number of nodes.
        first_V: the node after the bytes of each token at the start of a text; 0 without bytes.
        later_V: the same after other text.
    """

    def __init__(self, first: Sequence[bytes], later: Sequence[bytes]) -> None:
        """Builds the tree.

        Args:
            first: the bytes of each token at the start of a text. Shape: [V]
            later: its bytes after other text. Shape: [V]
        """
        both = [*first, *later]
        lengths = np.array([len(text) for text in both])
        offsets = lengths.cumsum() - lengths
        letters = np.frombuffer(b"".join(both), np.uint8).astype(np.int64)
        nodes = np.zeros(len(both), np.int64)
        parents, letters_of, count = [np.zeros(0, np.int64)], [np.zeros(1, np.int64)], 1
        for depth in range(int(lengths.max())):
            (longer,) = (lengths > depth).nonzero()
            keys = nodes[longer] * 256 + letters[offsets[longer] + depth]
            new = distinct(keys)
            nodes[longer] = count + np.searchsorted(new, keys)
            parents.append(new // 256)
            letters_of.append(new % 256)
            count += len(new)
        self.nodes = count
        self.first_V, self.later_V = nodes[: len(first)], nodes[len(first) :]
        self._letters = np.concatenate(letters_of)
        children = np.bincount(np.concatenate(parents), minlength=count)
        self._end_of_children = 1 + children.cumsum()
        self._first = self._end_of_children - children

    def walk(
        self, automaton: ByteAutomaton, states: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
        """Follows the bytes of all nodes from each of some states, except to dead ends.

        Yields:
            For each depth: indices of the states, nodes, and states after them. Shape: [P] each
        """
        origins, nodes = np.arange(len(states)), np.zeros(len(states), np.int64)
        while len(origins):
            counts = self._end_of_children[nodes] - self._first[nodes]
            nodes = spans(self._first[nodes], self._end_of_children[nodes])
            origins = np.repeat(origins, counts)
            following = automaton.after_NB[np.repeat(states, counts), self._letters[nodes]]
            (lives,) = following.nonzero()
            origins, nodes = origins[lives], nodes[lives]
            states = following[lives].astype(np.int64)
            yield origins, nodes, states


class TokenAutomaton:
    """Texts that an automaton allows, in tokens; node 0 is the beginning.

    Node 1 follows the end token, and any token that is not allowed: only the end token follows it.
    Then come the automaton's states, and those before `begin` is complete.
    """

    def __init__(
        self, automaton: ByteAutomaton, tree: TokenTree, end: int, begin: Sequence[int] = ()
    ) -> None:
        """Finds the states that tokens lead to.

        Args:
            automaton: of texts. No edge leads back to its first state.
            tree: of the bytes of tokens. The end token has none.
            end: the end token.
            begin: tokens without bytes at the beginning of outputs.
        """
        self._automaton, self._tree, self._end, self._begin = automaton, tree, end, tuple(begin)
        states = len(automaton.after_NB)
        # Of the beginning, and after each token of `begin`.
        self._beginnings = [0, *range(_STATES + states, _STATES + states + len(begin))]
        to_go_N = self._tokens_to_go()
        of_beginnings = [
            int(to_go_N[automaton.start]) + len(begin) - written
            for written in range(len(begin) + 1)
        ]
        to_go = [of_beginnings[0], 0, *to_go_N, *of_beginnings[1:]]
        self._to_go_S = torch.tensor(to_go, dtype=torch.int16)
        self._lock = threading.Lock()
        self._forget(torch.device("cpu"))

    def shortest(self, tokens: Sequence[int] = ()) -> int | None:
        """The length of the shortest output in tokens, end token included.

        Args:
            tokens: at its beginning.

        Returns:
            None if no allowed output begins with them.
        """
        node = torch.zeros(1, dtype=torch.long, device=self._to_go_S.device)
        for token in tokens:
            node = self.advance(node, torch.full_like(node, token))
        to_go = int(self._to_go_S[node])
        return None if to_go >= _FAR or int(node) == _LAST else len(tokens) + to_go + 1

    def writes(self, token: int) -> bool:
        """Whether a token has bytes."""
        return bool(self._tree.later_V[token])

    def to(self, device: torch.device) -> "TokenAutomaton":
        """Moves to a device, in index; cached states are dropped."""
        with self._lock:
            if device != self._to_go_S.device:
                self._forget(device)
        return self

    @torch.inference_mode()
    def next_tokens(self, states_R: Tensor, room: int) -> Tensor:
        """See `OutputAutomaton.next_tokens`. Shape: [R] -> [R, V]"""
        with self._lock:
            slots_R = self._look_up(states_R)
            allowed_RV = self._least_KV[slots_R] <= min(room, _FAR - 1)
            # An unused row may be in a state without a path within the limit.
            allowed_RV[:, self._end] |= self._to_go_S[states_R] >= room
            return allowed_RV

    @torch.inference_mode()
    def advance(self, states_R: Tensor, tokens_R: Tensor) -> Tensor:
        """The nodes that tokens lead to. Shape: [R], [R] -> [R]"""
        with self._lock:
            slots_R = self._look_up(states_R)
            return self._after_KV[slots_R, tokens_R].long()

    def finished(self, states_R: Tensor) -> Tensor:
        """Whether rows have ended, or are no longer allowed. Shape: [R] -> [R]"""
        return states_R == _LAST

    def _tokens_to_go(self) -> NDArray[np.int64]:
        """The minimal number of tokens from each state to an allowed end, without the end token."""
        automaton, tree = self._automaton, self._tree
        states = len(automaton.after_NB)
        is_token = np.zeros((2, tree.nodes), np.bool_)
        is_token[0, tree.later_V], is_token[1, tree.first_V] = True, True
        is_token[:, 0] = False
        seen = np.zeros(states, np.bool_)
        frontier, edges = np.array([automaton.start]), [np.zeros(0, np.int64)]
        at_once = max(_PAIRS // tree.nodes, 1)
        while len(frontier):
            seen[frontier] = True
            found = len(edges)
            for begin in range(0, len(frontier), at_once):
                some = frontier[begin : begin + at_once]
                of_first = int(automaton.start in some)
                for origins, nodes, following in tree.walk(automaton, some):
                    ends = is_token[of_first, nodes]
                    edges.append(distinct(some[origins[ends]] * states + following[ends]))
            new = np.zeros(states, np.bool_)
            for codes in edges[found:]:
                new[codes % states] = True
            (frontier,) = (new & ~seen).nonzero()
        codes = distinct(np.concatenate(edges))
        steps_N = steps_to(automaton.accepts_N & seen, codes // states, codes % states)
        return np.minimum(steps_N, _FAR).astype(np.int64)

    def _forget(self, device: torch.device) -> None:
        """Empties the cache of states."""
        vocabulary = len(self._tree.later_V)
        self._to_go_S = self._to_go_S.to(device)
        self._slots_S = torch.full((len(self._to_go_S),), -1, device=device)
        self._after_KV = torch.zeros((0, vocabulary), dtype=torch.int32, device=device)
        self._least_KV = torch.zeros((0, vocabulary), dtype=torch.int16, device=device)
        self._kept = 0

    def _look_up(self, states_R: Tensor) -> Tensor:
        """The slots of nodes in the cache, filled if necessary. Shape: [R]"""
        slots_R = self._slots_S[states_R]
        if not bool((slots_R < 0).any()):
            return slots_R
        if self._kept * self._after_KV.shape[1] > _KEPT:
            self._forget(states_R.device)
        missing = states_R[self._slots_S[states_R] < 0].unique()
        room = len(self._after_KV) - self._kept
        if len(missing) > room:
            more = max(len(missing), self._kept)
            for name in ("_after_KV", "_least_KV"):
                old = getattr(self, name)
                setattr(self, name, torch.cat((old, old.new_empty((more, old.shape[1])))))
        to_go_S = self._to_go_S.cpu()
        for slot, node in enumerate(missing.tolist(), start=self._kept):
            after_V = torch.from_numpy(self._after_each(node))
            # The token itself, the tokens after it, and the end token.
            least_V = to_go_S[after_V].int().add_(2).clamp_max_(_FAR).to(torch.int16)
            least_V[torch.from_numpy(self._tree.later_V == 0)] = _FAR
            least_V[after_V == _LAST] = _FAR
            if node in self._beginnings[:-1]:
                index = self._beginnings.index(node)
                least_V.fill_(_FAR)
                least_V[self._begin[index]] = int(to_go_S[node]) + 1
            elif int(to_go_S[node]) == 0:
                least_V[self._end] = 1
            self._after_KV[slot], self._least_KV[slot] = after_V, least_V
        self._slots_S[missing] = torch.arange(
            self._kept, self._kept + len(missing), device=missing.device
        )
        self._kept += len(missing)
        return self._slots_S[states_R]

    def _after_each(self, node: int) -> NDArray[np.int32]:
        """The node that each token leads to. Shape: [V]"""
        automaton, tree, start = self._automaton, self._tree, self._automaton.start
        after_V = np.full(len(tree.later_V), _LAST, np.int32)
        if node == _LAST:
            return after_V
        if node in self._beginnings[:-1]:
            index = self._beginnings.index(node)
            after_V[tree.first_V == 0] = node
            after_V[self._begin[index]] = self._beginnings[index + 1]
        else:
            of_first = node == self._beginnings[-1]
            following = np.zeros(tree.nodes, np.int64)
            state = start if of_first else node - _STATES
            for _, nodes, states in tree.walk(automaton, np.array([state])):
                following[nodes] = states
            states_V = following[tree.first_V if of_first else tree.later_V]
            reached_V = states_V != 0
            after_V[reached_V] = states_V[reached_V] + _STATES
            after_V[tree.later_V == 0] = node
        after_V[self._end] = _LAST
        return after_V
