"""Counter-based streams: uniform, independent, and the same whatever else is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from mm_envs.random import fold, gumbel, integers, logistic, normal, purpose, signed, stream, uniform

N = 200_000


def some_hashes(seed: int = 0, n: int = N) -> torch.Tensor:
    return fold(stream(seed, "test"), torch.arange(n))


def test_the_hash_is_splitmix64() -> None:
    def reference(state: int) -> int:
        mask = 2**64 - 1
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
        return state ^ (state >> 31)

    for state in (0, 1, 12345, 2**63 + 7):
        for word in (0, 1, 99):
            expected = reference((state + (word + 1) * 0x9E3779B97F4A7C15) % 2**64)
            assert int(fold(torch.tensor([signed(state)]), word)) == signed(expected)
            assert int(fold(torch.tensor([signed(state)]), torch.tensor([word]))) == signed(expected)


def test_a_draw_does_not_depend_on_the_others() -> None:
    alone = torch.cat([fold(stream(3, "a"), torch.tensor([i])) for i in range(100)])
    assert torch.equal(alone, fold(stream(3, "a"), torch.arange(100)))


@pytest.mark.parametrize("other", [stream(1, "test"), stream(0, "tests"), stream(2**32, "test")])
def test_streams_of_other_seeds_and_purposes_share_nothing(other: torch.Tensor) -> None:
    mine, theirs = some_hashes(), fold(other, torch.arange(N))
    assert not set(mine.tolist()) & set(theirs.tolist())
    # |r| of independent samples is below 4 / sqrt(n) but once in 16,000 times; the seeds are fixed.
    assert abs(np.corrcoef(uniform(mine), uniform(theirs))[0, 1]) < 4 / np.sqrt(N)


def test_every_bit_is_fair_and_changes_with_every_word() -> None:
    values = some_hashes(n=20_000)
    for bit in range(64):
        ones = ((values >> bit) & 1).double().mean()
        assert abs(ones - 0.5) < 4 * 0.5 / np.sqrt(20_000)
    changed = fold(values, 1) ^ fold(values, 2)
    flips = torch.stack([(changed >> bit) & 1 for bit in range(64)]).double().mean()
    assert abs(flips - 0.5) < 0.01


@pytest.mark.parametrize(
    ("draw", "distribution"),
    [
        (uniform, stats.uniform()),
        (gumbel, stats.gumbel_r()),
        (logistic, stats.logistic()),
        (normal, stats.norm()),
    ],
)
def test_draws_have_their_distribution(draw: object, distribution: object) -> None:
    values = draw(some_hashes())
    assert values.dtype == torch.float32
    assert stats.kstest(values.double().numpy(), distribution.cdf).pvalue > 1e-3


def test_integers_are_uniform() -> None:
    counts = torch.bincount(integers(some_hashes(), 7), minlength=7)
    assert len(counts) == 7
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_large_and_negative_seeds_are_taken() -> None:
    states = {int(stream(seed, "x")) for seed in (0, -1, 2**63, 2**64 - 2, 2**70 + 1)}
    assert len(states) == 5
    assert purpose("x") != purpose("y")
