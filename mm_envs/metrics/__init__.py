"""Automatic metrics: what can be said of an answer beside a reference. As feedback, not as truth."""
