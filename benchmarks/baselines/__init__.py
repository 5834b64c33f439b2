"""The same tasks in plain Python, as a user would write them without this package."""
