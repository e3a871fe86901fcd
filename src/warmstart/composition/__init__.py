"""The warm start: two checkpoints become one model."""
