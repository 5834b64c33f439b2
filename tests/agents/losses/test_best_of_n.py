"""Best-of-n: against enumeration with ties, the formula without, and an estimate without bias."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from agents.losses import best_of_n_kl, best_of_n_kl_bound, best_of_n_probabilities, expected_best_of_n

BASE = torch.tensor([0.1, 0.3, 0.2, 0.25, 0.15], dtype=torch.float64)
TIES = {
    "none": torch.tensor([3.0, 1.0, 2.0, 5.0, 4.0]),
    "two": torch.tensor([3.0, 1.0, 3.0, 5.0, 4.0]),
    "at the top": torch.tensor([5.0, 1.0, 2.0, 5.0, 5.0]),
    "all": torch.zeros(5),
}


def enumerated(scores: Tensor, n: int) -> Tensor:
    """All draws of n; the best of each, or one of the best draws at random."""
    q = torch.zeros(5, dtype=torch.float64)
    for drawn in itertools.product(range(5), repeat=n):
        chance = math.prod(float(BASE[i]) for i in drawn)
        best = [i for i in drawn if scores[i] == max(scores[j] for j in drawn)]
        for i in best:
            q[i] += chance / len(best)
    return q


@pytest.mark.parametrize("name", TIES)
@pytest.mark.parametrize("n", [1, 2, 4])
def test_probabilities_and_kl_are_those_of_all_draws(name: str, n: int) -> None:
    expected = enumerated(TIES[name], n)
    torch.testing.assert_close(best_of_n_probabilities(BASE, TIES[name], n), expected)
    kl = (expected * (expected / BASE).log()).sum()
    torch.testing.assert_close(best_of_n_kl(BASE, TIES[name], n), kl, atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize(
    ("answers", "n", "kl"), [(8, 16, 1.680), (4, 16, 1.330), (256, 16, 1.835), (8, 64, 2.078)]
)
def test_measured_values_of_a_uniform_base(answers: int, n: int, kl: float) -> None:
    found = best_of_n_kl(torch.full((answers,), 1 / answers), torch.arange(float(answers)), n)
    assert float(found) == pytest.approx(kl, abs=1e-3)


@pytest.mark.parametrize("n", [2, 4, 16, 64])
def test_the_formula_is_a_bound_that_many_answers_reach(n: int) -> None:
    """Within 0.01 from 256 answers on."""
    many = best_of_n_kl(torch.full((256,), 1 / 256), torch.arange(256.0), n)
    assert 0 <= best_of_n_kl_bound(n) - float(many) < 0.01
    base = torch.rand(200, 12).softmax(1)
    scores = torch.randint(6, (200, 12)).float()
    kl = best_of_n_kl(base, scores, n)
    assert (kl >= 0).all()
    assert (kl <= best_of_n_kl_bound(n) + 1e-6).all()


def test_rows_are_independent_and_sum_to_one() -> None:
    base, scores = torch.rand(8, 6).softmax(1), torch.randint(4, (8, 6)).float()
    found = best_of_n_probabilities(base, scores, 5)
    torch.testing.assert_close(found.sum(1), torch.ones(8))
    assert torch.equal(found, torch.stack([best_of_n_probabilities(base[i], scores[i], 5) for i in range(8)]))
    order = torch.randperm(6)
    torch.testing.assert_close(best_of_n_probabilities(base[:, order], scores[:, order], 5), found[:, order])


def test_impossible_answers_stay_impossible() -> None:
    base = torch.tensor([0.5, 0.5, 0.0, 0.0])
    for scores in (torch.tensor([1.0, 2.0, 3.0, 0.0]), torch.tensor([1.0, 2.0, 1.0, 3.0])):
        assert best_of_n_probabilities(base, scores, 3).tolist() == [0.125, 0.875, 0.0, 0.0]
        assert best_of_n_kl(base, scores, 3).isfinite()


def test_large_n_takes_the_best() -> None:
    uniform = torch.full((1000,), 1e-3)
    assert best_of_n_probabilities(uniform, torch.arange(1000.0), 10**6)[-1] == pytest.approx(1)
    assert float(best_of_n_kl(uniform, torch.arange(1000.0), 10**6)) == pytest.approx(
        math.log(1000), abs=1e-4
    )


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_the_estimate_is_the_mean_over_all_subsets(n: int) -> None:
    scores = torch.tensor([1.0, 3.0, 2.0, 3.0, 0.0, 2.0], dtype=torch.float64)
    values = torch.randn(6, dtype=torch.float64)
    means = []
    for subset in itertools.combinations(range(6), n):
        chosen = torch.tensor(subset)
        means.append(values[chosen][scores[chosen] == scores[chosen].max()].mean())
    torch.testing.assert_close(expected_best_of_n(scores, values, n), torch.stack(means).mean())


def test_the_estimate_is_unbiased() -> None:
    """Its mean over all sets of N = 4 draws is the value of the exact distribution."""
    scores, values = TIES["two"], torch.randn(5, dtype=torch.float64)
    drawn = torch.tensor(list(itertools.product(range(5), repeat=4)))
    chance = BASE[drawn].prod(1)
    for n in (1, 2, 3):
        found = (chance * expected_best_of_n(scores[drawn], values[drawn], n)).sum()
        torch.testing.assert_close(found, (best_of_n_probabilities(BASE, scores, n) * values).sum())


def test_pass_at_k_is_a_special_case() -> None:
    """``1 - C(N - c, n) / C(N, n)`` of c right answers in N (Chen et al., 2021)."""
    right = (torch.arange(20) < 6).double()
    expected = 1 - math.comb(14, 5) / math.comb(20, 5)
    assert float(expected_best_of_n(right, right, 5)) == pytest.approx(expected)


def test_many_draws_do_not_overflow() -> None:
    scores = torch.arange(10_000.0)
    assert float(expected_best_of_n(scores, scores, 100)) == pytest.approx(10_001 * 100 / 101 - 1, rel=1e-6)


def test_what_does_not_fit_is_refused() -> None:
    for call in (lambda: best_of_n_kl(BASE, TIES["all"], 0), lambda: best_of_n_kl_bound(0)):
        with pytest.raises(ValueError, match="n=0 is below 1: draw at least one answer"):
            call()
    with pytest.raises(ValueError, match="draws=5 is below 6: draw at least n=6 answers"):
        expected_best_of_n(BASE, BASE, 6)
