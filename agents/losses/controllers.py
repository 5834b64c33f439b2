"""Controllers of the price of the KL: fixed, or adapted so that the KL stays near a target.

``state_dict()`` is plain JSON and belongs into the checkpoint: a training that starts over with the first
price is another training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mm_envs.names import at_least, check_one_of, keywords, refuse_unknown

_MAX_CHANGE = 0.2


@dataclass
class KLController:
    """What the KL costs.

    Attributes:
        value: The price of a nat, beta.

    Raises:
        ValueError: A value is out of its range.
    """

    value: float

    def __post_init__(self) -> None:
        at_least("value", self.value, 0, "the price of the KL is 0 or more")

    def update(self, kl: float, n: int) -> None:
        """Takes the KL of n new answers into account, in nats an answer.

        Raises:
            ValueError: The KL is not finite.
        """
        if not math.isfinite(kl):
            raise ValueError(f"kl={kl} is not finite: look at the log-probabilities of policy and reference")
        self.value *= self._factor(kl, n)

    def _factor(self, kl: float, n: int) -> float:
        """What the price is multiplied by."""
        return 1.0

    def state_dict(self) -> dict[str, float]:
        """What changes in the course of a training."""
        return {"value": self.value}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Goes on from a state."""
        self.value = float(state["value"])


@dataclass
class FixedKL(KLController):
    """A price that stays.

    Example:
        >>> controller = FixedKL(0.05)
        >>> controller.update(kl=3.0, n=64)
        >>> controller.value
        0.05
    """


@dataclass
class _TargetKL(KLController):
    """A price that rises while the KL is above the target, and falls below it."""

    target: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.target > 0:
            raise ValueError(f"target={self.target} is not above 0: give the KL to hold, in nats an answer")

    def _error(self, kl: float) -> float:
        return min(max(kl / self.target - 1, -_MAX_CHANGE), _MAX_CHANGE)


@dataclass
class ZieglerKL(_TargetKL):
    """Proportional control in log space (Ziegler et al., 2019, arXiv 1909.08593, section 2.2).

    ``value *= 1 + clip(KL / target - 1, -0.2, 0.2) n / horizon`` after every n answers; the same in OpenRLHF
    and verl.

    Attributes:
        value: The price of a nat at first.
        target: The KL to hold, in nats an answer.
        horizon: After so many answers whose KL is 1.2 targets or more, the price is about 20 % higher.

    Raises:
        ValueError: A value is out of its range, or an update has n > 5 horizon, which could turn the sign.

    Example:
        >>> controller = ZieglerKL(0.1, target=2.0, horizon=1000)
        >>> controller.update(kl=10.0, n=500)
        >>> round(controller.value, 6)
        0.11
    """

    horizon: int = 10_000

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("horizon", self.horizon, 1, "give a number of answers")

    def _factor(self, kl: float, n: int) -> float:
        at_least("horizon", self.horizon, _MAX_CHANGE * n, "make it longer than the answers of an update")
        return 1 + self._error(kl) * n / self.horizon


@dataclass
class RL4LMsKL(_TargetKL):
    """The controller of RL4LMs (Ramamurthy et al., 2022, arXiv 2210.01241), whatever the number of answers.

    ``value *= 1 + 0.1 clip(KL / target - 1, -0.2, 0.2)``.

    Attributes:
        value: The price of a nat at first.
        target: The KL to hold, in nats an answer.
        rate: The 0.1.

    Raises:
        ValueError: A value is out of its range.

    Example:
        >>> controller = RL4LMsKL(0.1, target=2.0)
        >>> controller.update(kl=0.0, n=500)
        >>> round(controller.value, 6)
        0.098
    """

    rate: float = 0.1

    def _factor(self, kl: float, n: int) -> float:
        return 1 + self.rate * self._error(kl)


KL_CONTROLLERS: dict[str, type[KLController]] = {"fixed": FixedKL, "ziegler": ZieglerKL, "rl4lms": RL4LMsKL}


def make_kl_controller(name: str, value: float, **settings: float) -> KLController:
    """A controller by its name; ``settings`` are its attributes.

    Raises:
        ValueError: There is no such controller or setting, or a value is out of its range.

    Example:
        >>> make_kl_controller("ziegler", 0.05, target=2.0)
        ZieglerKL(value=0.05, target=2.0, horizon=10000)
    """
    check_one_of("controller", name, KL_CONTROLLERS)
    controller = KL_CONTROLLERS[name]
    refuse_unknown(
        f"controller {name!r}", settings, [one for one in keywords(controller)[0] if one != "value"]
    )
    return controller(value, **settings)
