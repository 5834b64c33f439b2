"""Exact Shapley values: what each player adds to the value of a coalition, over all orders of arrival."""

from __future__ import annotations

from math import comb

import torch
from torch import Tensor

from mm_envs.names import at_least

MAX_PLAYERS = 10


def coalitions(players: int) -> Tensor:
    """All coalitions of so many players, (2 ** players, players) bool: the empty first, the whole last.

    Row r holds player i if bit i of r is set.

    Raises:
        ValueError: There is no player, or more than ``MAX_PLAYERS``.

    Example:
        >>> coalitions(2).int().tolist()
        [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    at_least("players", players, 1, "a game needs one")
    if players > MAX_PLAYERS:
        raise ValueError(f"players={players} have {2**players} coalitions: name at most {MAX_PLAYERS}")
    index = torch.arange(2**players)
    return (index[:, None] >> torch.arange(players)) & 1 > 0


def shapley_weights(players: int) -> Tensor:
    """The matrix W (players, 2 ** players) float64 with Shapley values ``W v`` of coalition values v.

    ``phi_i = sum_S |S|! (M - |S| - 1)! / M! (v(S + i) - v(S))`` over coalitions S without player i (Shapley,
    "A value for n-person games", 1953).

    Example:
        >>> shapley_weights(2).tolist()
        [[-0.5, 0.5, -0.5, 0.5], [-0.5, -0.5, 0.5, 0.5]]
    """
    there = coalitions(players)
    size = there.sum(1)
    # |S|! (M - |S| - 1)! / M! is 1 / (M binomial(M - 1, |S|)), and S is the coalition without the player.
    each = [1 / (players * comb(players - 1, others)) for others in range(players)]
    share = torch.tensor(each, dtype=torch.float64)
    joined = share[(size - 1).clamp(min=0)][:, None]
    without = share[size.clamp(max=players - 1)][:, None]
    return torch.where(there, joined, -without).T.contiguous()


def shapley_values(values: Tensor) -> Tensor:
    """The Shapley values (n, players) float64 of n games from the values of all coalitions.

    Args:
        values: (2 ** players, n), in the order of ``coalitions``.

    Raises:
        ValueError: The number of coalitions is no power of two from 2 on, or a value is not finite.

    Example:
        >>> shapley_values(torch.tensor([[0.0], [0.0], [0.0], [1.0]])).tolist()
        [[0.5, 0.5]]
    """
    rows = len(values)
    players = rows.bit_length() - 1
    if rows < 2 or rows != 2**players:
        raise ValueError(f"values of {rows} coalitions are no whole game: give 2 ** players of them")
    if not bool(values.isfinite().all()):
        raise ValueError("a value of a coalition is not finite: give finite values")
    weights = shapley_weights(players).to(values.device)
    return (weights @ values.double()).T
