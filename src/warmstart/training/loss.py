"""The training loss of a batch."""

from torch import Tensor

from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.soft_loss import soft_loss
from warmstart.training.batches import Batch, sequences
from warmstart.training.distillation import Teacher
from warmstart.training.train_config import TrainConfig

__all__ = ["batch_loss"]


def batch_loss(
    model: EncoderDecoder,
    batch: Batch,
    label_count: Tensor,
    config: TrainConfig,
    teacher: Teacher | None = None,
) -> Tensor:
    """Cross-entropy, with label smoothing, R-Drop and distillation as the settings have them.

    Args:
        model: being trained.
        batch: on the model's device.
        label_count: divisor of the sum over labels: the weights of all labels of a step.
        config: label smoothing, R-Drop and distillation.
        teacher: model whose distributions are learnt, too.

    Returns:
        In nats per target token, this batch's share of the step's. Shape: []
    """
    source, target = sequences(batch)
    labels, weights = batch["labels"], batch.get("weights")
    smoothing = config.label_smoothing
    if teacher is None and not config.r_drop:
        loss: Tensor = model(
            source, target, labels, label_count, weights=weights, label_smoothing=smoothing
        )
        return loss
    passes = [model.states(source, target) for _ in range(2 if config.r_drop else 1)]
    summed = soft_loss(
        model.head,
        passes,
        labels,
        weights,
        label_smoothing=smoothing,
        teacher=None if teacher is None else teacher.states(source, target),
        r_drop=config.r_drop,
    )
    return summed / label_count
