"""Checks of a model: consistent files, use of the source, round trips. One check a file."""
