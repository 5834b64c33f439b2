"""Best-of-n sampling: its exact distribution, its KL from the base policy, and what it is worth."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mm_envs.names import at_least


def _log_weights(probabilities: Tensor, scores: Tensor, n: int) -> Tensor:
    """``log q / p`` of every answer, (..., A) float64.

    All answers with the same score share it: the best of n draws has this score with probability F^n - G^n,
    where F and G are the chances of at most and of less than it, and is then distributed as the base is among
    them.
    """
    at_least("n", n, 1, "draw at least one answer")
    sorted_scores, order = scores.sort(-1)
    sorted_p = probabilities.double().gather(-1, order)
    cumulated = torch.cat([torch.zeros_like(sorted_p[..., :1]), sorted_p.cumsum(-1)], -1)
    cumulated = cumulated / cumulated[..., -1:]
    at_most, below = (
        cumulated.gather(-1, torch.searchsorted(sorted_scores, sorted_scores, right=right))
        for right in (True, False)
    )
    tied = at_most - below
    # (F^n - G^n) / (F - G) with F^n taken out, so that nothing is lost where the two are close.
    grown = -torch.expm1(n * torch.log1p(-tied / at_most))
    weights = (n - 1) * at_most.log() + (grown * at_most / tied).log()
    limit = math.log(n) + (n - 1) * at_most.log()
    return torch.empty_like(weights).scatter(-1, order, torch.where(tied > 0, weights, limit))


def best_of_n_probabilities(probabilities: Tensor, scores: Tensor, n: int) -> Tensor:
    """The chances of the best of n draws; among draws with the same score one is taken at random.

    ``q_i = F_i^n - F_{i-1}^n`` for distinct scores in order, F the distribution function of the scores;
    answers with the same score share it in proportion to p.

    Args:
        probabilities: (..., A) float, of all A answers under the base policy.
        scores: (..., A) float.
        n: Draws, at least 1.

    Returns:
        (..., A) float.

    Raises:
        ValueError: n is below 1.

    Example:
        >>> best_of_n_probabilities(torch.tensor([0.5, 0.25, 0.25]), torch.tensor([0.0, 1.0, 1.0]), 2)
        tensor([0.2500, 0.3750, 0.3750])
    """
    q = probabilities.double() * _log_weights(probabilities, scores, n).exp()
    return q.to(probabilities.dtype)


def best_of_n_kl(probabilities: Tensor, scores: Tensor, n: int) -> Tensor:
    """KL(best of n || base) in nats, exact with and without ties; at most ``best_of_n_kl_bound``.

    Args:
        probabilities: (..., A) float, of all A answers under the base policy.
        scores: (..., A) float.
        n: Draws, at least 1.

    Returns:
        (...) float.

    Example:
        >>> uniform, scores = torch.full((8,), 1 / 8), torch.arange(8.0)
        >>> best_of_n_kl(uniform, scores, 16), best_of_n_kl(uniform, 0 * scores, 16)
        (tensor(1.6799), tensor(0.))
    """
    log_weights = _log_weights(probabilities, scores, n)
    q = probabilities.double() * log_weights.exp()
    return torch.where(q > 0, q * log_weights, 0).sum(-1).to(probabilities.dtype)


def best_of_n_kl_bound(n: int) -> float:
    """``log n - (n - 1) / n``: the KL without ties among infinitely many answers, an upper bound otherwise.

    Stiennon et al., 2020, arXiv 2009.01325; the bound: Beirami et al., 2024, arXiv 2401.01879.

    Example:
        >>> round(best_of_n_kl_bound(16), 4)
        1.8351
    """
    at_least("n", n, 1, "draw at least one answer")
    return math.log(n) - (n - 1) / n


def expected_best_of_n(scores: Tensor, values: Tensor, n: int) -> Tensor:
    """The expected value of the best of n draws by score, from N draws, without bias.

    The mean over all subsets of size n: ``sum over i of C(i - 1, n - 1) / C(N, n) v_(i)`` in the order of the
    scores (Nakano et al., 2021, arXiv 2112.09332, appendix I; as in pass@k: Chen et al., 2021, arXiv
    2107.03374). Draws with the same score count with the mean of their values.

    Args:
        scores: (..., N) float, by which the best is chosen.
        values: (..., N) float, what it is worth, such as the true utility; or the scores themselves.
        n: At most N.

    Returns:
        (...) float.

    Raises:
        ValueError: n is not within 1 to N.

    Example:
        >>> expected_best_of_n(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 1.0, 0.0]), 2)
        tensor(0.3333)
    """
    draws = scores.shape[-1]
    at_least("n", n, 1, "draw at least one answer")
    at_least("draws", draws, n, f"draw at least n={n} answers")
    sorted_scores, order = scores.sort(-1)
    # The mean weight of tied draws is a difference of sums up to their ends.
    rank = torch.arange(1, draws + 1, dtype=torch.float64, device=scores.device)
    log_weights = _log_choose(rank - 1, n - 1) - _log_choose(rank[-1], n)
    weights = torch.where(rank >= n, log_weights.exp(), 0)
    cumulated = torch.cat([weights.new_zeros(1), weights.cumsum(0)])
    end, start = (torch.searchsorted(sorted_scores, sorted_scores, right=right) for right in (True, False))
    shared = (cumulated[end] - cumulated[start]) / (end - start)
    return (shared * values.double().gather(-1, order)).sum(-1).to(values.dtype)


def _log_choose(n: Tensor, k: int) -> Tensor:
    """The logarithm of C(n, k); where n < k it means nothing, and is not used."""
    rest = (n - k).clamp(min=0)
    return torch.lgamma(n + 1) - math.lgamma(k + 1) - torch.lgamma(rest + 1)
