"""Data: files to rows to examples to token ids."""
