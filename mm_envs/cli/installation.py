"""Faults of an installation: missing extras, shadowed packages, a torchvision built for another torch."""

from __future__ import annotations

import base64
import hashlib
import os
import sys
from importlib.metadata import (
    Distribution,
    PackageNotFoundError,
    distribution,
    packages_distributions,
    requires,
)
from importlib.util import find_spec
from pathlib import Path

from mm_envs.optional import MissingPackage, require

DISTRIBUTION = "mm-envs"
PACKAGES = ("agents", "feedback", "benchmarks")
MISMATCH = "torchvision::nms"


def faults() -> list[str]:
    """The faults of this installation, each with its cure."""
    try:
        require("rich", "tyro")
    except MissingPackage as missing:
        return [str(missing)]
    home = Path(__file__).resolve().parents[2]
    shadows = (shadow(package, home / package) for package in PACKAGES)
    pair = mismatched_pair()
    return [fault for fault in (*shadows, pair) if fault is not None]


# Shadowed packages ----------------------------------------------------------------------------------------


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


# torch and torchvision ------------------------------------------------------------------------------------


def mismatched_pair() -> str | None:
    """The cure for a torchvision that was built for another torch, or None.

    Only a pair whose version numbers do not match is imported, since importing takes seconds.
    """
    if _looks_matched():
        return None
    try:
        __import__("torchvision")
    except (RuntimeError, ImportError, OSError, AttributeError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "torchvision":
            return None
        return pair_message(error)
    return None


def pair_message(error: BaseException) -> str:
    """The message for an error of a mismatched pair: both versions and the cure."""
    torch, torchvision = (_version(name) or "unknown" for name in ("torch", "torchvision"))
    first = str(error).strip().partition("\n")[0]
    return (
        f"torch {torch} and torchvision {torchvision} do not fit each other ({first}): run "
        "`pip install --upgrade --force-reinstall torch torchvision` to get them as a pair"
    )


def _looks_matched() -> bool:
    from packaging.requirements import Requirement
    from packaging.version import InvalidVersion, Version

    torch, torchvision = _version("torch"), _version("torchvision")
    if torch is None or torchvision is None:
        return False
    wanted = [Requirement(line) for line in requires("torchvision") or [] if line.startswith("torch")]
    try:
        torch_build, vision_build = Version(torch).local, Version(torchvision).local
    except InvalidVersion:
        return False
    same_build = torch_build is None or vision_build is None or torch_build == vision_build
    fits = all(one.specifier.contains(torch, prereleases=True) for one in wanted if one.name == "torch")
    return bool(wanted) and fits and same_build


def _version(name: str) -> str | None:
    # The module that is imported already is the one that runs.
    loaded = getattr(sys.modules.get(name), "__version__", None)
    try:
        return str(loaded) if loaded else distribution(name).version
    except PackageNotFoundError:
        return None
