"""A search bound to its model and settings, ready for batches."""

from dataclasses import dataclass

from warmstart.generation.generation_config import NO_CONSTRAINTS, Constraints, GenerationConfig
from warmstart.generation.logits import LogitsProcessor
from warmstart.generation.row_inputs import RowInputs
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.sequences import Sequences
from warmstart.text.special_tokens import SpecialTokens

__all__ = ["Search"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What all batches of a request have in common.

    Attributes:
        model: in evaluation mode.
        special: start and end token.
        config: decoding settings.
        constraints: the model's own, whatever the settings.
        scored: whether greedy outputs and samples carry scores; those of beam search always do.
    """

    model: EncoderDecoder
    special: SpecialTokens
    config: GenerationConfig
    constraints: Constraints = NO_CONSTRAINTS
    scored: bool = False

    def processor(
        self, source: Sequences, inputs: RowInputs, *, copies: int = 1, competing: bool = False
    ) -> LogitsProcessor:
        """The changes to the scores of one batch.

        Args:
            source: B sources.
            inputs: of the batch.
            copies: rows of each source.
            competing: whether the rows of a source compete, as beams do.
        """
        return LogitsProcessor(
            self.special.end,
            self.config,
            self.constraints,
            inputs,
            sources=len(source.lengths),
            copies=copies,
            competing=competing,
            device=source.tokens.device,
        )
