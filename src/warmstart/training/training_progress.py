"""The progress of a run on stderr."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from warmstart.progress import Advance, Progress, duration
from warmstart.training.meter import Meter
from warmstart.training.processes import Processes
from warmstart.training.samples import Sample, show_samples
from warmstart.training.state import Events, RunState

__all__ = ["TrainingProgress"]


class TrainingProgress(Events):
    """A bar with rates, time left and the last values; off a terminal, a line now and then.

    Args:
        meter: measures the rates.
        evaluate_every: steps between evaluations; 0: no evaluations.
        processes: only the first one shows anything.
    """

    def __init__(self, meter: Meter, evaluate_every: int, processes: Processes) -> None:
        self.meter = meter
        self.evaluate_every = evaluate_every
        self.processes = processes
        self.progress = Progress() if processes.is_first else None

    def started(self, state: RunState) -> None:
        """Shows the bar."""
        if self.progress is not None:
            self.progress.bars.start()
            self.bar = self.progress.bars.add_task(
                "training", total=state.max_steps, completed=state.step, left=""
            )

    def stepped(self, state: RunState) -> None:
        """Shows the values of the last steps."""
        if self.progress is None:
            return
        if not self.progress.live and not (self.progress.due() or state.is_last):
            return
        steps = state.max_steps - state.step
        evaluations = -(-steps // self.evaluate_every) if self.evaluate_every else 0
        seconds = self.meter.seconds_left(steps, evaluations)
        left = "" if seconds is None or not steps else f"{duration(seconds)} left"
        long, short = self._values()
        if self.progress.live:
            self.progress.bars.values = (long, short)
            self.progress.bars.update(self.bar, completed=state.step, left=left)
        else:
            share = 100 * state.step // state.max_steps
            position = [f"step {state.step} of {state.max_steps} ({share} %)", left]
            self.progress.say(f"{', '.join(filter(None, position))}: {long}")

    def _values(self) -> tuple[str, str]:
        """The last values, for a wide terminal and for a narrow one."""
        meter, work = self.meter, self.meter.recent()
        rates = work.rates()
        # Processes have similar batches; sums over them are in the metrics.
        examples, tokens = (
            self.processes.count * rates[f"{name}_per_second"]
            for name in ("examples", "target_tokens")
        )
        loss = sum(meter.losses) / max(len(meter.losses), 1)
        rate, norm = f"{meter.learning_rate:.2e}", f"{meter.gradient_norm:.3g}"
        return (
            f"loss {loss:.3f}, learning rate {rate}, gradient norm {norm}, "
            f"{examples:,.1f} examples/s, {tokens:,.0f} target tokens/s",
            f"loss {loss:.3f}  lr {rate}  norm {norm}  {examples:,.1f} ex/s  {tokens:,.0f} tok/s",
        )

    @contextmanager
    def counted(self, name: str, total: int) -> Iterator[Advance]:
        """Shows how far a part of an evaluation is."""
        if self.progress is None:
            yield lambda more: None
        else:
            with self.progress.counted(name, total) as advance:
                yield advance

    def evaluated(self, step: int, values: Mapping[str, float], samples: Sequence[Sample]) -> None:
        """Shows the results of an evaluation.

        Args:
            step: of the model that was evaluated.
            values: by name.
            samples: outputs for some examples.
        """
        if self.progress is not None:
            results = ", ".join(
                f"{name} {value:.{3 if name == 'loss' else 2}f}" for name, value in values.items()
            )
            self.progress.say(f"step {step}: {results}")
            show_samples(self.progress, samples)

    def stop(self) -> None:
        """Removes the bar, and restores the terminal's cursor."""
        if self.progress is not None:
            self.progress.stop()
