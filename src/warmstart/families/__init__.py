"""One file a family of checkpoints."""
