"""Schedules of learning rates and entropy coefficients: pure functions of the share of the training done.

``share`` is 0 to 1. A factor is relative to the highest value; an entropy coefficient takes the same
schedules.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from mm_envs.names import at_least, check_one_of


def constant(share: float, last: float = 1.0) -> float:
    """1 throughout.

    Example:
        >>> constant(0.5)
        1.0
    """
    return 1.0


def linear(share: float, last: float = 0.0) -> float:
    """From 1 to ``last`` in a straight line.

    Example:
        >>> linear(0.25), linear(1.0, last=0.1)
        (0.75, 0.1)
    """
    return last + (1 - last) * (1 - share)


def cosine(share: float, last: float = 0.0) -> float:
    """From 1 to ``last`` along half a cosine (Loshchilov and Hutter, 2016, arXiv 1608.03983, one cycle).

    Example:
        >>> cosine(0.0), cosine(0.5), cosine(1.0, last=0.01)
        (1.0, 0.5, 0.01)
    """
    return last + (1 - last) * (1 + math.cos(math.pi * share)) / 2


def one_cycle(share: float) -> tuple[float, float]:
    """The one-cycle schedule with the defaults of ``torch.optim.lr_scheduler.OneCycleLR``.

    Smith, 2018, arXiv 1803.09820.

    Args:
        share: The share of the training that is done, 0 to 1.

    Returns:
        The learning rate as a factor of the highest, and the first beta of Adam.

    Example:
        >>> [round(one, 6) for one in (*one_cycle(0.0), *one_cycle(0.3))]
        [0.04, 0.95, 1.0, 0.85]
    """
    rising = share < 0.3
    done = share / 0.3 if rising else (share - 0.3) / 0.7
    weight = (1 + math.cos(math.pi * done)) / 2
    first, last = ((1 / 25, 0.95), (1.0, 0.85)) if rising else ((1.0, 0.85), (1 / 250_000, 0.95))
    rate, momentum = (end + (begin - end) * weight for begin, end in zip(first, last, strict=True))
    return rate, momentum


SCHEDULES: dict[str, Callable[[float, float], float]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
}
"""Schedules from 1 to ``last``; ``one_cycle`` changes the momentum as well."""


def schedule(name: str, share: float, warm: float = 0.0, last: float = 0.0) -> float:
    """The factor of a schedule, after a rise from 0 to 1 in a straight line.

    Args:
        name: "constant", "linear" or "cosine".
        share: The share of the training that is done; outside 0 to 1 the nearest of both.
        warm: The share of the training that the rise takes, 0 to below 1.
        last: The factor at the end; "constant" has none.

    Raises:
        ValueError: There is no such schedule, or ``warm`` is out of its range.

    Example:
        >>> [round(schedule("cosine", share, warm=0.1), 3) for share in (0.0, 0.05, 0.1, 0.55, 1.0)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    check_one_of("schedule", name, SCHEDULES)
    if not 0 <= warm < 1:
        raise ValueError(f"warm={warm} is not within 0 to 1: 0.05 is customary")
    share = min(max(share, 0.0), 1.0)
    return share / warm if share < warm else SCHEDULES[name]((share - warm) / (1 - warm), last)


def adaptive_rate(
    rate: float, kl: float, target: float, lowest: float = 1e-5, highest: float = 1e-2, factor: float = 2.0
) -> float:
    """The next learning rate, by the KL between the policies before and after an update.

    Divided by ``factor`` where ``kl > 2 target``, multiplied where ``kl < target / 2``, within bounds: the
    rule of rsl_rl (Rudin et al., 2021, arXiv 2109.11978), whose factor is 1.5, after the adaptive price of
    the KL of Schulman et al., 2017, arXiv 1707.06347, section 4.

    Args:
        rate: The learning rate so far.
        kl: Of the last update, in nats; see ``agents.losses.ppo.approximate_kl``.
        target: The KL to hold, above 0.
        lowest: The lowest rate.
        highest: The highest rate.
        factor: Above 1.

    Raises:
        ValueError: A value is out of its range.

    Example:
        >>> adaptive_rate(1e-3, kl=0.05, target=0.01), adaptive_rate(1e-3, kl=0.001, target=0.01)
        (0.0005, 0.002)
    """
    if not target > 0:
        raise ValueError(f"target={target} is not above 0: 0.01 is customary")
    at_least("highest", highest, lowest, "give bounds in order")
    at_least("factor", factor, 1, "2 is customary")
    # A KL that is no number is the worst of steps: it compares with nothing, so the rate would stay.
    if kl > 2 * target or math.isnan(kl):
        rate /= factor
    elif kl < target / 2:
        rate *= factor
    return min(max(rate, lowest), highest)


def adaptive_entropy(
    coefficient: float,
    entropy: float,
    target: float,
    rate: float = 0.05,
    lowest: float = 1e-5,
    highest: float = 1.0,
) -> float:
    """The next coefficient of the entropy bonus: larger below the target entropy, smaller above it.

    ``log c += rate (target - entropy)``, the gradient step of soft actor-critic on its temperature (Haarnoja
    et al., 2018, arXiv 1812.05905, section 5), within bounds.

    Args:
        coefficient: So far, above 0.
        entropy: Of the policy now, in nats; see ``agents.losses.policy.entropy``.
        target: The entropy to hold, in nats.
        rate: Of the change.
        lowest: The lowest coefficient.
        highest: The highest coefficient.

    Raises:
        ValueError: A value is out of its range.

    Example:
        >>> round(adaptive_entropy(0.01, entropy=0.5, target=1.5, rate=0.1), 5)
        0.01105
    """
    if not lowest > 0:
        raise ValueError(f"lowest={lowest} is not above 0: a coefficient of 0 would never rise again")
    at_least("highest", highest, lowest, "give bounds in order")
    return min(max(coefficient * math.exp(rate * (target - entropy)), lowest), highest)
