"""Rankings and choices among several against choix, torch and Bradley-Terry."""

from __future__ import annotations

import choix
import numpy as np
import torch

from feedback.losses import boltzmann, bradley_terry, plackett_luce


def test_a_ranking_of_two_is_bradley_terry() -> None:
    scores = torch.randn(20)
    order = torch.stack([torch.randperm(20), torch.randperm(20)], 1)
    difference = scores[order[:, 0]] - scores[order[:, 1]]
    torch.testing.assert_close(plackett_luce(scores, order), bradley_terry(difference, torch.ones(20)))


def test_the_chances_of_all_orders_add_up_to_one() -> None:
    orders = torch.tensor([[i, j, 3 - i - j] for i in range(3) for j in range(3) if i != j])
    total = torch.exp(-plackett_luce(torch.randn(3, dtype=torch.float64), orders)).sum()
    torch.testing.assert_close(total, torch.ones((), dtype=torch.float64))


def test_padding_changes_nothing() -> None:
    scores, order = torch.randn(10), torch.stack([torch.randperm(10)[:4] for _ in range(5)])
    padded = torch.nn.functional.pad(order, (0, 3), value=-1)
    torch.testing.assert_close(plackett_luce(scores, padded), plackett_luce(scores, order))
    assert plackett_luce(scores, torch.full((1, 3), -1)).item() == 0


def test_far_scores_are_finite_with_padding_too() -> None:
    scores = torch.tensor([1e4, -1e4, 0.0], requires_grad=True)
    loss = plackett_luce(scores, torch.tensor([[1, 0, -1], [0, 2, 1], [2, -1, -1]]))
    loss.sum().backward()
    assert loss.tolist() == [2e4, 0, 0]
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()


def test_the_best_scores_are_those_of_choix() -> None:
    generator = np.random.default_rng(0)
    truth = generator.normal(size=6)
    orders = [np.argsort(-(truth + generator.gumbel(size=6)))[:4] for _ in range(200)]
    # Only four of six are ranked: both take them for the whole choice.
    expected = choix.opt_rankings(6, [tuple(order.tolist()) for order in orders])
    scores = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([scores], max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe")
    order = torch.tensor(np.stack(orders))

    def closure() -> float:
        optimizer.zero_grad()
        loss = plackett_luce(scores, order).sum()
        loss.backward()
        return float(loss)

    optimizer.step(closure)
    found = scores.detach().numpy()
    np.testing.assert_allclose(found - found.mean(), expected - expected.mean(), atol=1e-4)


def test_a_choice_among_several_is_cross_entropy() -> None:
    scores = torch.randn(7, 4, dtype=torch.float64)
    there = torch.ones(7, 3, dtype=torch.bool)
    found = boltzmann(scores[:, 0], scores[:, 1:], there, 1.7)
    expected = torch.nn.functional.cross_entropy(1.7 * scores, torch.zeros(7).long(), reduction="none")
    torch.testing.assert_close(found, expected)


def test_what_is_not_there_is_not_chosen_among() -> None:
    chosen, others = torch.zeros(2, requires_grad=True), torch.tensor([[1e4, 0.0], [1e4, 1e4]])
    loss = boltzmann(chosen, others, torch.tensor([[False, True], [False, False]]))
    loss.sum().backward()
    torch.testing.assert_close(loss.detach(), torch.tensor([2.0, 1.0]).log())
    assert torch.isfinite(chosen.grad).all()  # type: ignore[arg-type]
