"""A decoder of blocks, in a process of this machine or of a cluster."""

import os
from typing import TYPE_CHECKING, TypeAlias

from warmstart.bulk.blocks import Block
from warmstart.bulk.decode import Written, check_job, decode_block
from warmstart.bulk.job import Job
from warmstart.errors import WarmstartError

if TYPE_CHECKING:
    from warmstart.seq2seq import Seq2Seq

__all__ = ["Worker"]

# A reply; errors are values, so that they are reported without a remote traceback.
Answer: TypeAlias = Written | WarmstartError | None


class Worker:
    """Holds the model and decodes one block after the other.

    Args:
        job: the settings.
        number: index of the worker, and of its GPU.
        threads: number of threads.
    """

    def __init__(self, job: Job, number: int, threads: int) -> None:
        self.job = job
        self.number = number
        self.threads = threads
        self.model: Seq2Seq | None = None
        # torch and the tokenizers, not loaded yet, read these on import.
        for name in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS"):
            os.environ[name] = str(threads)

    def load(self) -> Answer:
        """Loads the model. Returns an error, or None."""
        import torch

        from warmstart.seq2seq import Seq2Seq

        torch.set_num_threads(self.threads)
        device = self.job.device
        if device in (None, "cuda") and (gpus := torch.cuda.device_count()):
            device = f"cuda:{self.number % gpus}"
        try:
            self.model = Seq2Seq.from_pretrained(
                self.job.model,
                device=device,
                dtype=self.job.dtype,
                compile=self.job.compile,
            )
            check_job(self.model, self.job)
        except WarmstartError as error:
            return error.with_traceback(None)
        return None

    def decode(self, block: Block) -> Answer:
        """Decodes a block."""
        assert self.model is not None
        try:
            return decode_block(self.model, self.job, block)
        except WarmstartError as error:
            # Without its context, which may not be picklable.
            return error.with_traceback(None)
