from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from store_examples import ITEMS

from feedback.store import PreferenceStore


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "labels.db"


@pytest.fixture
def store(file: Path) -> Iterator[PreferenceStore]:
    with PreferenceStore(file) as made:
        made.add_items(ITEMS)
        yield made
