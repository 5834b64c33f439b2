"""The table finds what a dict finds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mm_envs.metrics.lookup import Lookup


@pytest.mark.parametrize("number", [1, 2, 3, 50, 5000])
@pytest.mark.parametrize("spread", [1, 2**16, 2**50])
def test_it_finds_what_a_dict_finds(number: int, spread: int) -> None:
    generator = np.random.default_rng(number)
    keys = generator.permutation(np.arange(number, dtype=np.int64) - number // 2) * spread
    values = generator.integers(-(2**60), 2**60, size=number)
    known = dict(zip(keys.tolist(), values.tolist(), strict=True))
    wanted = np.concatenate([keys, keys + 1, generator.integers(-(2**63), 2**63 - 1, size=100)])
    found = Lookup(keys, values).find(torch.from_numpy(wanted).view(-1, 1), -7)
    assert found.flatten().tolist() == [known.get(key, -7) for key in wanted.tolist()]
    assert found.shape == (len(wanted), 1)
