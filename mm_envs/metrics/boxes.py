"""Overlap of boxes: IoU and GIoU, elementwise or for all pairs.

A box is (left, top, right, bottom); one whose right edge is left of its left one has no area.
"""

from __future__ import annotations

import torch
from torch import Tensor


def iou(boxes: Tensor, others: Tensor, pairwise: bool = False) -> Tensor:
    """Intersection over union of boxes, in [0, 1]; 0 where the union is empty.

    Args:
        boxes: (..., n, 4), floating point.
        others: (..., n, 4), or (..., m, 4) with ``pairwise``.
        pairwise: Whether to compare all pairs; the result is (..., n, m), else (..., n).

    Example:
        >>> boxes = torch.tensor([[0.0, 0, 2, 2], [0, 0, 0, 0]])
        >>> iou(boxes, torch.tensor([[1.0, 0, 3, 2], [0, 0, 0, 0]]))
        tensor([0.3333, 0.0000])
    """
    boxes, others = _paired(boxes, others, pairwise)
    return _ratio(*_intersection_and_union(boxes, others))


def giou(boxes: Tensor, others: Tensor, pairwise: bool = False) -> Tensor:
    """Generalised IoU of boxes, above -1 and at most 1; the arguments are those of ``iou``.

    GIoU = IoU - (C - U) / C, where C is the area of the smallest box around both and U that of their union
    (Rezatofighi et al., "Generalized intersection over union", 2019, arXiv:1902.09630); a term with divisor 0
    is 0.

    Example:
        >>> giou(torch.tensor([[0.0, 0, 1, 1]]), torch.tensor([[2.0, 0, 3, 1], [0, 0, 1, 1]]), pairwise=True)
        tensor([[-0.3333,  1.0000]])
    """
    boxes, others = _paired(boxes, others, pairwise)
    intersection, union = _intersection_and_union(boxes, others)
    low = torch.minimum(boxes[..., :2], others[..., :2])
    high = torch.maximum(boxes[..., 2:], others[..., 2:])
    hull = _area(low, high)
    return _ratio(intersection, union) - _ratio(hull - union, hull)


def _paired(boxes: Tensor, others: Tensor, pairwise: bool) -> tuple[Tensor, Tensor]:
    for name, given in (("boxes", boxes), ("others", others)):
        if given.ndim < 1 or given.shape[-1] != 4 or not given.is_floating_point():
            raise ValueError(
                f"{name} have shape {tuple(given.shape)} and {given.dtype}: give (..., 4) of floats"
            )
    return (boxes[..., :, None, :], others[..., None, :, :]) if pairwise else (boxes, others)


def _intersection_and_union(boxes: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    low = torch.maximum(boxes[..., :2], others[..., :2])
    high = torch.minimum(boxes[..., 2:], others[..., 2:])
    intersection = _area(low, high)
    return intersection, sum(_area(one[..., :2], one[..., 2:]) for one in (boxes, others)) - intersection


def _area(low: Tensor, high: Tensor) -> Tensor:
    sides = (high - low).clamp(min=0)
    return sides[..., 0] * sides[..., 1]


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return torch.where(whole > 0, part / whole, 0.0)
