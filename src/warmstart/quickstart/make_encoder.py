"""Makes the small BERT encoder that the quickstart starts from; run once, result committed.

    python -m warmstart.quickstart.make_encoder --work /tmp/encoder --steps 7000

The text is the training side of the documentation corpus: the standard library and every package
installed beside this one; what `is_held_out` holds out is never read here. Two objectives share
the weights: masked language modelling (Devlin et al. 2019, section 3.1) and next-token prediction
under a left-to-right attention mask. Left-to-right comes first and alone, since it gets a small
model off the ground in a fraction of the steps (every token is a target, not one in five); then
the two take turns, as in GPT-BERT (Charpentier and Samuel 2024). The run saves its state every few
minutes and goes on from it when started again; more or fewer steps may then be asked for.
"""

import argparse
import importlib.metadata
import logging
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from warmstart.quickstart.corpus import Corpus, build_corpus
from warmstart.quickstart.encoder_files import (
    ENCODER_DIR,
    EncoderRecipe,
    Progress,
    describe,
    export,
)
from warmstart.quickstart.tokens import mask_tokens, pack, token_id, train_tokenizer

__all__ = ["causal_loss", "held_out_loss", "installed_packages", "main", "masked_loss", "run"]

logger = logging.getLogger(__name__)


def masked_loss(
    model: transformers.BertForMaskedLM, corrupted: Tensor, positions: Tensor, labels: Tensor
) -> Tensor:
    """Mean cross-entropy in nats of the chosen positions; logits exist for those only."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model.bert(input_ids=corrupted).last_hidden_state
        chosen = positions.flatten().nonzero().squeeze(1)
        logits = model.cls(hidden.flatten(0, 1)[chosen])
    return F.cross_entropy(logits.float(), labels)


def causal_loss(
    model: transformers.BertForMaskedLM, ids: Tensor, share: float, generator: torch.Generator
) -> Tensor:
    """Mean cross-entropy in nats of the next token, over a random share of the positions."""
    length = ids.shape[1]
    seen = torch.full((length, length), -1e4).triu(1)[None, None].expand(ids.shape[0], -1, -1, -1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model.bert(input_ids=ids, attention_mask=seen).last_hidden_state
        labels = ids[:, 1:].flatten()
        chosen = torch.randperm(labels.numel(), generator=generator)
        chosen = chosen[: int(share * labels.numel())]
        logits = model.cls(hidden[:, :-1].flatten(0, 1)[chosen])
    return F.cross_entropy(logits.float(), labels[chosen])


class _Optimizers:
    """Muon for the layers' matrices, AdamW for the rest, one schedule for both."""

    def __init__(self, model: nn.Module, recipe: EncoderRecipe) -> None:
        self.recipe = recipe
        matrices = [p for n, p in model.named_parameters() if ".layer." in n and p.ndim == 2]
        ids = {id(p) for p in matrices}
        rest = [p for p in model.parameters() if id(p) not in ids]
        self.muon = torch.optim.Muon(
            matrices, lr=recipe.muon_rate, weight_decay=recipe.weight_decay, nesterov=True
        )
        self.adam = torch.optim.AdamW(
            rest,
            lr=recipe.adam_rate,
            betas=(0.9, 0.98),
            weight_decay=recipe.weight_decay,
            fused=True,
        )

    def step(self, step: int) -> None:
        recipe = self.recipe
        left = (recipe.steps - step) / max(1.0, recipe.decay * recipe.steps)
        factor = min(1.0, (step + 1) / recipe.warmup, left)
        for optimizer, rate in ((self.muon, recipe.muon_rate), (self.adam, recipe.adam_rate)):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
            optimizer.step()  # type: ignore[no-untyped-call]
            optimizer.zero_grad(set_to_none=True)


def _batches(sequences: Tensor, recipe: EncoderRecipe, step: int) -> Iterator[Tensor]:
    """Endless batches from `step` on: each epoch a new order, the same in a resumed run."""
    each = len(sequences) // recipe.batch
    while True:
        epoch, within = divmod(step, each)
        order = torch.randperm(
            len(sequences), generator=torch.Generator().manual_seed(recipe.seed + epoch)
        )
        for index in range(within, each):
            yield sequences[order[index * recipe.batch : (index + 1) * recipe.batch]]
        step = (epoch + 1) * each


@torch.no_grad()
def held_out_loss(
    model: transformers.BertForMaskedLM, sequences: Tensor, recipe: EncoderRecipe, mask_id: int
) -> float:
    """Masked cross-entropy in nats over up to 512 held-out sequences, always masked alike."""
    model.eval()
    generator = torch.Generator().manual_seed(recipe.seed)
    losses = []
    for batch in sequences[:512].split(recipe.batch):
        corrupted, positions = mask_tokens(
            batch, recipe.masked, recipe.vocabulary, mask_id, generator
        )
        losses.append(masked_loss(model, corrupted, positions, batch[positions]).item())
    model.train()
    return sum(losses) / len(losses)


def new_model(recipe: EncoderRecipe) -> transformers.BertForMaskedLM:
    """A BERT of the recipe's size with random weights and without dropout.

    A dozen passes over the text with ever new masks do not overfit a model this small.
    """
    torch.manual_seed(recipe.seed)
    config = transformers.BertConfig(
        vocab_size=recipe.vocabulary,
        hidden_size=recipe.hidden,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        intermediate_size=4 * recipe.hidden,
        max_position_embeddings=recipe.positions,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=0,
    )
    model = transformers.BertForMaskedLM(config)
    # bf16's fused attention is slower backwards than plain matrix products on CPUs
    model.set_attn_implementation("eager")
    model.train()
    return model


def installed_packages() -> list[str]:
    """Every importable top-level name that an installed distribution brings, sorted."""
    names = importlib.metadata.packages_distributions()
    return sorted(name for name in names if name.isidentifier() and name != "warmstart")


def main() -> None:
    """Runs, or goes on with, the whole recipe."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--work", type=Path, required=True, help="folder for the run's state")
    parser.add_argument("--output", type=Path, default=ENCODER_DIR)
    parser.add_argument("--steps", type=int, default=EncoderRecipe().steps)
    parser.add_argument("--save-seconds", type=float, default=240.0)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipe = EncoderRecipe(steps=arguments.steps)
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)

    corpus = build_corpus(installed_packages())
    tokenizer_file = work / "tokenizer.json"
    if not tokenizer_file.exists():
        train_tokenizer(corpus.train_sentences(), recipe.vocabulary).save(str(tokenizer_file))
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    sequences = pack(tokenizer, corpus.train, recipe.positions)
    held_out = pack(tokenizer, corpus.held_out, recipe.positions)
    logger.info("%d training and %d held-out sequences", len(sequences), len(held_out))
    run(recipe, corpus, tokenizer, sequences, held_out, arguments)


def run(
    recipe: EncoderRecipe,
    corpus: Corpus,
    tokenizer: Tokenizer,
    sequences: Tensor,
    held_out: Tensor,
    arguments: argparse.Namespace,
) -> None:
    """The training loop, from the saved state if there is one."""
    model = new_model(recipe)
    optimizers = _Optimizers(model, recipe)
    progress = Progress()
    state_file: Path = arguments.work / "state.pt"
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        model.load_state_dict(state["model"])
        optimizers.muon.load_state_dict(state["muon"])
        optimizers.adam.load_state_dict(state["adam"])
        progress = Progress(**state["progress"])
    mask_id = token_id(tokenizer, "[MASK]")

    def save() -> None:
        progress.held_out_loss = held_out_loss(model, held_out, recipe, mask_id)
        state = {
            "model": model.state_dict(),
            "muon": optimizers.muon.state_dict(),
            "adam": optimizers.adam.state_dict(),
            "progress": asdict(progress),
        }
        torch.save(state, state_file.with_suffix(".new"))
        state_file.with_suffix(".new").replace(state_file)
        readme = describe(recipe, progress, corpus, len(sequences))
        export(model, tokenizer, arguments.output, readme)
        logger.info("saved at step %d: held-out %.4f", progress.step, progress.held_out_loss)

    recent: tuple[list[float], list[float]] = ([], [])
    last_save = time.monotonic()
    batches = _batches(sequences, recipe, progress.step)
    while progress.step < recipe.steps:
        started = time.monotonic()
        batch = next(batches)
        generator = torch.Generator().manual_seed(recipe.seed + 7919 * (progress.step + 1))
        causal = progress.step < recipe.causal_first * recipe.steps or progress.step % 2 == 0
        if causal:
            loss = causal_loss(model, batch, recipe.predicted, generator)
        else:
            corrupted, positions = mask_tokens(
                batch, recipe.masked, recipe.vocabulary, mask_id, generator
            )
            loss = masked_loss(model, corrupted, positions, batch[positions])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizers.step(progress.step)
        progress.step += 1
        progress.tokens += batch.numel()
        progress.seconds += time.monotonic() - started
        recent[causal].append(loss.item())
        if progress.step % 100 == 0:
            rate = progress.tokens / progress.seconds
            means = [f"{sum(losses) / len(losses):.3f}" if losses else "-" for losses in recent]
            logger.info("step %d masked %s next %s %.0f tokens/s", progress.step, *means, rate)
            recent = ([], [])
        if time.monotonic() - last_save > arguments.save_seconds:
            save()
            last_save = time.monotonic()
    save()


if __name__ == "__main__":
    main()
