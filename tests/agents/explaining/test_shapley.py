"""Shapley values: axioms, the definition by orders of arrival, and a modality that is worth nothing."""

from collections.abc import Collection, Mapping
from itertools import permutations
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agents.explaining import attribute, probability_of, shapley_values, utility_of
from agents.explaining.attribution import ABSENT, without
from agents.explaining.shapley import MAX_PLAYERS, coalitions
from agents.explaining.values import greedy
from agents.fusion import FUSIONS
from agents.policy import ResponsePolicy
from agents.sft import sft
from mm_envs.data.digits import Digits
from mm_envs.random import fold, normal
from mm_envs.spaces import Vector
from mm_envs.tasks import make_task
from mm_envs.tasks.classify import Classify


def game(seed: int, players: int, n: int = 3) -> Tensor:
    return torch.randn(2**players, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_orders(values: Tensor, players: int) -> Tensor:
    """The mean marginal contribution over all orders of arrival."""
    total, orders = (
        torch.zeros(values.shape[1], players, dtype=torch.float64),
        list(permutations(range(players))),
    )
    for order in orders:
        row = 0
        for player in order:
            total[:, player] += values[row | 1 << player] - values[row]
            row |= 1 << player
    return total / len(orders)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), players=st.integers(1, 5))
def test_the_mean_over_orders_of_arrival(seed: int, players: int) -> None:
    values = game(seed, players)
    found = shapley_values(values)
    assert torch.allclose(found, by_orders(values, players), atol=1e-12)
    assert torch.allclose(found.sum(1), values[-1] - values[0], atol=1e-12)  # efficiency


def test_a_dummy_gets_its_own_worth_and_equals_get_the_same() -> None:
    worth = torch.tensor([2.0, 0.0, -1.0], dtype=torch.float64)
    additive = coalitions(3).double() @ worth[:, None]
    assert torch.allclose(shapley_values(additive), worth[None])
    majority = (coalitions(3).sum(1) >= 2).double()[:, None]
    assert torch.allclose(shapley_values(majority), torch.full((1, 3), 1 / 3, dtype=torch.float64))


def test_linearity() -> None:
    one, other = game(1, 3), game(2, 3)
    both = shapley_values(2 * one - 3 * other)
    assert torch.allclose(both, 2 * shapley_values(one) - 3 * shapley_values(other))


def test_what_is_no_game_is_refused() -> None:
    with pytest.raises(ValueError, match="values of 3 coalitions are no whole game"):
        shapley_values(torch.zeros(3, 1))
    with pytest.raises(ValueError, match="not finite"):
        shapley_values(torch.full((2, 1), torch.nan))
    with pytest.raises(ValueError, match=f"name at most {MAX_PLAYERS}"):
        coalitions(MAX_PLAYERS + 1)
    with pytest.raises(ValueError, match="absent='gone' is not one of mask, swap"):
        attribute(lambda rows: rows["x"], {"x": torch.zeros(2)}, ["x"], "gone")
    with pytest.raises(ValueError, match="modality='y' is not one of x"):
        attribute(lambda rows: rows["x"], {"x": torch.zeros(2)}, ["y"])


@pytest.mark.parametrize("fusion", FUSIONS)
def test_what_is_absent_cannot_be_seen(fusion: str) -> None:
    """Two contexts that differ in an absent modality alone are answered alike."""
    task = make_task("vqa", items=64, sound="complement")
    policy = ResponsePolicy(task, features=16, hidden=16, fusion=fusion)
    items = torch.arange(8)
    one, other = (task.batch(items + 8 * k, task.context) for k in range(2))
    for key in task.modalities:
        own = {name: other[name] if name.startswith(key) else value for name, value in one.items()}
        seen = [policy.encode(without(rows, [key])).pooled for rows in (one, own)]
        assert torch.allclose(*seen, atol=1e-6)
        assert not torch.allclose(policy.encode(one).pooled, policy.encode(own).pooled, atol=1e-4)


def test_a_row_depends_on_itself_alone() -> None:
    task = make_task("vqa", items=64, answer="tokens")
    policy = ResponsePolicy(task, features=16, hidden=16)
    context = task.batch(torch.arange(6), task.context)
    response, length = greedy(policy, context)
    for per_part in (False, True):
        whole = attribute(probability_of(policy, response, length, per_part), context, task.modalities)
        for row in range(6):
            rows = slice(row, row + 1)
            one = {key: value[rows] for key, value in context.items()}
            value = probability_of(policy, response[rows], length[rows], per_part)
            alone = attribute(value, one, task.modalities)
            assert torch.allclose(alone.shapley[0], whole.shapley[row], atol=1e-5)
        assert whole.efficiency_gap < 1e-12


class NoisyDigits(Digits):
    """Digits with a vector of random numbers that tells nothing."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.spaces = {**self.spaces, "noise": Vector(8)}

    def batch(self, indices: Tensor, fields: Collection[str]) -> dict[str, Tensor]:
        found = super().batch(indices, [field for field in fields if field != "noise"])
        hashes = fold(self.hashes(indices)[:, None], torch.arange(8))
        return {field: normal(hashes) if field == "noise" else found[field] for field in fields}

    def stored(self, field: str) -> Tensor | None:
        return None if field == "noise" else super().stored(field)


class NoisyClassify(Classify):
    """Digits to classify, shown with the noise."""

    def __init__(self) -> None:
        super().__init__(NoisyDigits())
        self.context = {**self.context, "noise": "noise"}


@pytest.fixture(scope="module")
def noisy() -> tuple[NoisyClassify, ResponsePolicy]:
    task = NoisyClassify()
    return task, sft(task, epochs=4, items=600, features=32)


@pytest.mark.parametrize("absent", ABSENT)
def test_a_modality_without_information_is_worth_nothing(
    noisy: tuple[NoisyClassify, ResponsePolicy], absent: str
) -> None:
    """The interval of 95 % of its mean Shapley value holds 0, that of the picture does not."""
    task, policy = noisy
    items = torch.tensor(task.dataset.range("test"))
    items = items[torch.randperm(len(items), generator=torch.Generator().manual_seed(0))]
    fields = task.batch(items, (*task.context.values(), *task.reference))
    context: Mapping[str, Tensor] = {key: fields[name] for key, name in task.context.items()}
    reference = {name: fields[name] for name in task.reference}
    found = attribute(utility_of(policy, task, reference), context, task.modalities, absent)
    intervals = found.intervals()
    assert intervals["noise"].low <= 0 <= intervals["noise"].high
    assert intervals["noise"].high - intervals["noise"].low < 0.1
    assert intervals["image"].low > 0.3
    assert found.efficiency_gap < 1e-6
