"""Evaluation of a model, of finished outputs, and of one system against another."""
