"""What the tests of aggregation share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agents.generators import seeded


@pytest.fixture(autouse=True)
def the_same_draws_every_time() -> Iterator[None]:
    with seeded(0):
        yield
