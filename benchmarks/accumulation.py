"""Gradient of one step by the split of its batch: warmstart and transformers' Seq2SeqTrainer.

    python benchmarks/accumulation.py > benchmarks/results/accumulation.json

Both train the same weights (the small encoder that comes with the package, as both halves) on the
same 16 examples, with dropout off, in 1, 2, 4, 8 and 16 passes, and log the norm of the gradient.
"""

import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
from datasets import Dataset
from transformers import (
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    EncoderDecoderModel,
    PrinterCallback,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    TrainerCallback,
)

from warmstart import Seq2Seq, TrainConfig, load_task, train
from warmstart.quickstart.encoder_files import ENCODER_DIR

EXAMPLES = 16
WORDS = "the house that stood on the hill was old and its garden had been left to grow wild".split()
CUTS = (1, 2, 4, 8, 16)  # passes of a step


def texts() -> list[str]:
    """Sentences of 2 to 17 words."""
    return [" ".join(WORDS[: 2 + number]) for number in range(EXAMPLES)]


def ours(folder: Path, passes: int, scratch: Path) -> float:
    """The norm logged by warmstart."""
    data = scratch / "pairs.tsv"
    data.write_text("source\ttarget\n" + "".join(f"{text}\t{text}\n" for text in texts()))
    task = load_task("pairs", {"train": data, "validation": data})
    config = TrainConfig(
        output_dir=scratch / f"run-{passes}",
        max_steps=1,
        batch_size=EXAMPLES // passes,
        accumulation_steps=passes,
        dropout=0.0,
        precision="float32",
        evaluation_examples=1,
        log_every=1,
    )
    train(Seq2Seq.from_pretrained(folder, device="cpu"), task, config)
    events = [json.loads(line) for line in (config.output_dir / "metrics.jsonl").open()]
    return float(next(event["grad_norm"] for event in events if "grad_norm" in event))


class Norm(TrainerCallback):
    """Keeps the logged norm."""

    value = float("nan")

    def on_log(self, *arguments: Any, logs: dict[str, float], **keywords: Any) -> None:
        """Called by the Trainer."""
        self.value = logs.get("grad_norm", self.value)


def theirs(folder: Path, passes: int, scratch: Path) -> float:
    """The norm logged by transformers."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = EncoderDecoderModel.from_pretrained(folder)
    for part in (model.config.encoder, model.config.decoder):
        part.hidden_dropout_prob = part.attention_probs_dropout_prob = 0.0
    model = EncoderDecoderModel.from_pretrained(folder, config=model.config)
    model.config.decoder_start_token_id = tokenizer.cls_token_id
    model.config.pad_token_id = tokenizer.pad_token_id
    ids = tokenizer(texts())["input_ids"]
    rows = [{"input_ids": row, "attention_mask": [1] * len(row), "labels": row[1:]} for row in ids]
    norm = Norm()
    trainer = Seq2SeqTrainer(
        model=model,
        args=Seq2SeqTrainingArguments(
            output_dir=str(scratch / f"peer-{passes}"),
            max_steps=1,
            per_device_train_batch_size=EXAMPLES // passes,
            gradient_accumulation_steps=passes,
            logging_steps=1,
            save_strategy="no",
            use_cpu=True,
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(rows),
        data_collator=DataCollatorForSeq2Seq(tokenizer),
        callbacks=[norm],
    )
    trainer.remove_callback(PrinterCallback)  # it writes to stdout
    trainer.train()
    return norm.value


def main() -> None:
    """Prints the table as JSON."""
    torch.set_num_threads(1)
    results = []
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        folder = scratch / "model"
        Seq2Seq.warm_start(encoder=str(ENCODER_DIR), decoder=str(ENCODER_DIR)).save_pretrained(
            folder
        )
        for passes in CUTS:
            results.append(
                {
                    "passes": passes,
                    "warmstart": ours(folder, passes, scratch),
                    "transformers": theirs(folder, passes, scratch),
                }
            )
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    table = {"machine": platform.processor() or platform.machine(), **versions}
    sys.stdout.write(json.dumps({**table, "gradient_norms": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
