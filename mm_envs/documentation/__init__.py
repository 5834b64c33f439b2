"""Pages of the documentation that are generated from docstrings and from real episodes."""
