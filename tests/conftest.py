"""What all tests share."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Two threads lose to one where tests run side by side."""
    torch.set_num_threads(1)
