"""What single calls and texts bring to decoding, in token ids."""

from collections.abc import Sequence
from dataclasses import dataclass

from warmstart.generation.listening import Listener
from warmstart.generation.trie import Trie

__all__ = ["NO_GUIDE", "Guide"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """What outputs have to begin with, to be, or not to repeat.

    Attributes:
        prefixes: tokens that each output begins with, behind the start token and shorter than the
            limit; none where there are no prefixes. Shape: [B, ...]
        source_rows: each source in the target's vocabulary, for `encoder_no_repeat_ngram_size`.
            Shape: [B, ...]
        draft_rows: each source in the target's vocabulary, to guess outputs by; none where no
            drafts are asked for. Shape: [B, ...]
        choices: the outputs that are allowed; None: any.
        listener: told each row's token at each step of a greedy search or a sample; None: nobody.
    """

    prefixes: Sequence[Sequence[int]] = ()
    source_rows: Sequence[Sequence[int]] = ()
    draft_rows: Sequence[Sequence[int]] = ()
    choices: Trie | None = None
    listener: Listener | None = None


NO_GUIDE = Guide()
