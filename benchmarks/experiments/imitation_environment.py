"""A Python of its own for imitation 1.0.1, which needs old versions of Gymnasium and Stable-Baselines3."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from mm_envs.data.folder.store import default_cache

REQUIREMENTS = ("imitation==1.0.1", "gymnasium~=0.29", "stable-baselines3~=2.2.1", "numpy<2", "setuptools<81")
_CHECK = "from imitation.algorithms import preference_comparisons"
_TIMEOUT = 900.0


class NotInstalledError(RuntimeError):
    """imitation cannot be installed here; the message holds the reason."""


def imitation_python(
    progress: Callable[[str], None] = lambda message: None,
    folder: Path | None = None,
    install: bool = True,
    requirements: Sequence[str] = REQUIREMENTS,
) -> Path:
    """The Python that has imitation; made where it is missing.

    It sees the packages of this Python behind its own, so that torch is not downloaded twice: both sides run
    the same torch.

    Args:
        progress: Called with what is being done.
        folder: Its folder; None is a folder of the user's cache.
        install: Whether to make it.
        requirements: What is installed.

    Raises:
        NotInstalledError: It is not there, and cannot be or is not to be made.
    """
    folder = folder or default_cache() / "imitation-1.0.1"
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    packages = str(Path(torch.__file__).parents[1])
    wanted = {"requirements": list(requirements), "packages": packages, "python": sys.version}
    ready = folder / "ready.json"
    if ready.is_file() and json.loads(ready.read_text()) == wanted:
        return python
    if not install:
        raise NotInstalledError(f"imitation is not installed in {folder}")
    progress(f"the installation of imitation into {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(folder)])
    own = next(folder.rglob("site-packages"))
    (own / "packages_behind.pth").write_text(packages + "\n")
    _run([str(python), "-m", "pip", "install", "--quiet", *requirements])
    _run([str(python), "-c", _CHECK])
    ready.write_text(json.dumps(wanted))
    return python


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalledError(f"imitation cannot be installed: {error}") from error
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise NotInstalledError(f"imitation cannot be installed: {lines[-1] if lines else command}")
