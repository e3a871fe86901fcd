"""Is a model what its files say it is, and does it read its source? One check a file."""
