"""Files to rows to examples to batches."""
