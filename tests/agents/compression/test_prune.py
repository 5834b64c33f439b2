"""Pruning removes exactly the share that is asked for, and files of pruned weights lose nothing."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from agents.compression.prune import keep, kept, prunable, prune, zeros
from agents.compression.sparse import BITMAP, packed, unpacked
from agents.policy import ResponsePolicy
from mm_envs.tasks import make_task


def policy() -> ResponsePolicy:
    return ResponsePolicy(make_task("caption"), features=16, hidden=16)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.9])
def test_the_share_is_exact(share: float) -> None:
    before = policy()
    removed, number = zeros(prune(before, share))
    assert removed == round(share * number)
    assert zeros(before)[0] == 0


def test_the_smallest_are_removed_and_the_others_kept() -> None:
    before = policy()
    after = prune(before, 0.4)
    old = torch.cat([one.detach().flatten() for one in prunable(before).values()])
    new = torch.cat([one.detach().flatten() for one in prunable(after).values()])
    gone = new == 0
    assert float(old[gone].abs().max()) <= float(old[~gone].abs().min())
    assert torch.equal(old[~gone], new[~gone])


def test_other_weights_are_left() -> None:
    before = policy()
    after, names = prune(before).state_dict(), prunable(before)
    assert all(torch.equal(one, after[key]) for key, one in before.state_dict().items() if key not in names)


def test_rows_are_removed_as_a_whole() -> None:
    net = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 3))
    made = prune(net, 0.3, rows=True)
    gone = (made[0].weight == 0).all(1)
    assert int(gone.sum()) == 3
    assert bool((made[0].bias[gone] == 0).all())
    assert torch.equal(made[2].weight, net[2].weight)


def test_masks_keep_zeros() -> None:
    made = prune(policy())
    masks, before = kept(made), zeros(made)
    with torch.no_grad():
        for one in made.parameters():
            one.add_(1.0)
    assert zeros(made)[0] == 0
    keep(made, masks)
    assert zeros(made) == before


@pytest.mark.parametrize("share", [-0.1, 1.0, 2.0, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="is not within 0 to below 1"):
        prune(policy(), share)


def test_a_module_without_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="no layer to prune"):
        prune(nn.LayerNorm(3))
    with pytest.raises(ValueError, match="no hidden linear layer"):
        prune(nn.Linear(3, 3), rows=True)


@given(st.lists(st.sampled_from([0.0, -0.0, 1.5, -2.0, float("nan")]), min_size=1, max_size=40))
def test_packed_tensors_are_unpacked_equal(numbers: list[float]) -> None:
    tensors = {"weight": torch.tensor(numbers).view(1, -1), "count": torch.tensor([0, 1])}
    found = unpacked(packed(tensors), tensors)
    assert found.keys() == tensors.keys()
    for name, one in tensors.items():
        torch.testing.assert_close(found[name], one, rtol=0, atol=0, equal_nan=True)


def test_half_of_the_weights_take_half_of_the_bytes() -> None:
    tensors = {"weight": prune(nn.Linear(100, 100), 0.5).weight.detach()}
    size = sum(one.nbytes for one in packed(tensors).values())
    assert size == 4 * 5000 + 1250


@pytest.mark.parametrize(
    "fault",
    [
        {"weight" + BITMAP: torch.zeros(3, dtype=torch.uint8)},
        {"weight" + BITMAP: torch.full((1,), 255, dtype=torch.uint8)},
        {"weight" + BITMAP: torch.zeros(1)},
        {"other" + BITMAP: torch.zeros(1, dtype=torch.uint8)},
    ],
)
def test_a_bitmap_that_does_not_fit_is_refused(fault: dict[str, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="weights"):
        unpacked({"weight": torch.ones(2), **fault}, {"weight": torch.zeros(4)})
