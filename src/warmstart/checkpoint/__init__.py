"""Checkpoint folders and tensor names. Knows no model."""
