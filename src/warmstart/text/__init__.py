"""Tokenizers of source and target, and their special tokens."""
