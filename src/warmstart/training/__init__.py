"""Loss, batches, schedule and the training run."""
