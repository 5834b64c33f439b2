"""Acquisition functions on the scores of an ensemble, and schedules that spread a budget of queries.

An ensemble of M reward models gives each of n pairs of answers M differences d = r(first) - r(second), (M,
n); s(d_m), s the logistic function, is the belief of member m that the first is better. Names are those of
B-Pref (Lee et al., 2021, arXiv 2111.03026): ask about the pairs of a pool with the highest value of an
acquisition function, about pairs far from each other (k-center), or about pairs far from each other among the
more valuable half. Acquisition functions take differences (M, n) and return (n,).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor
from torch.nn.functional import softplus

from mm_envs.names import at_least, check_one_of

_CHUNK = 1024


def probability_disagreement(difference: Tensor) -> Tensor:
    """The standard deviation over members of the belief, std_m s(d_m), unbiased; 0 for a single member.

    Example:
        >>> probability_disagreement(torch.tensor([[0.0, 9.0], [0.0, -9.0]])).argmax().item()
        1
    """
    return _deviation(difference.sigmoid())


def logit_disagreement(difference: Tensor) -> Tensor:
    """The standard deviation over members of the difference, std_m d_m, unbiased; 0 for a single member.

    It ranks pairs as the variance does, which imitation uses (Gleave et al., 2022, arXiv 2211.11972), and
    does not fade where all members are sure.
    """
    return _deviation(difference)


def member_entropy(difference: Tensor) -> Tensor:
    """The mean over members of the entropy of their beliefs in nats, mean_m H(s(d_m)), in [0, log 2].

    Members that surely contradict each other have none.

    Example:
        >>> round(member_entropy(torch.zeros(3, 1)).item(), 4)
        0.6931
    """
    return _entropy(difference).mean(0)


def mean_entropy(difference: Tensor) -> Tensor:
    """The entropy of the mean belief in nats, H(mean_m s(d_m)), in [0, log 2].

    It is ``member_entropy`` plus the mutual information of label and member (Houlsby et al., 2011, arXiv
    1112.5745).
    """
    first, second = difference.sigmoid().mean(0), (-difference).sigmoid().mean(0)
    return -(torch.xlogy(first, first) + torch.xlogy(second, second))


def k_center(
    features: Tensor, count: int, *, generator: torch.Generator, labelled: Tensor | None = None
) -> Tensor:
    """Greedy farthest-first choice: again and again the pair farthest from all that are chosen or labelled.

    The radius of the cover is at most twice the smallest one (Gonzalez, 1985; for labels: Sener and Savarese,
    2018, arXiv 1708.00489).

    Args:
        features: Of the pairs, (n, F); distances are Euclidean.
        count: How many to choose, at most n.
        generator: Draws the first one if nothing is labelled, and among equals.
        labelled: Features of labelled pairs, (l, F).

    Returns:
        Different rows in the order of their choice, (count,) int64.

    Example:
        >>> line = torch.tensor([[0.0], [1.0], [10.0]])
        >>> k_center(line, 2, generator=torch.Generator(), labelled=line[:1]).tolist()
        [2, 1]
    """
    _check_count(count, len(features))
    order = _shuffled(len(features), generator, features.device)
    features = features[order]
    nearest = torch.full((len(features),), torch.inf, dtype=features.dtype, device=features.device)
    for some in () if labelled is None else torch.split(labelled, _CHUNK):
        nearest = nearest.minimum(_distances(features, some).amin(1))
    chosen = torch.empty(count, dtype=torch.int64, device=features.device)
    for i in range(count):
        chosen[i] = farthest = nearest.argmax()
        nearest = nearest.minimum(_distances(features, features[farthest, None])[:, 0])
        nearest[farthest] = -1.0  # below the 0 of its duplicates
    return order[chosen]


def pair_features(first: Tensor, second: Tensor) -> Tensor:
    """Features of pairs, (n, 2 F), from those of their answers, (n, F) each: sum and absolute difference."""
    return torch.cat([first + second, (first - second).abs()], 1)


@dataclass(frozen=True)
class Query:
    """A way to choose pairs.

    Attributes:
        value: The acquisition function; pairs of higher value are asked about first. None: all are equal.
        spread: Whether pairs are chosen by ``k_center``; with a value, among the most valuable ones.
    """

    value: Callable[[Tensor], Tensor] | None = None
    spread: bool = False


QUERIES: dict[str, Query] = {
    "uniform": Query(),
    "disagreement": Query(probability_disagreement),
    "logit_disagreement": Query(logit_disagreement),
    "entropy": Query(member_entropy),
    "mean_entropy": Query(mean_entropy),
    "k_center": Query(spread=True),
    "k_center_disagreement": Query(probability_disagreement, spread=True),
    "k_center_entropy": Query(member_entropy, spread=True),
}


def select(
    name: str,
    difference: Tensor,
    count: int,
    *,
    generator: torch.Generator,
    features: Tensor | None = None,
    labelled: Tensor | None = None,
    keep: float = 0.5,
) -> Tensor:
    """The pairs to ask about.

    Args:
        name: A key of ``QUERIES``.
        difference: r(first) - r(second) of each member for n pairs, (members, n).
        count: How many pairs to choose.
        generator: Draws among pairs of equal value.
        features: Of the pairs, (n, F), for k-center.
        labelled: Features of labelled pairs, (l, F), for k-center.
        keep: The share of most valuable pairs among which k-center chooses in the hybrids; half in B-Pref.

    Returns:
        Different rows, (count,) int64, the best first.

    Raises:
        ValueError: The name is unknown, there are fewer pairs than ``count``, differences are not finite, or
            k-center has no features.

    Example:
        >>> difference = torch.tensor([[0.1, 3.0, -2.0], [0.2, 3.0, 2.0]])
        >>> select("disagreement", difference, 2, generator=torch.Generator()).tolist()
        [2, 0]
    """
    check_one_of("query", name, QUERIES)
    query, n = QUERIES[name], difference.shape[1]
    _check_count(count, n)
    if not bool(difference.isfinite().all()):
        raise ValueError("differences of scores are not finite: the reward model diverged, fit it again")
    rows = _shuffled(n, generator, difference.device)
    if query.value is not None:
        rows = rows[query.value(difference)[rows].argsort(descending=True, stable=True)]
    if not query.spread:
        return rows[:count]
    if features is None:
        raise ValueError(f"query={name!r} needs features of the pairs: give features=")
    if query.value is not None:
        rows = rows[: max(count, round(keep * n))]
    return rows[k_center(features[rows], count, generator=generator, labelled=labelled)]


# Schedules ----------------------------------------------------------------------------------------------

SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda share: 1.0,
    "hyperbolic": lambda share: 1.0 / (1.0 + share),
    "inverse_quadratic": lambda share: 1.0 / (1.0 + share**2),
}


def divide(
    budget: int, rounds: int, schedule: str = "constant", horizon: float | None = None
) -> tuple[int, ...]:
    """How many queries each round gets, never rising; they sum to the budget.

    Round t = 0, 1, ... gets a share in proportion to 1 (constant), T / (T + t) (hyperbolic: the label rate of
    Christiano et al., 2017, arXiv 1706.03741) or 1 / (1 + (t / T)^2) (inverse quadratic). Shares are rounded
    by largest remainders, earlier rounds first.

    Args:
        budget: All queries.
        rounds: How many rounds.
        schedule: A key of ``SCHEDULES``.
        horizon: T; the number of rounds by default.

    Example:
        >>> divide(100, 4, "hyperbolic")
        (33, 26, 22, 19)
    """
    at_least("budget", budget, 0, "give the number of queries")
    at_least("rounds", rounds, 1, "ask in at least one round")
    check_one_of("schedule", schedule, SCHEDULES)
    horizon = rounds if horizon is None else horizon
    if not horizon > 0:
        raise ValueError(f"horizon={horizon} is not above 0: the smaller, the sooner the rate falls")
    # Fractions: rounded shares could add up to more than the budget.
    weights = [Fraction(SCHEDULES[schedule](t / horizon)) for t in range(rounds)]
    shares = [budget * weight / sum(weights) for weight in weights]
    counts = [int(share) for share in shares]
    # Sorting is stable: of equal remainders the earlier round comes first.
    order = sorted(range(rounds), key=lambda t: counts[t] - shares[t])
    for t in order[: budget - sum(counts)]:
        counts[t] += 1
    return tuple(counts)


def _deviation(values: Tensor) -> Tensor:
    return values.std(0) if len(values) > 1 else torch.zeros_like(values[0])


def _entropy(logit: Tensor) -> Tensor:
    """The entropy of s(d), from the logit: softplus(d) - d s(d), exact far out, too."""
    size = logit.abs()
    return softplus(-size) + size * (-size).sigmoid()


def _shuffled(n: int, generator: torch.Generator, device: torch.device) -> Tensor:
    return torch.randperm(n, generator=generator, device=generator.device).to(device)


def _distances(features: Tensor, centres: Tensor) -> Tensor:
    """Euclidean distances (n, c), by differences: through products they would not be 0 for equal rows."""
    return torch.cdist(features, centres, compute_mode="donot_use_mm_for_euclid_dist")


def _check_count(count: int, n: int) -> None:
    at_least("count", count, 0, "give the number of pairs to choose")
    if count > n:
        raise ValueError(f"count={count} is above the {n} pairs to choose from: draw more candidates")
