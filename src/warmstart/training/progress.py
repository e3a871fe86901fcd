"""What a run tells on stderr while it goes on."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from warmstart.progress import Advance, Progress, duration
from warmstart.training.meter import Meter
from warmstart.training.samples import Sample, show_samples

__all__ = ["TrainingProgress"]


class TrainingProgress(TrainerCallback):
    """A bar with rates, time left and the last values; off a terminal, lines now and then.

    Args:
        meter: knows the rates.
        validates: whether the run has evaluations.
        shows: whether this process tells anything.
    """

    def __init__(self, meter: Meter, *, validates: bool, shows: bool) -> None:
        self.meter = meter
        self.validates = validates
        self.progress = Progress() if shows else None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Called by the Trainer."""
        if self.progress is not None:
            self.progress.bars.start()
            self.bar = self.progress.bars.add_task(
                "training", total=state.max_steps, completed=state.global_step, left=""
            )

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Called by the Trainer."""
        if self.progress is None:
            return
        last = state.global_step == state.max_steps
        if not self.progress.live and not (self.progress.due() or last):
            return
        steps, every = state.max_steps - state.global_step, int(args.eval_steps or state.max_steps)
        evaluations = -(-steps // every) if self.validates else 0
        seconds = self.meter.seconds_left(steps, evaluations)
        left = "" if seconds is None or not steps else f"{duration(seconds)} left"
        long, short = self._values(args.world_size)
        if self.progress.live:
            self.progress.bars.values = (long, short)
            self.progress.bars.update(self.bar, completed=state.global_step, left=left)
        else:
            share = 100 * state.global_step // state.max_steps
            told = [f"step {state.global_step} of {state.max_steps} ({share} %)", left]
            self.progress.say(f"{', '.join(filter(None, told))}: {long}")

    def _values(self, processes: int) -> tuple[str, str]:
        """The last values, for a wide terminal and for a narrow one."""
        meter, work = self.meter, self.meter.recent()
        rates = work.rates()
        # Processes have like batches; sums over them are in the metrics.
        examples, tokens = (
            processes * rates[f"{name}_per_second"] for name in ("examples", "target_tokens")
        )
        loss = sum(meter.losses) / max(len(meter.losses), 1)
        rate, norm = f"{meter.learning_rate:.2e}", f"{meter.gradient_norm:.3g}"
        return (
            f"loss {loss:.3f}, learning rate {rate}, gradient norm {norm}, "
            f"{examples:,.1f} examples/s, {tokens:,.0f} target tokens/s",
            f"loss {loss:.3f}  lr {rate}  norm {norm}  {examples:,.1f} ex/s  {tokens:,.0f} tok/s",
        )

    @contextmanager
    def counted(self, what: str, total: int) -> Iterator[Advance]:
        """Tells how far a part of an evaluation is."""
        if self.progress is None:
            yield lambda more: None
        else:
            with self.progress.counted(what, total) as advance:
                yield advance

    def evaluated(self, step: int, values: Mapping[str, float], samples: Sequence[Sample]) -> None:
        """Tells what an evaluation came to.

        Args:
            step: after which.
            values: by name.
            samples: outputs of some examples.
        """
        if self.progress is not None:
            told = ", ".join(
                f"{name} {value:.{3 if name == 'loss' else 2}f}" for name, value in values.items()
            )
            self.progress.say(f"step {step}: {told}")
            show_samples(self.progress, samples)

    def stop(self) -> None:
        """Takes the bar away, and gives the terminal its cursor back."""
        if self.progress is not None:
            self.progress.stop()
