"""Automatic metrics of answers against references: for feedback and evaluation, not the true utility."""
