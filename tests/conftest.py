"""What all tests share."""

from __future__ import annotations

import os

# Two threads lose to one where tests run side by side: of fixtures and of processes that tests start, too.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """One again, whatever the test before left."""
    torch.set_num_threads(1)
