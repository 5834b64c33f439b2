"""The error of a method that does not fit."""


class NotApplicableError(ValueError):
    """A method of explaining does not fit a task, a policy or these items."""
