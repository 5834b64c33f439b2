"""Credit of parts: against recursions written row by row, at both ends of an episode, and padding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from agents.losses import batch_standardise, dense_returns, gae

NAN = float("nan")


def lengths(*counts: int, width: int = 6) -> Tensor:
    """The mask of answers of so many parts."""
    return torch.arange(width) < torch.tensor(counts)[:, None]


def test_dense_returns_by_hand() -> None:
    scores = torch.tensor([[0.2, 0.5, 0.4, NAN], [0.7, NAN, NAN, NAN], [NAN, NAN, NAN, NAN]])
    expected = torch.tensor([[0.4, 0.2, -0.1, 0.0], [0.7, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(dense_returns(scores, lengths(3, 1, 0, width=4)), expected)


def test_dense_returns_are_the_rest_of_the_score() -> None:
    scores, mask = torch.randn(5, 3, 6), lengths(*range(2, 7)).unsqueeze(1).expand(5, 3, 6)
    found = dense_returns(scores, mask)
    last = scores.gather(2, mask.sum(2, keepdim=True) - 1)
    torch.testing.assert_close(found[:, :, :1], last)
    torch.testing.assert_close(found[:, :, 1:], torch.where(mask[:, :, 1:], last - scores[:, :, :-1], 0))


def row_by_row(
    rewards: list[float], values: list[float], bootstrap: float, gamma: float, lam: float
) -> list[float]:
    """The sum of the definition: ``A_t = sum over s of (gamma lam)^s delta_{t+s}``."""
    after = [*values, bootstrap][1:]
    delta = [r + gamma * n - v for r, n, v in zip(rewards, after, values, strict=True)]
    return [sum((gamma * lam) ** (s - t) * delta[s] for s in range(t, len(delta))) for t in range(len(delta))]


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.9, 0.0), (0.97, 1.0), (0.0, 0.5)])
def test_gae_is_its_definition(cut: bool, gamma: float, lam: float) -> None:
    rewards, values = torch.randn(2, 4, 6, dtype=torch.float64)
    written, bootstrap = lengths(6, 3, 1, 0), torch.randn(4, dtype=torch.float64)
    truncated = torch.tensor([cut, False, cut, False])
    padded = [torch.where(written, one, NAN) for one in (rewards, values)]
    advantages, returns = gae(*padded, written, truncated, bootstrap, gamma, lam)
    for row, count in enumerate([6, 3, 1, 0]):
        last = float(bootstrap[row]) if truncated[row] else 0.0
        expected = row_by_row(rewards[row, :count].tolist(), values[row, :count].tolist(), last, gamma, lam)
        assert advantages[row, :count].tolist() == pytest.approx(expected)
        assert not advantages[row, count:].any()
    torch.testing.assert_close(returns, torch.where(written, advantages + values, 0))


def test_without_truncation_the_episode_ends_with_the_value_0() -> None:
    rewards, values = torch.randn(2, 4, 6)
    one = gae(rewards, values, lengths(6, 3, 1, 0))
    other = gae(rewards, values, lengths(6, 3, 1, 0), torch.zeros(4).bool(), torch.full((4,), 99.0))
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_parts_that_are_heard_are_passed_over() -> None:
    """Cut out, they leave the same advantages."""
    rewards, values = torch.randn(2, 3, 6)
    written = torch.tensor([True, False, False, True, True, False]).expand(3, -1)
    keep = written[0]
    advantages, _ = gae(rewards, values, written)
    expected, _ = gae(rewards[:, keep], values[:, keep], written[:, keep])
    torch.testing.assert_close(advantages[:, keep], expected)


def test_lambda_1_is_the_reward_to_go() -> None:
    rewards, values = torch.randn(2, 4, 6)
    _, returns = gae(rewards, values, lengths(6, 6, 6, 6), lam=1.0)
    torch.testing.assert_close(returns, rewards.flip(1).cumsum(1).flip(1))


def test_eight_rows_are_eight_batches_of_one() -> None:
    rewards, values = torch.randn(2, 8, 6)
    written = lengths(*range(8)).clone()
    together = gae(rewards, values, written)
    alone = [gae(rewards[i : i + 1], values[i : i + 1], written[i : i + 1]) for i in range(8)]
    for column in range(2):
        assert torch.equal(together[column], torch.cat([one[column] for one in alone]))


def test_values_get_no_gradient() -> None:
    values = torch.zeros(2, 6, requires_grad=True)
    assert not any(one.requires_grad for one in gae(torch.ones(2, 6), values, lengths(6, 3)))


@pytest.mark.parametrize(
    ("truncated", "bootstrap", "sentence"),
    [
        (torch.ones(2).bool(), None, "truncated is given without bootstrap: give both"),
        (None, torch.ones(2), "bootstrap is given without truncated: give both"),
    ],
)
def test_half_a_truncation_is_refused(
    truncated: Tensor | None, bootstrap: Tensor | None, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        gae(torch.ones(2, 6), torch.ones(2, 6), lengths(6, 3), truncated, bootstrap)


def test_standardised_advantages_are_the_formula_of_trl() -> None:
    """``masked_whiten``: the masked variance with Bessel's correction, ``rsqrt(var + 1e-8)``."""
    values, mask = torch.randn(4, 6), lengths(6, 3, 1, 0)
    kept = values[mask]
    mean = (values * mask).sum() / mask.sum()
    variance = ((values - mean).square() * mask).sum() / mask.sum() * len(kept) / (len(kept) - 1)
    expected = (values - mean) * torch.rsqrt(variance + 1e-8) * mask
    torch.testing.assert_close(batch_standardise(values, mask), expected)


def test_padding_never_matters_to_standardised_advantages() -> None:
    values, mask = torch.randn(4, 6), lengths(6, 3, 1, 0)
    expected = batch_standardise(values[mask])
    found = batch_standardise(torch.where(mask, values, NAN), mask)
    torch.testing.assert_close(found[mask], expected)
    assert not found[~mask].any()
    assert expected.mean().abs() < 1e-6
    assert expected.std() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_parts_are_standardised_to_0(count: int) -> None:
    assert not batch_standardise(torch.full((1, 6), 3.0), lengths(count)).any()
