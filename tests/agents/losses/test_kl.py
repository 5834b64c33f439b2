"""Estimators of the KL: values, expected gradients by enumeration, and the combinations that are refused."""

from __future__ import annotations

import itertools
import warnings

import pytest
import torch
from closed_form import expected_gradient
from torch import Tensor

from agents.losses import (
    AGGREGATIONS,
    KL_ESTIMATORS,
    KL_PLACEMENTS,
    check_kl,
    doubts,
    exact_kl,
    k2,
    k3,
    leave_one_out,
    policy_gradient_loss,
    straight_through_k3,
    warn_about,
)

LOGITS = torch.tensor([0.3, -1.0, 0.8, 0.0], dtype=torch.float64)
REFERENCE = torch.tensor([1.0, 0.5, -0.5, 0.0], dtype=torch.float64).log_softmax(0)


def gradient_of_kl(forward: bool = False) -> Tensor:
    """Of KL(policy || reference), or of KL(reference || policy)."""
    logits = LOGITS.clone().requires_grad_()
    log_probs = logits.log_softmax(0)
    first, second = (REFERENCE, log_probs) if forward else (log_probs, REFERENCE)
    return torch.autograd.grad((first.exp() * (first - second)).sum(), logits)[0]


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        ("k1", torch.zeros(4, dtype=torch.float64)),
        ("k2", gradient_of_kl()),
        ("k3", gradient_of_kl(forward=True)),
        ("k3+", gradient_of_kl()),
    ],
)
def test_expected_gradients_in_the_loss(estimator: str, expected: Tensor) -> None:
    found = expected_gradient(
        LOGITS,
        1,
        lambda lp, a: KL_ESTIMATORS[estimator](lp, REFERENCE[a]).mean(),  # type: ignore[index]
    )
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-9)


def test_the_exact_kl_needs_no_draws() -> None:
    logits = LOGITS.clone().requires_grad_()
    value = exact_kl(logits.log_softmax(0)[None], REFERENCE[None])
    torch.testing.assert_close(torch.autograd.grad(value.sum(), logits)[0], gradient_of_kl())
    expected = torch.nn.functional.kl_div(REFERENCE, LOGITS.log_softmax(0), log_target=True, reduction="sum")
    torch.testing.assert_close(value.squeeze(), expected)


@pytest.mark.parametrize("estimator", KL_ESTIMATORS)
def test_expected_gradients_in_the_reward(estimator: str) -> None:
    """Only k1 has that of the KL; k3 lacks the gradient of the forward KL."""
    price = KL_ESTIMATORS[estimator]  # type: ignore[index]

    def loss(lp: Tensor, a: Tensor) -> Tensor:
        return policy_gradient_loss(lp, leave_one_out(-price(lp, REFERENCE[a]).detach()))

    found = expected_gradient(LOGITS, 2, loss)
    if estimator == "k1":
        torch.testing.assert_close(found, gradient_of_kl())
    else:
        assert (found - gradient_of_kl()).abs().max() > 0.01
    if estimator == "k3":
        torch.testing.assert_close(found, gradient_of_kl() - gradient_of_kl(forward=True))


@pytest.mark.parametrize(
    ("estimator", "unbiased"), [("k1", True), ("k2", False), ("k3", True), ("k3+", True)]
)
def test_expected_values(estimator: str, unbiased: bool) -> None:
    log_probs = LOGITS.log_softmax(0)
    mean = (log_probs.exp() * KL_ESTIMATORS[estimator](log_probs, REFERENCE)).sum()  # type: ignore[index]
    assert (abs(float(mean - exact_kl(log_probs, REFERENCE))) < 1e-12) == unbiased


def test_k2_and_k3_are_never_negative_and_agree_near_the_reference() -> None:
    difference = torch.linspace(-3, 3, 31, dtype=torch.float64)
    zero = torch.zeros_like(difference)
    assert (k2(difference, zero) >= 0).all()
    assert (k3(difference, zero) >= 0).all()
    small = 1e-3 * difference
    torch.testing.assert_close(k3(small, zero), k2(small, zero), atol=1e-8, rtol=0)


def test_straight_through_k3_has_the_value_of_k3_and_the_gradient_of_k2() -> None:
    """The ``k3+`` of verl; k3 itself is the penalty ``e^x - x - 1`` of TRL with x = reference - policy."""
    log_prob, reference = torch.randn(2, 5, dtype=torch.float64)
    log_prob.requires_grad_()
    both = straight_through_k3(log_prob, reference)
    x = reference - log_prob
    torch.testing.assert_close(both, x.exp() - x - 1)
    gradients = [torch.autograd.grad(one.sum(), log_prob)[0] for one in (both, k2(log_prob, reference))]
    torch.testing.assert_close(*gradients)


def test_answers_of_several_parts() -> None:
    """Two words of three: k2 of the whole answer, and k1 in the reward to go, have the gradient of the KL of
    whole answers; k2 and the exact KL of each part lack the effect of the first word on the second."""
    torch.manual_seed(0)
    first, second = torch.randn(3, dtype=torch.float64), torch.randn(3, 3, dtype=torch.float64)
    reference = torch.randn(3).double().log_softmax(0), torch.randn(3, 3).double().log_softmax(1)
    first.requires_grad_()
    words = torch.tensor(list(itertools.product(range(3), repeat=2)))
    parts = torch.stack(
        [first.log_softmax(0)[words[:, 0]], second.log_softmax(1)[words[:, 0], words[:, 1]]], 1
    )
    prior = torch.stack([reference[0][words[:, 0]], reference[1][words[:, 0], words[:, 1]]], 1)
    chance = parts.sum(1).exp()

    def gradient(each: Tensor, weights: Tensor) -> Tensor:
        return torch.autograd.grad((weights * each).sum(), first, retain_graph=True)[0]

    exact = gradient((parts - prior).sum(1), chance)
    drawn = chance.detach()
    torch.testing.assert_close(gradient(k2(parts.sum(1), prior.sum(1)), drawn), exact)
    to_go = (parts - prior).detach().flip(1).cumsum(1).flip(1)
    torch.testing.assert_close(gradient((to_go * parts).sum(1), drawn), exact)
    by_part = gradient(k2(parts, prior).sum(1), drawn)
    assert (by_part - exact).abs().max() > 0.01
    alone = torch.autograd.grad(exact_kl(first.log_softmax(0), reference[0]), first, retain_graph=True)[0]
    torch.testing.assert_close(by_part, alone)


def test_impossible_choices_and_padding_cost_nothing() -> None:
    logits = torch.tensor([[0.0, 1.0, -torch.inf], [3.0, 1.0, 2.0]], requires_grad=True)
    reference = torch.tensor([[1.0, 0.0, -torch.inf], [float("nan")] * 3]).log_softmax(1)
    found = exact_kl(logits.log_softmax(1), reference, torch.tensor([True, False]))
    expected = exact_kl(logits[:1, :2].log_softmax(1), reference[:1, :2])
    torch.testing.assert_close(found[:1], expected)
    assert found[1] == 0
    assert torch.autograd.grad(found[0], logits)[0].isfinite().all()


REASONS = {
    ("loss", "k1"): "its expected gradient is zero.*use exact, k2 or k3\\+ there, or k1 in the reward",
    ("loss", "k3"): "its gradient is that of the forward KL.*use exact, k2 or k3\\+ there, or k1",
    ("reward", "k2"): "its expected gradient is not that of the KL: use k1 there",
    ("reward", "k3"): "lacks that of the forward KL, a biased optimum: use k1 there",
    ("reward", "k3+"): "a reward has no gradient, which leaves k3 with its bias: use k1 there",
    ("reward", "exact"): "the same for every answer, so a baseline cancels it: use k1 there",
}


@pytest.mark.parametrize("placement", KL_PLACEMENTS)
@pytest.mark.parametrize("estimator", [*KL_ESTIMATORS, "exact"])
def test_wrong_combinations_are_refused_with_reason_and_cure(placement: str, estimator: str) -> None:
    if (placement, estimator) in REASONS:
        sentence = f"estimator='{estimator}' of the KL in the {placement}: ".replace("+", "\\+")
        with pytest.raises(ValueError, match=sentence + ".*" + REASONS[placement, estimator]):
            check_kl(placement, estimator)  # type: ignore[arg-type]
    else:
        check_kl(placement, estimator)  # type: ignore[arg-type]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="placement='rewards' is not one of reward, loss"):
        check_kl("rewards", "k1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"estimator='k4' is not one of k1, k2, k3, k3\+, exact"):
        check_kl("loss", "k4")  # type: ignore[arg-type]


def test_doubtful_combinations_warn() -> None:
    with pytest.warns(UserWarning, match="difficulty bias.*put the KL into the reward, or take"):
        warn_about(normalisation="std", kl_placement="loss")
    with pytest.warns(UserWarning, match="normalisation='mean' expects rewards of at least 0"):
        warn_about(normalisation="mean", kl_placement="reward")
    with pytest.warns(UserWarning, match="length bias.*take 'sequence_sum' or 'max_length'"):
        warn_about(aggregation="sequence_mean")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_about(normalisation="std", kl_placement="reward")
        warn_about(kl_placement="loss")
    assert [len(doubts(aggregation=how)) for how in AGGREGATIONS] == [1, 0, 0, 0]
