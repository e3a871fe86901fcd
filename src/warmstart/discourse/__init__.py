"""Rules that make English sentence pairs from plain text."""
