"""NumPy arrays on the CPU and tensors elsewhere: the same functions, the same results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mm_envs import arrays, random
from mm_envs.arrays import as_tensor, numpy_on_cpu

WORDS = st.integers(-(2**63), 2**63 - 1)
MATRIX = torch.arange(12).view(3, 4)
MASK = torch.tensor([True, False, True])

CALLS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "where": (arrays.where, (MASK, MATRIX, -1)),
    "where, a number first": (arrays.where, (MASK, -1.0, MATRIX.float())),
    "take": (arrays.take, (MATRIX, torch.tensor([[2, 0], [1, 1]]))),
    "columns": (arrays.columns, (MATRIX, torch.tensor([3, 3, 0]))),
    "largest": (arrays.largest, (MATRIX,)),
    "add_scaled": (arrays.add_scaled, (MATRIX, MATRIX * 7, 2**61 + 1)),
    "add_scaled, broadcast": (arrays.add_scaled, (MATRIX[:, :1], MATRIX, 3)),
    "with_entries": (arrays.with_entries, (MATRIX, torch.tensor([0, 3, 1]), torch.tensor([9, 8, 7]))),
    "group_sums": (arrays.group_sums, (MATRIX, MATRIX % 3, 2)),
    "padded": (arrays.padded, (MATRIX, 2, 5)),
    "full": (lambda like: arrays.full((2, 3), 4, torch.int32, like), (MATRIX,)),
    "cast": (arrays.cast, (MATRIX, torch.float32)),
    "viewed": (arrays.viewed, (MATRIX, torch.int32)),
    "copied": (arrays.copied, (MATRIX,)),
}


def both(function: Callable[..., Any], *arguments: Any) -> tuple[Any, Any]:
    """The results on NumPy arrays and on tensors, as NumPy arrays."""
    on_arrays = [one.numpy() if isinstance(one, torch.Tensor) else one for one in arguments]
    inner = getattr(function, "__wrapped__", function)
    mine, theirs = inner(*on_arrays), inner(*arguments)
    assert isinstance(mine, np.ndarray)
    assert isinstance(theirs, torch.Tensor)
    return mine, theirs.numpy()


@pytest.mark.parametrize("name", CALLS)
def test_both_libraries_give_the_same(name: str) -> None:
    function, arguments = CALLS[name]
    before = [one.clone() for one in arguments if isinstance(one, torch.Tensor)]
    mine, theirs = both(function, *arguments)
    assert mine.dtype == theirs.dtype
    assert np.array_equal(mine, theirs)
    assert all(map(torch.equal, before, (one for one in arguments if isinstance(one, torch.Tensor))))


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=5), st.integers(0, 2**63 - 1))
def test_hashes_and_draws_are_equal(keys: list[tuple[int, int, int]], word: int) -> None:
    key = torch.tensor(keys)
    hashes = random.key_hashes(key, word)
    assert np.array_equal(random.key_hashes(key.numpy(), word), hashes.numpy())
    mine, theirs = both(lambda state, other: random.fold(state, 3, other), key[:, 0], key[:, 1])
    assert np.array_equal(mine, theirs)
    for draw in (random.uniform, random.gumbel, random.logistic, random.normal):
        mine, theirs = both(draw, hashes)
        assert mine.dtype == theirs.dtype == np.float32
        assert np.array_equal(mine, theirs)
    mine, theirs = both(lambda state: random.integers(state, 7), hashes)
    assert np.array_equal(mine, theirs)
    mine, theirs = both(lambda state: random.chance(state, 0.3), hashes)
    assert np.array_equal(mine, theirs)


def test_rows_without_indices_are_chosen_by_the_mask() -> None:
    new = MATRIX * 100
    rows = MASK.numpy().nonzero()[0]
    picked = arrays.put(MATRIX, MASK, rows, new[MASK])
    assert torch.equal(picked, arrays.put(MATRIX, MASK, None, new))
    assert torch.equal(picked, torch.where(MASK[:, None], new, MATRIX))


def test_a_marked_function_gets_arrays_where_all_tensors_are_on_the_cpu() -> None:
    seen: list[type] = []

    @numpy_on_cpu
    def both_sums(values: Any, other: Any) -> Any:
        seen.append(type(values))
        return values.sum(0), values + other

    total, both = both_sums(MATRIX, MATRIX)
    assert seen == [np.ndarray]
    assert torch.equal(total, MATRIX.sum(0))
    assert torch.equal(both, 2 * MATRIX)
    assert isinstance(both_sums(MATRIX.numpy(), 1)[1], np.ndarray)
    # NumPy's scalars warn of the overflow that hashes need: a tensor without dimensions stays one.
    both_sums(MATRIX, torch.tensor(1))
    assert seen[-1] is torch.Tensor
    on_device = MATRIX.to("meta")
    assert both_sums(on_device, on_device)[0].is_meta


def test_a_tensor_shares_the_memory_of_its_array() -> None:
    values = np.zeros(3)
    as_tensor(values)[1] = 5
    assert values[1] == 5
    assert as_tensor(np.float32(2)).item() == 2
    assert arrays.native(MATRIX).base is not None
    assert arrays.native(MATRIX.to("meta")).is_meta
