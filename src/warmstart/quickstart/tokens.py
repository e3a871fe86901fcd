"""Text to the token sequences that masked and causal language modelling train on."""

from collections.abc import Sequence
from typing import Final

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer
from torch import Tensor

from warmstart.quickstart.corpus import Passage

__all__ = ["SPECIAL_TOKENS", "mask_tokens", "pack", "token_id", "train_tokenizer"]

SPECIAL_TOKENS: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # ids 0 to 4


def train_tokenizer(texts: list[str], vocabulary: int) -> Tokenizer:
    """Cased byte-pair encoding that gives any text of known characters back unchanged.

    BERT's own pre-tokenizer loses the spaces around punctuation, so that no output could equal its
    reference; here a space is a part (`▁`) of the token that follows it.
    """
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always"),
            pre_tokenizers.Punctuation("isolated"),
            pre_tokenizers.Digits(individual_digits=True),
        ]
    )
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    printable = [chr(code) for code in range(33, 127)] + ["▁"]
    trainer = BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=printable,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    cls, sep = token_id(tokenizer, "[CLS]"), token_id(tokenizer, "[SEP]")
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", sep), ("[CLS]", cls))
    return tokenizer


def token_id(tokenizer: Tokenizer, token: str) -> int:
    """The id of a token that the tokenizer is known to have."""
    found = tokenizer.token_to_id(token)
    assert found is not None
    return found


def pack(tokenizer: Tokenizer, passages: Sequence[Passage], length: int) -> Tensor:
    """Full sequences `[CLS] sentence sentence ... [SEP]` without padding.

    A sequence starts where a sentence starts; a last sentence that does not fit is cut there and
    comes again, whole, at the start of the next. Modules follow one another without a break.

    Returns:
        Token ids. Shape: [sequences, length], int64.
    """
    cls, sep = token_id(tokenizer, "[CLS]"), token_id(tokenizer, "[SEP]")
    room = length - 2
    rows: list[list[int]] = []
    current: list[int] = []
    texts = [sentence for passage in passages for sentence in passage.sentences]
    for encoding in tokenizer.encode_batch(texts, add_special_tokens=False):
        ids = encoding.ids[:room]
        if len(current) + len(ids) > room:
            rows.append([cls, *(current + ids)[:room], sep])
            current = []
        current += ids
        if len(current) == room:
            rows.append([cls, *current, sep])
            current = []
    return torch.tensor(rows)


def mask_tokens(
    ids: Tensor, share: float, vocabulary: int, mask_id: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """BERT's corruption: of the chosen tokens 80 % become [MASK], 10 % random, 10 % stay.

    Returns:
        Corrupted ids and which positions to predict. Shapes: [batch, length] both. The number of
        chosen positions is the same for every batch of one shape.
    """
    flat = ids.flatten()
    candidates = (flat >= len(SPECIAL_TOKENS)).nonzero().squeeze(1)
    count = int(share * flat.numel() * 0.98)  # [CLS] and [SEP] are 2 of 128
    order = torch.randperm(candidates.numel(), generator=generator)[:count]
    chosen = candidates[order]
    corrupted = flat.clone()
    kind = torch.rand(count, generator=generator)
    corrupted[chosen[kind < 0.8]] = mask_id
    swapped = chosen[kind >= 0.9]
    corrupted[swapped] = torch.randint(
        len(SPECIAL_TOKENS), vocabulary, (swapped.numel(),), generator=generator
    )
    positions = torch.zeros_like(flat, dtype=torch.bool)
    positions[chosen] = True
    return corrupted.view_as(ids), positions.view_as(ids)
