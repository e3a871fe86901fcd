"""Outputs for files of any size: in order, resumable, by one process or many."""
