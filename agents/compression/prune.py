"""Magnitude pruning: the smallest weights become 0."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)

SHARE = 0.5
_PRUNED = (nn.Linear, nn.GRU, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def prune(module: M, share: float = SHARE, rows: bool = False) -> M:
    """A copy of a module in which a share of the weights of its layers is 0.

    The weights with the smallest absolute value of all layers together are removed (Han et al., 2015, arXiv
    1506.02626). With ``rows``, it is whole rows of hidden linear layers, those of the smallest root mean
    square, with their biases: hidden units (Li et al., 2017, arXiv 1608.08710).

    Args:
        module: A module; embeddings, norms and biases are not pruned, nor are outputs where rows are.
        share: Of the weights, or of the rows; 0 to below 1.
        rows: Whether whole rows are removed.

    Raises:
        ValueError: The share is out of its range, or there is no such layer.

    Example:
        >>> pruned = prune(nn.Sequential(nn.Linear(10, 4)), share=0.25)
        >>> int((pruned[0].weight == 0).sum())
        10
    """
    if not 0 <= share < 1:
        raise ValueError(f"share={share} is not within 0 to below 1: 0.5 removes half of the weights")
    if not prunable(module):
        raise ValueError(f"{type(module).__name__} has no layer to prune: give one with linear layers")
    made = copy.deepcopy(module)
    with torch.no_grad():
        if rows:
            _prune_rows(made, share)
        else:
            _prune_weights(list(prunable(made).values()), share)
    return made


def prunable(module: nn.Module) -> dict[str, nn.Parameter]:
    """The weights that are pruned, by name: those of linear, recurrent and convolutional layers."""
    found: dict[str, nn.Parameter] = {}
    for name, layer in module.named_modules():
        if isinstance(layer, _PRUNED):
            several = layer.named_parameters(name, recurse=False)
            found.update((key, one) for key, one in several if one.ndim > 1)
    return found


def kept(module: nn.Module) -> dict[str, Tensor]:
    """Which prunable weights are not 0, by name, bool; see ``keep``."""
    return {name: one.detach() != 0 for name, one in prunable(module).items()}


@torch.no_grad()
def keep(module: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Sets the weights outside of masks to 0, as they were before a step of an optimizer."""
    weights = prunable(module)
    for name, mask in masks.items():
        weights[name].mul_(mask)


def zeros(module: nn.Module) -> tuple[int, int]:
    """How many prunable weights are 0, and how many there are."""
    weights = prunable(module).values()
    return sum(int((one == 0).sum()) for one in weights), sum(one.numel() for one in weights)


def _prune_weights(weights: list[nn.Parameter], share: float) -> None:
    flat = torch.cat([one.flatten() for one in weights])
    smallest = flat.abs().argsort(stable=True)[: round(share * len(flat))]
    flat[smallest] = 0.0
    for one, values in zip(weights, torch.split(flat, [one.numel() for one in weights]), strict=True):
        one.copy_(values.view_as(one))


def _prune_rows(module: nn.Module, share: float) -> None:
    """Sets rows of the linear layers in sequences that a further layer follows to 0."""
    layers = [one for one in module.modules() if isinstance(one, nn.Sequential)]
    hidden = [one for several in layers for one in list(several)[:-1] if type(one) is nn.Linear]
    if not hidden:
        raise ValueError(f"{type(module).__name__} has no hidden linear layer: prune single weights")
    size = torch.cat([one.weight.square().mean(1).sqrt() for one in hidden])
    removed = torch.zeros_like(size, dtype=torch.bool)
    removed[size.argsort(stable=True)[: round(share * len(size))]] = True
    for layer, rows in zip(hidden, torch.split(removed, [len(one.weight) for one in hidden]), strict=True):
        layer.weight[rows] = 0.0
        if layer.bias is not None:
            layer.bias[rows] = 0.0
