"""The quickstart's encoder as a checkpoint folder: recipe, weights, tokenizer and README."""

import importlib.metadata
import json
import math
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer

from warmstart.quickstart.corpus import Corpus
from warmstart.quickstart.tokens import SPECIAL_TOKENS

__all__ = ["ENCODER_DIR", "EncoderRecipe", "Progress", "describe", "export"]

ENCODER_DIR = Path(__file__).parent / "encoder"


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderRecipe:
    """Everything that decides the encoder's weights, beside the machine's installed packages."""

    vocabulary: int = 8000  # tokens
    hidden: int = 256  # width
    layers: int = 4
    heads: int = 4
    positions: int = 128  # tokens a sequence, all of them used
    batch: int = 16  # sequences a step
    steps: int = 7000  # optimizer steps
    causal_first: float = 0.15  # share of the steps, at the start, that are all left-to-right
    warmup: int = 200  # steps of linear warm-up
    decay: float = 0.4  # share of the steps, at the end, over which the rate falls to 0
    muon_rate: float = 0.02  # matrices inside the layers
    adam_rate: float = 3e-3  # embeddings, biases, norms, the head
    weight_decay: float = 0.01
    masked: float = 0.2  # share of tokens to predict: above BERT's 0.15, as the run is short
    predicted: float = 0.5  # share of tokens whose next one is predicted, drawn at random
    seed: int = 0


@dataclass(slots=True)
class Progress:
    """How far a run has come."""

    step: int = 0
    seconds: float = 0.0  # of training, over all of its parts
    tokens: int = 0
    held_out_loss: float = float("nan")  # nats a masked token


def export(
    model: transformers.BertForMaskedLM, tokenizer: Tokenizer, folder: Path, readme: str
) -> None:
    """Writes the checkpoint: float16 weights, each file beside its place and then renamed."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: tensor.detach().to(torch.float16).contiguous()
        for name, tensor in model.state_dict().items()
        # tied to the embedding and to cls.predictions.bias: stored once
        if name not in ("cls.predictions.decoder.weight", "cls.predictions.decoder.bias")
    }
    weights = folder / "model.safetensors.new"
    save_file(tensors, weights, metadata={"format": "pt"})
    weights.chmod(0o644)
    weights.replace(folder / "model.safetensors")
    config = json.loads(model.config.to_json_string(use_diff=True))
    config |= {"architectures": ["BertForMaskedLM"], "dtype": "float16"}
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": model.config.max_position_embeddings,
        "model_input_names": ["input_ids", "attention_mask"],
        "clean_up_tokenization_spaces": False,
        **{f"{token[1:-1].lower()}_token": token for token in SPECIAL_TOKENS},
    }
    for name, text in {
        "config.json": json.dumps(config, indent=2, sort_keys=True) + "\n",
        "tokenizer_config.json": json.dumps(tokenizer_config, indent=2) + "\n",
        "tokenizer.json": tokenizer.to_str() + "\n",
        "README.md": readme,
    }.items():
        beside = folder / f"{name}.new"
        beside.write_text(text, encoding="utf-8")
        beside.replace(folder / name)


def describe(recipe: EncoderRecipe, progress: Progress, corpus: Corpus, sequences: int) -> str:
    """The checkpoint's README: how it was made and what was measured.

    Args:
        recipe: of the run.
        progress: of the run.
        corpus: its text.
        sequences: training sequences that the text fills.
    """
    packages = sorted({passage.module.split("/")[0] for passage in corpus.train} - {"python"})
    settings = "\n".join(f"| {key} | {value} |" for key, value in asdict(recipe).items())
    passes = progress.step * recipe.batch / sequences
    uniform = math.log(recipe.vocabulary)
    return f"""# The quickstart's encoder

A BERT of {recipe.layers} layers, {recipe.hidden} wide, with a cased byte-pair vocabulary of
{recipe.vocabulary} tokens. It was trained on the English of programs: docstrings and comments of
the standard library of Python {platform.python_version()} and of the packages named below. It knows
little else, and exists so that `warmstart quickstart` can show a warm start without a download.

Two objectives took turns on the same weights: masked language modelling, and next-token prediction
under a left-to-right mask, which alone filled the first {recipe.causal_first:.0%} of the steps.
The weights are float16. The language-modelling head is included, a pooler is not.

Made by `python -m warmstart.quickstart.make_encoder`, with these settings:

| setting | value |
|---|---|
{settings}

and these figures:

| figure | value |
|---|---|
| training sentences | {len(corpus.train_sentences())} |
| held-out sentences, never trained on | {len(corpus.held_out_sentences())} |
| training sequences | {sequences} |
| steps done | {progress.step} |
| passes over the text | {passes:.1f} |
| tokens read | {progress.tokens} |
| seconds of training, one CPU thread, bfloat16 | {progress.seconds:.0f} |
| held-out loss, nats a masked token | {progress.held_out_loss:.3f} |
| the same of a uniform guess | {uniform:.3f} |

Held out is every docstring or comment whose first six words hash so (`corpus.is_held_out`);
`warmstart quickstart` evaluates on those alone.

Made with torch {torch.__version__} and transformers {transformers.__version__}. Text read beside
the standard library:
{", ".join(_versioned(package) for package in packages)}.
"""


def _versioned(package: str) -> str:
    distributions = importlib.metadata.packages_distributions().get(package)
    return f"{package} {importlib.metadata.version(distributions[0])}" if distributions else package
