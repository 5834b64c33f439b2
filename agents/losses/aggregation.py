"""How losses of parts become one number. The choice changes what is optimised, so it has a name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from mm_envs.names import at_least, check_one_of

Aggregation: TypeAlias = Literal["sequence_mean", "token_mean", "sequence_sum", "max_length"]
"""How losses of parts become one number; see ``aggregate``."""


def _sequence_mean(values: Tensor, mask: Tensor, max_length: int) -> Tensor:
    return (values.sum(-1) / mask.sum(-1).clamp(min=1)).mean()


def _token_mean(values: Tensor, mask: Tensor, max_length: int) -> Tensor:
    return values.sum() / mask.sum().clamp(min=1)


def _sequence_sum(values: Tensor, mask: Tensor, max_length: int) -> Tensor:
    return values.sum(-1).mean()


def _max_length(values: Tensor, mask: Tensor, max_length: int) -> Tensor:
    return values.sum(-1).mean() / max_length


AGGREGATIONS: dict[Aggregation, Callable[[Tensor, Tensor, int], Tensor]] = {
    "sequence_mean": _sequence_mean,
    "token_mean": _token_mean,
    "sequence_sum": _sequence_sum,
    "max_length": _max_length,
}


def aggregate(
    values: Tensor,
    mask: Tensor | None = None,
    how: Aggregation = "sequence_sum",
    max_length: int | None = None,
) -> Tensor:
    """One number of the values of the written parts of answers.

    - "sequence_mean": the mean over the parts of each answer, then over answers (GRPO: Shao et al., 2024,
      arXiv 2402.03300). A part of a long answer counts less: long wrong answers are punished less for each
      part.
    - "token_mean": the mean over all parts of the batch (DAPO: Yu et al., 2025, arXiv 2503.14476). It depends
      on the lengths of the other answers of the batch.
    - "sequence_sum": the sum over parts, the mean over answers. With policy gradients it is the true gradient
      of the whole answer.
    - "max_length": "sequence_sum" divided by a constant (Dr. GRPO: Liu et al., 2025, arXiv 2503.20783).

    Args:
        values: (..., L) float.
        mask: (..., L) bool, the parts that were written; values elsewhere never matter. None for all.
        how: One of these.
        max_length: The constant of "max_length", the longest possible answer; None for L.

    Returns:
        A number, () float; an answer without parts counts as 0.

    Raises:
        ValueError: ``how`` is not one of these, or ``max_length`` is below 1.

    Example:
        >>> values = torch.tensor([[1.0, 2.0, 3.0], [6.0, 9.0, 9.0]])
        >>> mask = torch.tensor([[True, True, True], [True, False, False]])
        >>> [round(float(aggregate(values, mask, how)), 3) for how in AGGREGATIONS]
        [4.0, 3.0, 6.0, 2.0]
    """
    check_one_of("aggregation", how, AGGREGATIONS)
    length = values.shape[-1] if max_length is None else max_length
    at_least("max_length", length, 1, "give the length of the longest possible answer")
    mask = torch.ones_like(values, dtype=torch.bool) if mask is None else mask
    return AGGREGATIONS[how](torch.where(mask, values, 0), mask, length)
