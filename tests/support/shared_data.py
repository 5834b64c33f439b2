"""Real data next to a checkout, never part of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("MM_ENVS_DATA", Path(__file__).parents[3] / "shared" / "data"))


def shared(name: str) -> Path:
    """A folder of real data; the test is skipped, saying why, where it is not there."""
    folder = ROOT / name
    if not folder.is_dir():
        pytest.skip(f"real data {name!r} is not in {ROOT}: set MM_ENVS_DATA to the folder that holds it")
    return folder
