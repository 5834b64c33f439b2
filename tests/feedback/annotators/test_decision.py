"""From perceived utilities to choices: every chance is the one that its formula says."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from feedback.annotators import Decision
from feedback.preferences import FIRST, SECOND, SKIP, TIE
from mm_envs.random import fold

N = 100_000
BITS = fold(torch.arange(N), 11)
SIGN = torch.where(fold(BITS, 1) > 0, 1.0, -1.0)


# 0.7 standard deviations of the difference of two independent answers.
GAP = 0.7 * math.sqrt(2)


def choices(decision: Decision, pull: float, worth: float = 1.0, label: int | None = None) -> Tensor:
    def full(value: float) -> Tensor:
        return torch.full((N,), value)

    labels = None if label is None else torch.full((N,), label)
    return decision.choice(full(worth), full(pull), full(pull), BITS, SIGN, labels)


@pytest.mark.parametrize(
    ("decision", "label", "expected"),
    [
        (Decision(rationality=0.0), None, 0.5),
        (Decision(rationality=1.0), None, 1 / (1 + math.exp(-0.7))),
        (Decision(rationality=3.0), None, 1 / (1 + math.exp(-2.1))),
        (Decision(rationality=1.0, position=1.0), None, 1 / (1 + math.exp(-1.7))),
        (Decision(rationality=0.0, position=-2.0), None, 1 / (1 + math.exp(2.0))),
        (Decision(mistakes=0.2), None, 0.8),
        (Decision(mistakes=0.9), None, 0.1),
        (Decision(fatigue=10.0), 0, 1.0),
        (Decision(fatigue=10.0), 10, 0.75),
        (Decision(fatigue=10.0, mistakes=0.9), 20, 0.4),
        (Decision(rationality=1.0, mistakes=0.25), None, 0.25 + 0.5 / (1 + math.exp(-0.7))),
    ],
)
def test_chances_are_those_of_the_formula(decision: Decision, label: int | None, expected: float) -> None:
    chosen = choices(decision, GAP, label=label)
    assert set(chosen.unique().tolist()) <= {FIRST, SECOND}
    # Four standard errors and the steps of the tables: a fair draw fails once in 16,000 times.
    spread = 4 * math.sqrt(expected * (1 - expected) / N) + 1e-4
    assert abs((chosen == FIRST).double().mean() - expected) <= spread
    labels = None if label is None else torch.tensor([label])
    assert decision.probability(torch.tensor([GAP]), labels).item() == pytest.approx(expected, abs=1e-6)


def test_without_noise_the_better_one_wins_and_equal_ones_are_a_tie() -> None:
    oracle = Decision()
    assert (choices(oracle, 1e-3) == FIRST).all()
    assert (choices(oracle, -1e-3) == SECOND).all()
    assert (choices(oracle, 0.0) == TIE).all()
    assert torch.equal(choices(Decision(rationality=1e9), 0.01), choices(oracle, 0.01))


def test_a_position_bias_decides_between_equal_ones() -> None:
    first = (choices(Decision(position=1.0), 0.0) == FIRST).double().mean()
    assert abs(first - 1 / (1 + math.exp(-1.0))) < 4 * 0.5 / math.sqrt(N)
    assert (choices(Decision(position=1.0), 0.01) == FIRST).all()


@pytest.mark.parametrize("mistakes", [0.0, 0.3, 1.0])
def test_skip_comes_before_equal_and_equal_before_mistakes(mistakes: float) -> None:
    decision = Decision(mistakes=mistakes, skip=0.5, equal=0.2)
    assert (choices(decision, 0.1, worth=0.4) == SKIP).all()
    assert (choices(decision, 0.1, worth=0.6) == TIE).all()
    turned = (choices(decision, 0.3, worth=0.6) == SECOND).double().mean()
    assert abs(turned - mistakes) <= 4 * math.sqrt(mistakes * (1 - mistakes) / N)


@settings(deadline=None, max_examples=50)
@given(st.floats(-3, 3), st.floats(0, 20), st.floats(0, 1), st.floats(-3, 3), st.integers(0, 10_000))
def test_the_mirror_image(pull: float, b: float, mistakes: float, position: float, label: int) -> None:
    n = 50
    there, labels = torch.full((n,), pull), torch.full((n,), label)
    hashes, sign = fold(torch.arange(n), label), SIGN[:n]
    one = Decision(b, mistakes, position=position, fatigue=50.0)
    other = Decision(b, mistakes, position=-position, fatigue=50.0)
    given = one.choice(there, there, there, hashes, sign, labels)
    turned = other.choice(there, -there, -there, hashes, -sign, labels)
    assert torch.equal(given, torch.tensor([SECOND, FIRST, TIE, SKIP])[turned])
    chance = one.probability(there, labels) + other.probability(-there, labels)
    torch.testing.assert_close(chance, torch.ones(n))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"rationality": -1.0}, "rationality=-1.0 is below 0"),
        ({"rationality": math.nan}, "rationality=nan is below 0"),
        ({"mistakes": 1.1}, "mistakes=1.1 is not within 0 to 1"),
        ({"mistakes": math.nan}, "mistakes=nan is not within"),
        ({"skip": -0.1}, "skip=-0.1 is below 0"),
        ({"equal": -0.1}, "equal=-0.1 is below 0"),
        ({"position": math.inf}, "position=inf is no finite number"),
        ({"fatigue": 0.0}, "fatigue=0.0 is not above 0"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Decision(**arguments)
