"""What is imported only when it is needed: our own modules, and packages that an extra installs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

EXTRAS = {
    "rich": "cli",
    "tyro": "cli",
    "jinja2": "cli",
    "matplotlib": "train",
    "tensorboard": "train",
    "sqlalchemy": "feedback",
    "tokenizers": "hf",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
}


class MissingPackage(ImportError):
    """An optional package is not installed; the message names the extra that installs it."""


def require(*packages: str) -> None:
    """Checks that optional packages, names in ``EXTRAS``, are installed, before they are imported.

    Raises:
        MissingPackage: One of them is not installed.
    """
    for package in packages:
        if find_spec(package) is None:
            raise MissingPackage(
                f'{package} is not installed: run `pip install "mm-envs[{EXTRAS[package]}]"`'
            )


def lazy_attributes(package: str, modules: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package (PEP 562) that imports ``modules`` when their names are used.

    Example:
        >>> lazy_attributes("mine", {"math": ["gcd", "lcm"]})("gcd")(6, 4)
        2
    """
    where = {name: module for module, names in modules.items() for name in names}

    def attribute(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(where[name]), name)

    return attribute
