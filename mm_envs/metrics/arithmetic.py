"""Roots and exponentials with the same bits in every batch, from single IEEE operations alone.

Vectorised and scalar ``pow`` or ``exp`` may differ in the last bit, so a batch of 1 and one of 1,024 would.
"""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

_THIRD_OF_EXPONENT = 0x2A9F7893782DA1CE
_NEWTON_STEPS = 4
_LOG_2 = log(2)
_LOG_2_HIGH = 0x162E42FEE * 2.0**-33  # times a whole number of 20 bits: exact
_LOG_2_LOW = 1.9082149292705877e-10
_HALVINGS = 4
_TAYLOR = 8


def cube_root(values: Tensor) -> Tensor:
    """The cube root of positive numbers, float64, accurate to the last bit or two.

    A third of the bits of a number, read as an integer, is a guess, refined by four steps of Newton's method.
    """
    guess = (values.view(torch.int64) // 3 + _THIRD_OF_EXPONENT).view(torch.float64)
    for _ in range(_NEWTON_STEPS):
        guess = (2 * guess + values / (guess * guess)) / 3
    return guess


def root(values: Tensor, degree: Tensor) -> Tensor:
    """The root of degree 1 to 4 (int64) of non-negative float64 numbers; of other degrees the number itself.

    Example:
        >>> root(torch.tensor([16.0, 16.0, 0.0], dtype=torch.float64), torch.tensor([2, 4, 3])).tolist()
        [4.0, 2.0, 0.0]
    """
    square = values.sqrt()
    cube = torch.where(values > 0, cube_root(values.clamp(min=1e-300)), 0.0)
    found = torch.where(degree == 2, square, values)
    return torch.where(degree == 4, square.sqrt(), torch.where(degree == 3, cube, found))


def exponential(values: Tensor) -> Tensor:
    """min(1, e^x), float64, to a relative 1e-14; 0 below -700.

    x = k ln 2 + 16 y, e^x = 2^k (e^y)^16, with eight Taylor terms for e^y.

    Example:
        >>> exponential(torch.tensor([0.0, -1.0, 2.0, -1e9], dtype=torch.float64)).tolist()
        [1.0, 0.36787944117144..., 1.0, 0.0]
    """
    bounded = values.clamp(-700, 0)
    doublings = (bounded / _LOG_2).round_()
    rest = (bounded - doublings * _LOG_2_HIGH - doublings * _LOG_2_LOW) / 2**_HALVINGS
    power = torch.ones_like(rest)
    for n in range(_TAYLOR, 0, -1):
        power = power * rest / n + 1
    for _ in range(_HALVINGS):
        power = power * power
    power = power * (doublings.to(torch.int64) + 1023 << 52).view(torch.float64)
    return torch.where(values < -700, 0.0, power).clamp_(max=1)
