"""One file a task: columns, lengths, metrics and decoding defaults."""
