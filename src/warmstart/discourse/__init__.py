"""English sentence pairs, made by rule from plain text."""
