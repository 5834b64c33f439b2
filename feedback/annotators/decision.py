"""From perceived utilities to a choice."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite, isinf, sqrt

import torch
from torch import Tensor

from feedback.preferences import FIRST, SECOND, SKIP, TIE
from mm_envs.random import logistic, uniform

# Utilities are sums of float32 numbers: what is closer is equal.
_SAME = 1e-6


@dataclass(frozen=True)
class Decision:
    """The decision between two answers; thresholds are counted in standard deviations of utility.

    With d the difference of the perceived utilities, s ``Task.utility_deviation`` and sqrt(2) s the standard
    deviation of the difference of two independent answers, in this order (Lee et al., "B-Pref", 2021):

    1. skip: neither answer is worth more than ``skip`` s.
    2. equal: ``|d| < equal s``, without myopia. A tie is a choice of its own.
    3. label: the answer displayed first with probability sigmoid(rationality d / (sqrt(2) s) + position), d
       with myopia (Luce, 1959; Bradley and Terry, 1952).
    4. mistake: the choice of an answer is turned round with probability ``mistakes``.

    Args:
        rationality: Log odds per standard deviation of utility differences: 0 flips coins, infinity always
            chooses the answer that seems better; what seems exactly equal is a tie unless there is a position
            bias.
        mistakes: In [0, 1]; above 0.5 is an adversary.
        skip: At least 0; 0 skips nothing.
        equal: At least 0; 0 finds nothing equal.
        position: Log odds in favour of the answer that is displayed first.
        fatigue: After how many labels half of the attention is gone. Without attention half of the choices
            are turned round.

    Example:
        >>> differences = torch.tensor([0.0, 1.0]) * 2**0.5
        >>> Decision(rationality=2.0).probability(differences).tolist()
        [0.5, 0.8807970285415649]
    """

    rationality: float = inf
    mistakes: float = 0.0
    skip: float = 0.0
    equal: float = 0.0
    position: float = 0.0
    fatigue: float = inf

    def __post_init__(self) -> None:
        for name in ("rationality", "skip", "equal"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}={getattr(self, name)} is below 0: it is counted from 0 on")
        if not 0 <= self.mistakes <= 1:
            raise ValueError(f"mistakes={self.mistakes} is not within 0 to 1: 0.5 is a coin-flipper")
        if not isfinite(self.position):
            raise ValueError(f"position={self.position} is no finite number: give log odds")
        if not self.fatigue > 0:
            raise ValueError(f"fatigue={self.fatigue} is not above 0: it is a number of labels")

    @property
    def sharpness(self) -> float:
        """Log odds per standard deviation of utility: differences vary sqrt(2) times as much."""
        return self.rationality / sqrt(2)

    def choice(
        self, worth: Tensor, gap: Tensor, logit: Tensor, hashes: Tensor, sign: Tensor, label: Tensor | None
    ) -> Tensor:
        """FIRST, SECOND, TIE or SKIP, (n,) int64; all utilities in standard deviations.

        Args:
            worth: The perceived utility of the better answer, (n,) float32.
            gap: The lead of the first one without myopia, (n,) float32.
            logit: The lead with myopia.
            hashes: A hash for each pair, the same in either order, (n,) int64.
            sign: 1 or -1, the other one when the answers change places, (n,) float32.
            label: How many labels were given before, (n,) int64; None for 0.
        """
        noise = sign * logistic(hashes)
        # The low bits of the hash make the noise, the high ones the mistakes.
        mistaken = uniform(hashes) < self.mistaken(label, hashes)
        if isinf(self.rationality):
            close = logit.abs() <= _SAME
            first = torch.where(close, self.position + noise > 0, logit > 0)
        else:
            close = torch.zeros_like(mistaken)
            first = self.sharpness * logit + self.position + noise > 0
        choice = torch.where(first ^ mistaken, FIRST, SECOND)
        equal = gap.abs() < self.equal
        if self.position == 0:
            equal = equal | close
        choice = torch.where(equal, TIE, choice)
        if self.skip > 0:
            choice = torch.where(worth <= self.skip, SKIP, choice)
        return choice

    def order(self, seen: Tensor, noise: Tensor) -> Tensor:
        """Positions in the order of preference, best first, (n, K) int64.

        ``seen`` are utilities in standard deviations, ``noise`` is added in log odds, (n, K) float32 each.
        """
        if not isinf(self.rationality):
            return (self.sharpness * seen + noise).argsort(dim=1, descending=True, stable=True)
        # The noise decides between those that seem equal, and only between them.
        drawn = noise.argsort(dim=1, descending=True, stable=True)
        grades = (seen / _SAME).round().gather(1, drawn)
        return drawn.gather(1, grades.argsort(dim=1, descending=True, stable=True))

    def probability(self, logit: Tensor, label: Tensor | None = None) -> Tensor:
        """The probability that the answer displayed first is chosen, if one is, (n,) float32.

        Args:
            logit: Its lead in standard deviations of utility, (n,) float32.
            label: How many labels were given before, (n,) int64; None for 0.
        """
        if isinf(self.rationality):
            even = torch.sigmoid(torch.full_like(logit, self.position))
            clear = torch.where(logit.abs() <= _SAME, even, (logit > 0).to(logit.dtype))
        else:
            clear = torch.sigmoid(self.sharpness * logit + self.position)
        wrong = self.mistaken(label, logit).to(logit.dtype)
        return (1 - wrong) * clear + wrong * (1 - clear)

    def mistaken(self, label: Tensor | None, like: Tensor) -> Tensor:
        """How likely each choice is turned round, (n,) float64 on the device of ``like``."""
        mistakes = torch.full((len(like),), self.mistakes, dtype=torch.float64, device=like.device)
        if label is None or isinf(self.fatigue):
            return mistakes
        attention = torch.exp2(-label.to(torch.float64) / self.fatigue)
        return 0.5 + (mistakes - 0.5) * attention
