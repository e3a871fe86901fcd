"""A model folder, opened: what it is made of, its tokenizers and its provenance, but no tensors."""

from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from warmstart.checkpoint.files import Checkpoint, read_json
from warmstart.composition.composition import Composition
from warmstart.composition.provenance import PROVENANCE, Provenance
from warmstart.composition.saved_model import needs_target_tokenizer, read_composition
from warmstart.text.tokenizer_files import load_tokenizer
from warmstart.text.tokenizer_pair import TARGET_FOLDER, TokenizerPair

__all__ = ["ModelFolder", "open_model_folder"]


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model folder whose config has been read; the rest is read by the methods.

    Attributes:
        checkpoint: its config and tensors.
        composition: what it is made of.
    """

    checkpoint: Checkpoint
    composition: Composition

    def source_tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer of what the model reads.

        Raises:
            CheckpointError: if it cannot be read.
        """
        name = self.checkpoint.name
        return load_tokenizer(self.checkpoint.folder, f"the source tokenizer of {name}")

    def target_tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer of what the model writes; it may be the same files.

        Raises:
            CheckpointError: if it cannot be read.
        """
        folder = self.checkpoint.folder
        if needs_target_tokenizer(self.checkpoint, self.composition):
            folder /= TARGET_FOLDER
        return load_tokenizer(folder, f"the target tokenizer of {self.checkpoint.name}")

    def tokenizers(self) -> TokenizerPair:
        """Both tokenizers; one object if they are the same files or equal.

        Raises:
            CheckpointError: if one cannot be read.
        """
        source = target = self.source_tokenizer()
        if needs_target_tokenizer(self.checkpoint, self.composition):
            target = self.target_tokenizer()
        composition = self.composition
        return TokenizerPair.of(source, target, composition.decoder, composition.target_start)

    def provenance(self) -> Provenance | None:
        """Where every tensor came from; None if the folder does not say.

        Raises:
            CheckpointError: if the file is damaged.
        """
        file = self.checkpoint.folder / PROVENANCE
        return Provenance.from_json(read_json(file)) if file.is_file() else None


def open_model_folder(checkpoint: Checkpoint) -> ModelFolder:
    """Reads what a checkpoint is composed of.

    Raises:
        CheckpointError: if it is not an encoder-decoder, or of families that we do not have.
    """
    return ModelFolder(checkpoint, read_composition(checkpoint))
