"""`warmstart quickstart`: the whole job on one machine, offline, in a few minutes.

Only the text, and the small encoder in the package, are special to the quickstart: the model is
composed, trained, evaluated and saved by the same functions as any other.
"""

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from warmstart.checkpoint.files import check_replaceable
from warmstart.composition.composition_options import RANDOM, Share
from warmstart.composition.provenance import Provenance
from warmstart.data.splits import TEST
from warmstart.errors import Interrupted
from warmstart.evaluation.evaluate import rewrite, split_metrics, split_outputs, target_loss
from warmstart.evaluation.score import score
from warmstart.metrics.metric import Score
from warmstart.quickstart.corpus import QUICKSTART_PACKAGES, build_corpus
from warmstart.quickstart.encoder_files import ENCODER_DIR
from warmstart.quickstart.splitting import SplittingPairs, splitting_pairs
from warmstart.seq2seq import Seq2Seq
from warmstart.training.train import train
from warmstart.training.train_config import TrainConfig

__all__ = [
    "COPY",
    "RANDOM_START",
    "WARM_START",
    "QuickstartConfig",
    "QuickstartResult",
    "System",
    "run",
]

COPY, RANDOM_START, WARM_START = "source copied", "random start", "warm start"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuickstartConfig:
    """Settings of the quickstart; the warm and the random start share all of them."""

    packages: tuple[str, ...] = QUICKSTART_PACKAGES  # packages to read
    max_words: int = 40  # of a sentence to split
    held_out_pairs: int = 300  # to evaluate on, at most
    share: Share = "none"
    max_steps: int = 450  # optimizer steps
    warmup_steps: int = 45
    batch_size: int = 16  # pairs
    learning_rate: float = 2e-4  # of parameters from the checkpoint
    new_learning_rate: float = 1e-3  # of new parameters: all, in the random start
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One line of the comparison."""

    name: str
    outputs: tuple[str, ...]  # for each held-out pair
    scores: Mapping[str, Score]  # by metric
    loss: float | None = None  # nats per target token on held-out pairs; None without a model
    seconds: float | None = None  # of training


@dataclass(frozen=True, slots=True, kw_only=True)
class QuickstartResult:
    """The result of one run of the quickstart."""

    config: QuickstartConfig
    pairs: SplittingPairs
    systems: tuple[System, ...]  # the source copied, the random start, the warm start
    provenance: Provenance  # of the warm start
    folder: Path  # the finished model
    seconds: float  # total


def run(output_dir: Path, config: QuickstartConfig | None = None) -> QuickstartResult:
    """Composes, trains and evaluates a warm and a random start, and saves the warm one.

    Progress goes to stderr.

    Args:
        output_dir: the model folder to write: new, empty, or a model folder, which is replaced.
        config: settings.

    Raises:
        OutputError: if the folder holds something else.
        DataError: if this Python came without its documentation.
    """
    config = config or QuickstartConfig()
    check_replaceable(output_dir)
    started = time.monotonic()
    with _stage("1/5 reading the documentation on this machine") as say:
        corpus = build_corpus(config.packages)
        say(f"{len(corpus.train_sentences())} sentences")
    with _stage("2/5 making pairs: a sentence, and two that say the same") as say:
        pairs = splitting_pairs(corpus, max_words=config.max_words, held_out=config.held_out_pairs)
        say(f"{len(pairs.train)} to train on, {len(pairs.held_out)} held out")

    split = pairs.task.split(TEST)
    random, _ = _train_and_evaluate(RANDOM_START, f"{RANDOM}{ENCODER_DIR}", pairs, config, "3/5")
    warm, model = _train_and_evaluate(WARM_START, str(ENCODER_DIR), pairs, config, "4/5")
    # The encoder is uncased: all three are compared with text as its tokenizer writes it.
    sources = tuple(rewrite(model, split.sources))
    scores = score(split_outputs(split, sources, rewriter=model), split_metrics(split))
    copied = System(name=COPY, outputs=sources, scores=scores)
    with _stage("5/5 saving the warm start"):
        model.save_pretrained(output_dir)
    assert model.provenance is not None
    return QuickstartResult(
        config=config,
        pairs=pairs,
        systems=(copied, random, warm),
        provenance=model.provenance,
        folder=output_dir,
        seconds=time.monotonic() - started,
    )


def _train_and_evaluate(
    name: str, checkpoint: str, pairs: SplittingPairs, config: QuickstartConfig, number: str
) -> tuple[System, Seq2Seq]:
    """One system, trained and evaluated like any model."""
    task = pairs.task
    split = task.split(TEST)
    model = Seq2Seq.warm_start(
        encoder=checkpoint, decoder=checkpoint, share=config.share, seed=config.seed
    )
    with (
        _stage(f"{number} {name}: {config.max_steps} training steps") as say,
        tempfile.TemporaryDirectory(prefix="warmstart-quickstart-") as scratch,
    ):
        settings = TrainConfig(
            output_dir=Path(scratch) / "run",
            max_steps=config.max_steps,
            warmup_steps=config.warmup_steps,
            batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            new_learning_rate=config.new_learning_rate,
            evaluate_every=0,
            seed=config.seed,
        )
        try:
            result = train(model, task, settings)
        except Interrupted:
            raise KeyboardInterrupt from None  # its checkpoint is not saved
        say(f"training loss {result.loss:.2f}")
    with _stage(f"{number} {name}: writing {len(split)} held-out sentences") as say:
        decoding = replace(split.generation, detokenize="none")  # compared as decoded
        outputs = tuple(model.generate(split.sources, config=decoding))
        scores = score(split_outputs(split, outputs, rewriter=model), split_metrics(split))
        loss = target_loss(model, split)
        say(f"SARI {scores['sari'].value:.1f}")
    system = System(name=name, outputs=outputs, scores=scores, loss=loss, seconds=result.seconds)
    return system, model


class _Say:
    """Takes the result of a stage, for its last line."""

    def __init__(self) -> None:
        self.result = ""

    def __call__(self, text: str) -> None:
        self.result = f": {text}"


@contextmanager
def _stage(name: str) -> Iterator[_Say]:
    """Prints the start of a stage and its duration on stderr."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"{name} ...")
    started = time.monotonic()
    say = _Say()
    yield say
    console.print(f"{name}{say.result} ({time.monotonic() - started:.0f} s)")
