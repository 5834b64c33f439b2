"""Short videos of grid worlds with the family of environments that they are from."""

from __future__ import annotations

import csv
from pathlib import Path

from mm_envs.data.media import safe_path
from mm_envs.data.records import Record, Source


def clips(root: Path) -> Source:
    """The animated GIFs of the documentation of Minigrid, ``label`` the family of environments.

    Args:
        root: The folder that holds ``captions.csv`` with the columns ``file``, ``family`` and ``env``.

    Raises:
        FileNotFoundError: There is no such table.
    """
    path = root / "captions.csv"
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: docs/datasets.md says where it can be had")
    with path.open(encoding="utf-8", newline="") as file:
        records = [
            Record(
                f"captions.csv, {row['file']}",
                {"video": safe_path(root, row["file"])},
                {"label": row["family"]},
                None,
                {"env": row["env"]},
            )
            for row in csv.DictReader(file)
        ]
    return Source("clips", root, records, says=f"{len(records)} videos of grid worlds")
