"""Faults of an installation: missing extras, shadowed packages."""

from __future__ import annotations

import base64
import hashlib
import os
from importlib.metadata import Distribution, PackageNotFoundError, distribution, packages_distributions
from importlib.util import find_spec
from pathlib import Path

from mm_envs.optional import MissingPackage, require

DISTRIBUTION = "mm-envs"
PACKAGES = ("agents", "feedback", "benchmarks")


def faults() -> list[str]:
    """The faults of this installation, each with its cure."""
    try:
        require("rich", "tyro")
    except MissingPackage as missing:
        return [str(missing)]
    home = Path(__file__).resolve().parents[2]
    shadows = (shadow(package, home / package) for package in PACKAGES)
    return [fault for fault in shadows if fault is not None]


def shadow(package: str, ours: Path) -> str | None:
    """The fault if importing one of our packages gives another one, or None.

    Args:
        package: The name that is imported.
        ours: The folder of the package that belongs to this ``mm_envs``.
    """
    found = _location(package)
    if found is None:
        return (
            f"the package '{package}' of {DISTRIBUTION} is missing: install it again with "
            f"`pip install --force-reinstall --no-deps {DISTRIBUTION}`"
        )
    if found not in (ours, ours / "__init__.py"):
        return f"{found} shadows the package '{package}' of {DISTRIBUTION} ({ours}): {_cure(package, found)}"
    other = _overwritten_by(package, ours)
    if other:
        return (
            f"the distribution '{other}' has overwritten {ours}, the package '{package}' of {DISTRIBUTION}: "
            f"{_uninstall(other)}"
        )
    return None


def _location(package: str) -> Path | None:
    """The folder that importing the package would use, or the file of a single module."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve()
    return Path(spec.origin).resolve() if spec.origin else None


def _cure(package: str, found: Path) -> str:
    # Only a folder on the way to site-packages belongs to the distribution that claims the name.
    claimants = _claimants(package) if found.parent.name in ("site-packages", "dist-packages") else []
    if claimants:
        return _uninstall(claimants[0])
    if found.parent == Path.cwd():
        return (
            "run mm-envs from another folder, or use `python -P -m mm_envs` (Python 3.11 or later), "
            f"or rename {found.name}"
        )
    if str(found.parent) in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        return f"take {found.parent} out of PYTHONPATH, or use a fresh environment"
    return f"take {found.parent} off the import path, or install {DISTRIBUTION} in a fresh environment"


def _uninstall(other: str) -> str:
    return (
        f"run `pip uninstall {other}` and then `pip install --force-reinstall --no-deps {DISTRIBUTION}`, "
        f"or install {DISTRIBUTION} in a fresh environment"
    )


def _claimants(package: str) -> list[str]:
    return [name for name in packages_distributions().get(package, []) if name != DISTRIBUTION]


def _overwritten_by(package: str, ours: Path) -> str | None:
    """The distribution whose ``__init__.py`` has overwritten ours, by the hash that pip recorded."""
    installed = _installed()
    for file in (installed.files or []) if installed else []:
        if str(file) != f"{package}/__init__.py" or file.hash is None:
            continue
        path = Path(str(file.locate())).resolve()
        if path.parent == ours and file.hash.mode == "sha256" and _digest(path) != file.hash.value:
            return next(iter(_claimants(package)), None)
    return None


def _digest(path: Path) -> str:
    digest = hashlib.sha256(path.read_bytes()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _installed() -> Distribution | None:
    try:
        return distribution(DISTRIBUTION)
    except PackageNotFoundError:
        return None
