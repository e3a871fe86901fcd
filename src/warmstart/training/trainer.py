"""The Hugging Face Trainer with our loss, our batches, our evaluation and our folders."""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Sampler
from transformers import Trainer, TrainingArguments

from warmstart.checkpoint.files import open_checkpoint
from warmstart.composition.saved import load_model
from warmstart.errors import TrainingError
from warmstart.evaluation import evaluate, target_loss
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.seq2seq import Seq2Seq
from warmstart.tasks.task import Split
from warmstart.training.batches import (
    Batch,
    LengthSampler,
    TokenizedExamples,
    collate,
    sequences,
)

__all__ = ["Seq2SeqTrainer"]


class LossOfBatch(nn.Module):
    """What the Trainer sees as its model: a batch in, the loss out.

    The Trainer wraps this one's ``forward`` in autocast and sets options of configs that it takes
    for its own; the model inside stays as it is.
    """

    def __init__(self, model: EncoderDecoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, label_count: Tensor | int | None) -> Tensor:
        """The loss of one pass. Shape: []"""
        loss: Tensor = self.model(*sequences(batch), batch["labels"], label_count)
        return loss


class Seq2SeqTrainer(Trainer):
    """Trains a `Seq2Seq` in place.

    The loss is the sum over target tokens divided by the target tokens of the whole effective
    batch, over accumulation steps and processes, so the update does not depend on how a batch is
    cut.
    """

    def __init__(
        self,
        seq2seq: Seq2Seq,
        arguments: TrainingArguments,
        examples: TokenizedExamples,
        validation: Split | None,
        callbacks: list[Any],
        *,
        new_learning_rate: float | None = None,
    ) -> None:
        self.seq2seq = seq2seq
        self.new_learning_rate = new_learning_rate
        self.validation = validation
        super().__init__(
            model=LossOfBatch(seq2seq.model),
            args=arguments,
            train_dataset=examples,
            # Never iterated: `evaluate` below decodes the split. The Trainer asks for one.
            eval_dataset=None if validation is None else list(validation.examples),
            data_collator=collate,  # type: ignore[arg-type]  # a TypedDict is a dict
            callbacks=callbacks,
        )
        # Tells the Trainer to count labels and not to divide the loss by the accumulation steps.
        self.model_accepts_loss_kwargs = True

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """The loss of one pass. Processes' gradients are averaged, hence the factor."""
        loss: Tensor = model(inputs, num_items_in_batch)
        return loss * float(self.accelerator.num_processes)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """The Trainer's, with a rate of their own for the parameters that no checkpoint gave."""
        optimizer: torch.optim.Optimizer = super().create_optimizer(model)
        provenance = self.seq2seq.provenance
        if self.new_learning_rate is None or provenance is None:
            return optimizer
        random = {entry.name for entry in provenance if entry.origin == "random"}
        new = {id(p) for name, p in self.seq2seq.model.named_parameters() if name in random}
        optimizer.param_groups = [
            {**group, "params": parameters, "lr": rate}
            for group in optimizer.param_groups
            for rate, parameters in (
                (group["lr"], [p for p in group["params"] if id(p) not in new]),
                (self.new_learning_rate, [p for p in group["params"] if id(p) in new]),
            )
            if parameters
        ]
        return optimizer

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Passes values on to the callbacks.

        Raises:
            TrainingError: if a loss is no longer finite, before such a model is saved.
        """
        for name in ("loss", "eval_loss", "train_loss"):
            if not math.isfinite(logs.get(name, 0.0)):
                raise TrainingError(
                    f"The {name} is {logs[name]} at step {self.state.global_step}; lower the "
                    f"learning rate, which is {self.args.learning_rate}, or give more warm-up "
                    f"steps. Checkpoints of before are in {self.args.output_dir}."
                )
        super().log(logs, start_time)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        assert isinstance(self.train_dataset, TokenizedExamples)
        passes = self.args.gradient_accumulation_steps * self.args.world_size
        step = self.args.train_batch_size * passes
        return LengthSampler(self.train_dataset, step, self.args.seed)

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Decodes the validation examples and scores them as a user would."""
        assert self.validation is not None
        loss = target_loss(self.seq2seq, self.validation)
        scores = evaluate(self.seq2seq, self.validation)
        metrics = {f"{metric_key_prefix}_loss": loss}
        metrics |= {f"{metric_key_prefix}_{name}": score.value for name, score in scores.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        if self.args.should_save:  # the first process
            self.seq2seq.save_pretrained(Path(output_dir or str(self.args.output_dir)))
        # Every process adds its random state to the folder, which has to be there by then.
        self.args.distributed_state.wait_for_everyone()

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        self._read_parameters(resume_from_checkpoint)

    def _load_best_model(self) -> None:
        assert self.state.best_model_checkpoint is not None
        self._read_parameters(self.state.best_model_checkpoint)

    def _read_parameters(self, folder: str) -> None:
        saved = load_model(self.seq2seq.composition, open_checkpoint(folder))
        self.seq2seq.model.load_state_dict(saved.state_dict())
