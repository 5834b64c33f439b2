"""Folders that benchmarks prepare from published sets of real files."""
