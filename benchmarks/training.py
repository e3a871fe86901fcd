"""Training speed and memory: warmstart and transformers' Seq2SeqTrainer, interleaved in one run.

    python benchmarks/training.py small  --checkpoint MINILM --pairs tune.tsv.gz -o RESULT.json
    python benchmarks/training.py base   --checkpoint MINILM --pairs tune.tsv.gz -o RESULT.json
    python benchmarks/training.py memory --checkpoint MINILM --pairs tune.tsv.gz -o RESULT.json
    python benchmarks/training.py tokens --checkpoint MINILM --pairs tune.tsv.gz -o RESULT.json

`RESULT.json` is benchmarks/results/training.json; each part is written into it when it ends.

- small: one checkpoint as both halves, 32 examples a step. base: a BERT of base size, random, as
  both halves, 4 examples a step.
- Every side trains the same weights on the same examples of each round, with fused AdamW and
  dropout off, through its own trainer. A round's first step is not counted; the first round of
  each side, which compiles, neither.
- Sides: warmstart; transformers with batches at random (its default) and grouped by length. With
  `--compile` also warmstart with `compile`, and transformers grouped and compiled, whose first step
  takes minutes on two cores. Products are in bfloat16 on processors with its instructions, else in
  float32.
- tokens: the cost of a step by the length of its sources, at a constant number of tokens.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
import transformers
from datasets import Dataset
from torch.optim.optimizer import register_optimizer_step_post_hook
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizerFast,
    DataCollatorForSeq2Seq,
    EncoderDecoderModel,
    PrinterCallback,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
)

import warmstart
from warmstart import Seq2Seq, TrainConfig, load_task, train
from warmstart.data.lines import read_lines
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.sequences import Sequences

ROUNDS = int(os.environ.get("ROUNDS", "5"))
PEERS = ("random", "grouped", "grouped, compiled")
BFLOAT16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


@dataclass
class Steps:
    """Start, end and tokens of each step of a run."""

    began: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    source_lengths: list[list[int]] = field(default_factory=list)
    target_lengths: list[list[int]] = field(default_factory=list)

    def rates(self) -> dict[str, float]:
        """Examples, target tokens and floating-point operations a second after the first step."""
        seconds = self.ended[-1] - self.ended[0]
        return {
            "seconds_per_step": seconds / (len(self.ended) - 1),
            "examples_per_second": sum(map(len, self.source_lengths[1:])) / seconds,
            "target_tokens_per_second": sum(map(sum, self.target_lengths[1:])) / seconds,
        }


@contextmanager
def watched() -> Any:
    """Records every step of any Trainer in the block."""
    steps = Steps()
    inner = transformers.Trainer.training_step

    def training_step(trainer: Any, model: Any, inputs: Any, *rest: Any) -> Any:
        if "source_lengths" in inputs:
            steps.source_lengths.append(list(inputs["source_lengths"]))
            steps.target_lengths.append(list(inputs["target_lengths"]))
        else:
            steps.source_lengths.append(inputs["attention_mask"].sum(1).tolist())
            steps.target_lengths.append((inputs["labels"] != -100).sum(1).tolist())
        return inner(trainer, model, inputs, *rest)

    transformers.Trainer.training_step = training_step
    hook = register_optimizer_step_post_hook(lambda *_: steps.ended.append(time.perf_counter()))
    try:
        yield steps
    finally:
        hook.remove()
        transformers.Trainer.training_step = inner


def ours(
    model: Seq2Seq, pairs: Sequence[str], batch: int, scratch: Path, *, compiled: bool = False
) -> Steps:
    """One round of warmstart."""
    data = scratch / "pairs.tsv"
    data.write_text("source\ttarget\n" + "".join(f"{pair}\n" for pair in pairs))
    with tempfile.TemporaryDirectory(dir=scratch) as run, watched() as steps:
        config = TrainConfig(
            output_dir=Path(run) / "run",
            max_steps=len(pairs) // batch,
            batch_size=batch,
            dropout=0.0,
            evaluation_examples=1,
            evaluate_every=0,
            precision="auto",
            compile=compiled,
        )
        task = load_task("pairs", {"train": data, "validation": data})
        train(model, replace(task, splits={"train": task.split("train")}), config)
    return steps


def theirs(
    model: EncoderDecoderModel, tokenizer: Any, pairs: Sequence[str], batch: int, kind: str
) -> Steps:
    """One round of transformers."""
    sources, targets = zip(*(pair.split("\t") for pair in pairs), strict=True)
    ids, labels = (
        tokenizer(list(texts), truncation=True)["input_ids"] for texts in (sources, targets)
    )
    rows = [
        {"input_ids": row, "attention_mask": [1] * len(row), "labels": target[1:]}
        for row, target in zip(ids, labels, strict=True)
    ]
    with tempfile.TemporaryDirectory() as run, watched() as steps:
        trainer = Seq2SeqTrainer(
            model=model,
            args=Seq2SeqTrainingArguments(
                output_dir=run,
                max_steps=len(pairs) // batch,
                per_device_train_batch_size=batch,
                train_sampling_strategy="random" if kind == "random" else "group_by_length",
                bf16=BFLOAT16,
                torch_compile="compiled" in kind,
                save_strategy="no",
                use_cpu=True,
                disable_tqdm=True,
                report_to="none",
            ),
            train_dataset=Dataset.from_list(rows),
            data_collator=DataCollatorForSeq2Seq(tokenizer),
        )
        trainer.remove_callback(PrinterCallback)  # it writes to stdout
        trainer.train()
    return steps


def peer(folder: Path) -> tuple[EncoderDecoderModel, Any]:
    """The same weights in transformers, with dropout off."""
    tokenizer = BertTokenizerFast.from_pretrained(folder)
    config = EncoderDecoderModel.from_pretrained(folder).config
    for part in (config.encoder, config.decoder):
        part.hidden_dropout_prob = part.attention_probs_dropout_prob = 0.0
    config.decoder_start_token_id = tokenizer.cls_token_id
    config.pad_token_id = tokenizer.pad_token_id
    return EncoderDecoderModel.from_pretrained(folder, config=config), tokenizer


def products(model: EncoderDecoder) -> dict[str, int]:
    """Weights that each source token, target token and both meet, in numbers of multiplications."""
    counts = {"source": 0, "target": 0}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if parameter.dim() != 2 or ".embedding." in name or "pooler" in name:
            continue
        of_source = name.startswith(("encoder.", "bridge.")) or ".key_value." in name
        counts["source" if of_source else "target"] += parameter.numel()
    return counts


def operations(model: EncoderDecoder, steps: Steps) -> float:
    """Useful floating-point operations after the first step: real tokens, both directions."""
    counts = products(model)
    total = 0.0
    for sources, targets in zip(steps.source_lengths[1:], steps.target_lengths[1:], strict=True):
        total += 6 * (counts["source"] * sum(sources) + counts["target"] * sum(targets))
        for source, target in zip(sources, targets, strict=True):
            wide = 12 * model.config.decoder.hidden_size  # two products, forward and backward
            total += wide * len(model.encoder.blocks) * source**2  # type: ignore[union-attr]
            total += wide * len(model.decoder.blocks) * (target**2 / 2 + source * target)
    return total


def machine_rate() -> float:
    """The best of some matrix products, in operations a second."""
    best, dtype = 0.0, torch.bfloat16 if BFLOAT16 else torch.float32
    for rows, inner, columns in ((1024, 1024, 1024), (1536, 1536, 384), (1536, 384, 1152)):
        a = torch.randn(rows, inner, dtype=dtype)
        b = torch.randn(columns, inner, dtype=dtype)
        seconds = []
        for _ in range(12):
            began = time.perf_counter()
            torch.nn.functional.linear(a, b)
            seconds.append(time.perf_counter() - began)
        best = max(best, 2 * rows * inner * columns / median(seconds[2:]))
    return best


def compare(
    folder: Path, pairs: Sequence[str], batch: int, steps: int, scratch: Path, *, compiles: bool
) -> Any:
    """Interleaved rounds of all sides."""
    model, compiled = (Seq2Seq.from_pretrained(folder, device="cpu") for _ in range(2))
    sides: dict[str, Callable[[Sequence[str]], Steps]] = {
        "warmstart": lambda some: ours(model, some, batch, scratch),
    }
    if compiles:
        sides["warmstart compiled"] = lambda some: ours(
            compiled, some, batch, scratch, compiled=True
        )
    for kind in PEERS if compiles else PEERS[:2]:
        other, tokenizer = peer(folder)
        sides[f"transformers {kind}"] = lambda some, other=other, tokenizer=tokenizer, kind=kind: (  # type: ignore[misc]
            theirs(other, tokenizer, some, batch, kind)
        )
    rounds: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    for number in range(ROUNDS + 1):
        first = number * batch * steps % (len(pairs) - batch * steps)
        some, rate = pairs[first : first + batch * steps], machine_rate()
        for side, run in sides.items():
            seen = run(some)
            rates = seen.rates()
            seconds = rates["seconds_per_step"] * (steps - 1)
            rates["share_of_machine"] = operations(model.model, seen) / seconds / rate
            sys.stderr.write(f"{number} {side}: {rates}\n")
            if number:  # the first warms up and compiles
                rounds[side].append(rates)
    ratios = {
        side: sorted(
            mine["target_tokens_per_second"] / other["target_tokens_per_second"]
            for mine, other in zip(rounds["warmstart"], rounds[side], strict=True)
        )
        for side in sides
        if side != "warmstart"
    }
    return {
        "batch": batch,
        "steps_of_a_round": steps - 1,
        "parameters": sum(p.numel() for p in model.model.parameters()),
        "medians": {
            side: {key: median(each[key] for each in found) for key in found[0]}
            for side, found in rounds.items()
        },
        "warmstart_to": {
            side: {"median": median(found), "least": found[0], "most": found[-1]}
            for side, found in ratios.items()
        },
    }


def base_checkpoint(vocabulary: Path, scratch: Path) -> Path:
    """A BERT of base size with random weights."""
    folder = scratch / "base"
    tokenizer = BertTokenizerFast.from_pretrained(vocabulary)
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(tokenizer))).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def composed(checkpoint: Path, scratch: Path) -> Path:
    """Both halves from one checkpoint, saved for both sides."""
    folder = scratch / "model"
    half = str(checkpoint)
    Seq2Seq.warm_start(encoder=half, decoder=half).save_pretrained(folder)
    return folder


def peak(side: str, folder: Path, pairs: Sequence[str], scratch: Path) -> int:
    """Peak memory in MB of a process that trains some steps of 32 examples."""
    if side == "warmstart":
        ours(Seq2Seq.from_pretrained(folder, device="cpu"), pairs, 32, scratch)
    else:
        theirs(*peer(folder), pairs, 32, side)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def by_length(folder: Path, tokens: int = 1024) -> list[dict[str, float]]:
    """Seconds of a pass, forward and backward, by the length of its sources."""
    model = Seq2Seq.from_pretrained(folder, device="cpu").model.eval()  # no dropout
    generator = torch.Generator().manual_seed(0)
    lengths, seconds = (16, 32, 64, 128, 256, 512), {}
    for number in range(ROUNDS + 1):
        for length in lengths:
            rows = torch.randint(1000, 20_000, (tokens // length, length), generator=generator)
            source = Sequences(rows.flatten(), (length,) * len(rows))
            target = Sequences(rows[:, :length].flatten(), source.lengths)
            began = time.perf_counter()
            model(source, target, target.tokens).backward()
            model.zero_grad()
            if number:
                seconds.setdefault(length, []).append(time.perf_counter() - began)
    return [
        {"length": length, "tokens": 2 * tokens, "seconds": median(found)}
        for length, found in seconds.items()
    ]


def machine() -> dict[str, Any]:
    """The machine and the versions."""
    model = next(
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    return {
        "processor": model,
        "threads": torch.get_num_threads(),
        "precision": "bfloat16" if BFLOAT16 else "float32",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "warmstart": warmstart.__version__,
    }


def main() -> None:
    """Measures one part and writes it into the file of results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("part", choices=["small", "base", "memory", "tokens", "peak"])
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder of a BERT")
    parser.add_argument(
        "--pairs", type=Path, required=True, help="source TAB target, plain or gzip"
    )
    parser.add_argument("--side", default="warmstart", help="of `peak`, which `memory` calls")
    parser.add_argument("--steps", type=int, default=8, help="of a round; the first is not counted")
    parser.add_argument("--compile", action="store_true", help="also sides that are compiled")
    parser.add_argument("-o", type=Path, required=True, dest="output")
    given = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    pairs = list(read_lines(given.pairs))
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        found: Any
        if given.part == "base":
            checkpoint = base_checkpoint(given.checkpoint, scratch)
            found = compare(
                composed(checkpoint, scratch),
                pairs,
                4,
                given.steps,
                scratch,
                compiles=given.compile,
            )
        elif given.part == "memory":
            sides = ("warmstart", "random", "grouped")
            found = {side: _in_its_own_process(given, side) for side in sides}
        else:
            folder = composed(given.checkpoint, scratch)
            if given.part == "small":
                found = compare(folder, pairs, 32, given.steps, scratch, compiles=given.compile)
            elif given.part == "tokens":
                found = by_length(folder)
            else:
                found = peak(given.side, folder, pairs[: 32 * given.steps], scratch)
                sys.stdout.write(f"{found}\n")
                return
    results = json.loads(given.output.read_text()) if given.output.exists() else {}
    results[given.part] = {"machine": machine(), "found": found}
    given.output.write_text(json.dumps(results, indent=2) + "\n")


def _in_its_own_process(given: argparse.Namespace, side: str) -> int:
    command = [sys.executable, __file__, "peak", "--side", side, "-o", str(given.output)]
    command += ["--checkpoint", str(given.checkpoint), "--pairs", str(given.pairs)]
    command += ["--steps", str(given.steps)]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


if __name__ == "__main__":
    main()
