"""Advantages: baselines without bias, normalisation, invariances."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from closed_form import expected_gradient
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agents.losses import (
    GROUP_BASELINES,
    NORMALISATIONS,
    against_baseline,
    leave_one_out,
    normalise,
    over_mean,
    policy_gradient_loss,
    share_without_signal,
)

REWARDS = st.lists(st.lists(st.floats(-10, 10, width=32), min_size=4, max_size=4), min_size=1, max_size=5)
LOGITS = torch.tensor([0.3, -1.0, 0.8, 0.0], dtype=torch.float64)
REWARD = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)


def exact_gradient() -> Tensor:
    """Of minus the expected reward."""
    logits = LOGITS.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(-(logits.softmax(0) * REWARD).sum(), logits)
    return gradient


@pytest.mark.parametrize(("baseline", "scale"), [("leave_one_out", 1.0), ("mean", 2 / 3)])
def test_the_expected_gradient_is_that_of_the_expected_reward(baseline: str, scale: float) -> None:
    advantage = GROUP_BASELINES[baseline]  # type: ignore[index]
    found = expected_gradient(LOGITS, 3, lambda lp, a: policy_gradient_loss(lp, advantage(REWARD[a])))
    torch.testing.assert_close(found, scale * exact_gradient())


@pytest.mark.parametrize("baseline", [0.0, 2.5, float(REWARD[LOGITS.argmax()])])
def test_any_baseline_that_does_not_depend_on_the_answer_is_unbiased(baseline: float) -> None:
    """The last is the reward of the greedy answer: self-critical training."""
    constant = torch.full((1, 1), baseline, dtype=torch.float64)
    found = expected_gradient(
        LOGITS, 1, lambda lp, a: policy_gradient_loss(lp, against_baseline(REWARD[a], constant))
    )
    torch.testing.assert_close(found, exact_gradient())


def test_normalisation_by_std_is_biased() -> None:
    """The division depends on the answer, so the direction is another one."""
    found = expected_gradient(
        LOGITS, 3, lambda lp, a: policy_gradient_loss(lp, normalise(over_mean(REWARD[a]), REWARD[a], "std"))
    )
    assert torch.cosine_similarity(found, exact_gradient(), 0) < 0.99


@settings(deadline=None)
@given(REWARDS)
def test_mean_and_leave_one_out_differ_by_a_factor(rewards: list[list[float]]) -> None:
    table = torch.tensor(rewards, dtype=torch.float64)
    torch.testing.assert_close(over_mean(table), leave_one_out(table) * 3 / 4)
    torch.testing.assert_close(over_mean(table).sum(1), torch.zeros(len(table)).double(), atol=1e-9, rtol=0)


ADVANTAGES: dict[str, Callable[[Tensor], Tensor]] = {
    f"{baseline}, {how}": lambda r, base=base, how=how: normalise(base(r), r, how)  # type: ignore[misc]
    for baseline, base in GROUP_BASELINES.items()
    for how in NORMALISATIONS
}


@pytest.mark.parametrize("name", ADVANTAGES)
@settings(max_examples=50, deadline=None)
@given(REWARDS, st.permutations(range(4)), st.floats(-5, 5))
def test_invariances(name: str, rewards: list[list[float]], order: list[int], shift: float) -> None:
    advantage, table = ADVANTAGES[name], torch.tensor(rewards, dtype=torch.float64)
    found = advantage(table)
    torch.testing.assert_close(advantage(table[:, order]), found[:, order])
    alone = torch.cat([advantage(row[None]) for row in table])
    torch.testing.assert_close(alone, found)
    if "mean" not in name.partition(", ")[2]:
        torch.testing.assert_close(advantage(table + shift), found, atol=1e-4, rtol=1e-4)
    assert ((found * over_mean(table)) >= 0).all(), "the sign is that of the reward over its mean"


@pytest.mark.parametrize("name", ADVANTAGES)
def test_dense_credit_of_one_part_is_that_of_the_answer(name: str) -> None:
    rewards, (baseline, _, how) = torch.rand(3, 4), name.partition(", ")
    dense = rewards[:, :, None].expand(-1, -1, 5)
    found = normalise(GROUP_BASELINES[baseline](dense), rewards, how)  # type: ignore[index, arg-type]
    torch.testing.assert_close(found, ADVANTAGES[name](rewards)[:, :, None].expand(-1, -1, 5))


def test_std_is_the_formula_of_trl() -> None:
    """``grpo_trainer.py``: rewards of all groups in one row, ``torch.std``, an epsilon of 1e-4."""
    rewards = torch.randn(24)
    mean = rewards.view(-1, 4).mean(dim=1).repeat_interleave(4)
    std = rewards.view(-1, 4).std(dim=1).repeat_interleave(4)
    table = rewards.view(6, 4)
    torch.testing.assert_close(
        normalise(over_mean(table), table, "std"), ((rewards - mean) / (std + 1e-4)).view(6, 4)
    )


def test_leave_one_out_is_the_formula_of_trl() -> None:
    """``rloo_trainer.py``: ``(sum - r) / (k - 1)`` is the baseline."""
    rewards = torch.randn(6, 4)
    baseline = (rewards.sum(1, keepdim=True) - rewards) / 3
    torch.testing.assert_close(leave_one_out(rewards), rewards - baseline)


def test_mean_by_hand() -> None:
    """(1 - 1/4) / (1/4 + 1/4), and the loss of a wrong answer."""
    rewards = torch.tensor([[1.0, 0.0, 0.0, 0.0], [-1.0, -1.0, -1.0, -1.0]])
    assert normalise(over_mean(rewards), rewards, "mean").tolist() == [[1.5, -0.5, -0.5, -0.5], [0, 0, 0, 0]]


@pytest.mark.parametrize("name", ADVANTAGES)
@pytest.mark.parametrize("rewards", [[0.7] * 8, [1.0] + [0.0] * 7, [0.1] * 7 + [0.1 + 1e-6]])
def test_advantages_never_blow_up(name: str, rewards: list[float]) -> None:
    """A std of the other answers would give the odd one out an advantage of 1e4 and more."""
    assert ADVANTAGES[name](torch.tensor([rewards])).abs().max() < 10


def test_share_without_signal() -> None:
    rewards = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.1, 0.1], [0.0, 0.0]])
    assert share_without_signal(rewards) == 0.75
    dense = torch.zeros(2, 3, 4)
    dense[1, 2, 3] = 1
    assert share_without_signal(dense) == 0.5
    silent = [not advantage.any() for advantage in leave_one_out(rewards)]
    assert share_without_signal(rewards) == sum(silent) / 4


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: leave_one_out(torch.zeros(3, 1)), "answers=1 is below 2: an advantage needs another"),
        (lambda: over_mean(torch.zeros(3, 1)), "answers=1 is below 2"),
        (lambda: against_baseline(torch.zeros(3, 4), torch.zeros(4)), r"shape \(4,\) does not fit rewards"),
        (lambda: against_baseline(torch.zeros(3, 4), torch.zeros(2, 1)), r"\(2, 1\) does not fit rewards"),
        (
            lambda: normalise(*torch.zeros(2, 3, 4), "stdd"),
            "normalisation='stdd' is not one of none, std, mean",
        ),
        (lambda: normalise(torch.zeros(3, 4), torch.zeros(3), "std"), "give one reward for each answer"),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], Tensor], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()


def test_a_baseline_has_no_gradient() -> None:
    value = torch.zeros(2, 1, requires_grad=True)
    assert not against_baseline(torch.zeros(2, 3), value).requires_grad
