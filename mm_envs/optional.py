"""Packages that only some functions need, and the extras of this distribution that install them."""

from __future__ import annotations

from importlib.util import find_spec

EXTRAS = {
    "rich": "cli",
    "tyro": "cli",
    "jinja2": "cli",
    "matplotlib": "train",
    "tensorboard": "train",
    "sqlalchemy": "feedback",
    "tokenizers": "hf",
}


class MissingPackage(ImportError):
    """An optional package is not installed; the message names the extra that installs it."""


def require(*packages: str) -> None:
    """Checks that optional packages are installed, before they are imported.

    Args:
        packages: Names in ``EXTRAS``.

    Raises:
        MissingPackage: One of them is not installed.

    Example:
        >>> require("rich", "tyro")
    """
    for package in packages:
        try:
            found = find_spec(package) is not None
        except ValueError:  # a module whose specification was removed
            found = False
        if not found:
            raise MissingPackage(
                f'{package} is not installed: run `pip install "mm-envs[{EXTRAS[package]}]"`'
            )
