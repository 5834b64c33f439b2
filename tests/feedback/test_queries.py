"""Which pairs are asked about: closed forms, public definitions, and properties of every choice."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from feedback.queries import (
    QUERIES,
    SCHEDULES,
    divide,
    k_center,
    logit_disagreement,
    mean_entropy,
    member_entropy,
    pair_features,
    probability_disagreement,
    select,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def differences(members: int = 3, n: int = 50, seed: int = 0) -> Tensor:
    return 3 * torch.randn(members, n, generator=seeded(seed))


def chosen(name: str, seed: int = 0, n: int = 50, count: int = 10) -> Tensor:
    features = torch.randn(n, 4, generator=seeded(1))
    return select(name, differences(n=n), count, generator=seeded(seed), features=features)


# Acquisition functions ------------------------------------------------------------------------------------


def test_values_are_those_of_numpy_in_double_precision() -> None:
    d = differences().double()
    p = 1 / (1 + np.exp(-d.numpy()))
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p))
    mean = p.mean(0)
    expected = {
        probability_disagreement: p.std(0, ddof=1),
        logit_disagreement: d.numpy().std(0, ddof=1),
        member_entropy: entropy.mean(0),
        mean_entropy: -(mean * np.log(mean) + (1 - mean) * np.log(1 - mean)),
    }
    for value, known in expected.items():
        np.testing.assert_allclose(value(d).numpy(), known, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", [name for name, query in QUERIES.items() if query.value])
def test_which_answer_is_first_does_not_matter(name: str) -> None:
    value = QUERIES[name].value
    assert value is not None
    d = differences()
    torch.testing.assert_close(value(d), value(-d))


@pytest.mark.parametrize("name", [name for name, query in QUERIES.items() if query.value])
def test_values_are_finite_where_members_are_sure(name: str) -> None:
    value = QUERIES[name].value
    assert value is not None
    far = torch.tensor([[1e4, -1e4, 0.0], [1e4, 1e4, 0.0]])
    assert bool(value(far).isfinite().all())


def test_entropy_of_the_mean_is_never_below_the_mean_of_entropies() -> None:
    d = differences(n=1000)
    assert bool((mean_entropy(d) >= member_entropy(d) - 1e-6).all())
    alone = d[:1]
    torch.testing.assert_close(mean_entropy(alone), member_entropy(alone))


def test_a_single_member_does_not_contradict_itself() -> None:
    d = differences(members=1)
    assert probability_disagreement(d).tolist() == logit_disagreement(d).tolist() == [0.0] * 50


# Choices --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", QUERIES)
def test_a_choice_is_some_rows_each_once_and_the_same_again(name: str) -> None:
    rows = chosen(name)
    assert rows.shape == (10,)
    assert rows.dtype == torch.int64
    assert len(rows.unique()) == 10
    assert set(rows.tolist()) <= set(range(50))
    assert rows.tolist() == chosen(name).tolist()


@pytest.mark.parametrize("name", QUERIES)
def test_all_or_none_can_be_chosen(name: str) -> None:
    assert sorted(chosen(name, count=50).tolist()) == list(range(50))
    assert chosen(name, count=0).tolist() == []


@pytest.mark.parametrize("name", [name for name, one in QUERIES.items() if one.value and not one.spread])
def test_the_most_valuable_pairs_are_chosen_best_first(name: str) -> None:
    value = QUERIES[name].value
    assert value is not None
    values = value(differences())
    assert values[chosen(name)].tolist() == values.sort(descending=True).values[:10].tolist()


@pytest.mark.parametrize("name", ["k_center_disagreement", "k_center_entropy"])
def test_hybrids_stay_within_the_more_valuable_half(name: str) -> None:
    value = QUERIES[name].value
    assert value is not None
    better = value(differences()).argsort(descending=True)[:25]
    assert set(chosen(name, count=10).tolist()) <= set(better.tolist())


def test_uniform_and_equals_are_uniform() -> None:
    """Chi-square of 2,000 choices of 2 of 10; both lie below the quantile 1 - 1e-6 (9 degrees: 43.4)."""
    equal = torch.zeros(3, 10)
    for name in ("uniform", "disagreement"):
        counts = torch.zeros(10)
        for seed in range(2000):
            counts[select(name, equal, 2, generator=seeded(seed))] += 1
        assert float(((counts - 400) ** 2 / 400).sum()) < 43.4


def test_what_cannot_be_chosen_is_refused() -> None:
    d = differences()
    with pytest.raises(ValueError, match="query='entropi' is not one of uniform"):
        select("entropi", d, 1, generator=seeded())
    with pytest.raises(ValueError, match="count=51 is above the 50 pairs"):
        select("uniform", d, 51, generator=seeded())
    with pytest.raises(ValueError, match="needs features"):
        select("k_center", d, 1, generator=seeded())
    with pytest.raises(ValueError, match="not finite"):
        select("entropy", d.log(), 1, generator=seeded())


# k-center -------------------------------------------------------------------------------------------------


def radius(points: Tensor, centres: Tensor) -> float:
    return float(torch.cdist(points, centres).amin(1).max())


@given(st.integers(0, 10_000), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_the_cover_is_at_most_twice_as_wide_as_the_best_one(seed: int, count: int) -> None:
    points = torch.randn(9, 2, generator=seeded(seed))
    greedy = radius(points, points[k_center(points, count, generator=seeded(seed))])
    best = min(radius(points, points[list(rows)]) for rows in combinations(range(9), count))
    assert greedy <= 2 * best + 1e-5


def test_every_choice_is_the_farthest_one() -> None:
    points = torch.randn(40, 3, generator=seeded())
    known = torch.randn(1500, 3, generator=seeded(1))[:, :] * 0.2
    centres = known
    for row in k_center(points, 8, generator=seeded(), labelled=known).tolist():
        away = torch.cdist(points, centres).amin(1)
        assert float(away[row]) == pytest.approx(float(away.max()), rel=1e-5)
        centres = torch.cat([centres, points[row, None]])


def test_duplicates_come_last_and_once() -> None:
    points = torch.zeros(5, 2)
    points[3] = 1.0
    rows = k_center(points, 5, generator=seeded())
    assert sorted(rows.tolist()) == [0, 1, 2, 3, 4]
    assert 3 in rows[:2].tolist()


def test_features_of_a_pair_do_not_depend_on_its_order() -> None:
    one, other = torch.randn(2, 6, 3, generator=seeded())
    assert torch.equal(pair_features(one, other), pair_features(other, one))


# Schedules ------------------------------------------------------------------------------------------------


@given(st.integers(0, 5000), st.integers(1, 60), st.sampled_from(list(SCHEDULES)), st.floats(0.05, 200))
def test_a_budget_is_spent_exactly_and_never_faster(
    budget: int, rounds: int, name: str, horizon: float
) -> None:
    counts = divide(budget, rounds, name, horizon)
    assert sum(counts) == budget
    assert len(counts) == rounds
    assert list(counts) == sorted(counts, reverse=True)
    assert min(counts) >= 0


def test_schedules_are_those_of_their_formulas() -> None:
    assert divide(180, 6) == (30,) * 6
    weights = [10 / (10 + t) for t in range(5)]
    expected = [10_000 * weight / sum(weights) for weight in weights]
    assert divide(10_000, 5, "hyperbolic", 10) == pytest.approx(expected, abs=1)
    weights = [1 / (1 + (t / 5) ** 2) for t in range(5)]
    expected = [10_000 * weight / sum(weights) for weight in weights]
    assert divide(10_000, 5, "inverse_quadratic") == pytest.approx(expected, abs=1)


def test_a_schedule_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="schedule='linear' is not one of constant"):
        divide(10, 2, "linear")
    with pytest.raises(ValueError, match="horizon=0 is not above 0"):
        divide(10, 2, "hyperbolic", 0)
    with pytest.raises(ValueError, match="rounds=0 is below 1"):
        divide(10, 0)
