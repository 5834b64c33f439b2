"""What of an encoder is trained: all, nothing, its last blocks, or low-rank adapters of its linear layers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from agents.encoders.encoded import Blocks, Encoder
from mm_envs.names import one_of

L = TypeVar("L", bound=nn.Module)

_WAYS = ("all", "none", "last:K", "lora:R")
_WAY = re.compile(r"all|none|(last|lora):[0-9]{1,6}")


class LowRankLinear(nn.Linear):
    """A frozen linear layer W and a trained low-rank one, W x + b + B A x.

    Low-rank adapters (Hu et al., 2021, arXiv 2106.09685) with a scale of 1. B is 0 at first, so that outputs
    are those of the layer.

    Args:
        layer: The layer, whose weight and bias are kept and frozen.
        rank: R, rows of A (R, inputs) and columns of B (outputs, R).
        generator: Draws A.
    """

    def __init__(self, layer: nn.Linear, rank: int, generator: torch.Generator) -> None:
        # The empty layer takes no memory and draws nothing.
        super().__init__(layer.in_features, layer.out_features, layer.bias is not None, device="meta")
        layer.requires_grad_(False)
        self.weight, self.bias = layer.weight, layer.bias
        bound = 1 / math.sqrt(layer.in_features)
        down = torch.rand(rank, layer.in_features, generator=generator, device="cpu") * 2 * bound - bound
        self.down = nn.Parameter(down.to(layer.weight))
        self.up = nn.Parameter(layer.weight.new_zeros(layer.out_features, rank))

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs (..., outputs) of inputs (..., inputs)."""
        linear = nn.functional.linear
        return super().forward(inputs) + linear(linear(inputs, self.down), self.up)

    def merged(self) -> nn.Linear:
        """One frozen linear layer with the same outputs."""
        layer = nn.Linear(self.in_features, self.out_features, self.bias is not None, device="meta")
        layer.weight = nn.Parameter((self.weight + self.up @ self.down).detach(), requires_grad=False)
        layer.bias = self.bias
        return layer.train(self.training)


def trainable(module: nn.Module, how: str, seed: int = 0) -> None:
    """Chooses what of an encoder is trained, in place; everything else is frozen.

    Batch norms of frozen parts use their running statistics from then on, in training mode, too.

    Args:
        module: An encoder; for "all", "none" and "lora:R" any module.
        how: "all", "none", "last:K" for the last K of ``module.blocks()``, or "lora:R" for adapters of rank R
            on every ``nn.Linear``.
        seed: Of the adapters.

    Raises:
        ValueError: ``how`` is another word, there are fewer blocks, or there is no linear layer.

    Example:
        >>> from agents.encoders import make_encoder
        >>> from mm_envs.spaces import Image
        >>> encoder = make_encoder(Image(64, 64))
        >>> trainable(encoder, "last:1")
        >>> parameter_counts(encoder)
        {'all': 65344, 'trained': 36992}
    """
    check_way("how", how)
    way, _, number = how.partition(":")
    if way in ("all", "none"):
        module.requires_grad_(way == "all")
    elif way == "last":
        _train_last(module, how, int(number))
    else:
        _adapt(module, how, int(number), torch.Generator().manual_seed(seed))
    for encoder in module.modules():
        if isinstance(encoder, Encoder):
            encoder.train(encoder.training)


def check_way(name: str, how: object) -> None:
    """Refuses what is none of the ways of ``trainable``.

    Raises:
        ValueError: It is not "all", "none", "last:K" or "lora:R".

    Example:
        >>> check_way("trainable", "lora")
        Traceback (most recent call last):
        ValueError: trainable='lora' is not one of all, none, last:K, lora:R
    """
    if not isinstance(how, str) or not _WAY.fullmatch(how):
        raise ValueError(one_of(name, how, _WAYS))


def merge_lora(module: nn.Module) -> None:
    """Replaces low-rank adapters by frozen linear layers with the same outputs, in place.

    Example:
        >>> net = nn.Sequential(nn.Linear(3, 2))
        >>> trainable(net, "lora:1")
        >>> merge_lora(net)
        >>> type(net[0]).__name__, parameter_counts(net)
        ('Linear', {'all': 8, 'trained': 0})
    """
    _replace(module, LowRankLinear, LowRankLinear.merged)


def parameter_counts(module: nn.Module) -> dict[str, int]:
    """How many numbers of a module are parameters, "all", and how many of them are "trained"."""
    sizes = [(one.numel(), one.requires_grad) for one in module.parameters()]
    return {"all": sum(size for size, _ in sizes), "trained": sum(size for size, trained in sizes if trained)}


def parameter_text(modules: Mapping[str, nn.Module]) -> str:
    """The parameter counts of several encoders as one line.

    Example:
        >>> parameter_text({"point": nn.Linear(99, 20), "goal": nn.Linear(3, 2).requires_grad_(False)})
        'parameters trained: point 2,000 of 2,000, goal 0 of 8'
    """
    counts = {name: parameter_counts(module) for name, module in modules.items()}
    each = (f"{name} {count['trained']:,} of {count['all']:,}" for name, count in counts.items())
    return f"parameters trained: {', '.join(each)}"


def _train_last(module: nn.Module, how: str, number: int) -> None:
    name = type(module).__name__
    if not isinstance(module, Blocks):
        raise ValueError(f"how={how!r}: {name} has no blocks: choose for each of its encoders")
    blocks = module.blocks()
    if not 1 <= number <= len(blocks):
        raise ValueError(f"how={how!r}: {name} has {len(blocks)} blocks: give 1 to {len(blocks)}")
    module.requires_grad_(False)
    for block in blocks[-number:]:
        block.requires_grad_(True)


def _adapt(module: nn.Module, how: str, rank: int, generator: torch.Generator) -> None:
    name = type(module).__name__
    if rank < 1:
        raise ValueError(f"how={how!r}: the rank is below 1: give a positive one")
    if any(isinstance(one, LowRankLinear) for one in module.modules()):
        raise ValueError(f"how={how!r}: {name} has adapters: merge them with merge_lora first")
    # Not the subclass that nn.MultiheadAttention has: its forward is never called.
    if not any(type(child) is nn.Linear for parent in module.modules() for child in parent.children()):
        raise ValueError(f"how={how!r}: {name} contains no linear layer: choose all, none or last:K")
    module.requires_grad_(False)
    _replace(module, nn.Linear, lambda layer: LowRankLinear(layer, rank, generator))


def _replace(module: nn.Module, kind: type[L], change: Callable[[L], nn.Module]) -> None:
    """Replaces the layers of exactly one kind within a module."""
    changed: dict[nn.Module, nn.Module] = {}
    for parent in list(module.modules()):
        for key, child in parent.named_children():
            if type(child) is kind:
                # A layer in two parents stays one.
                changed[child] = changed[child] if child in changed else change(child)
                setattr(parent, key, changed[child])
