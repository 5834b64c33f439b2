"""What linear layers are given.

For an input of three dimensions that is not contiguous torch's linear layer picks its kernel by whether the
weight requires a gradient. Without AVX-512 the kernels differ in the last bit, so that a saved policy would
differ from the one that was trained. Whatever the processor, no linear layer shall be given such an input.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor


@contextmanager
def not_contiguous() -> Iterator[list[str]]:
    """Inputs of three dimensions or more that are not contiguous, of every linear layer that runs inside.

    Layers of every class are watched, and those within functions of torch, such as attention.
    """
    found: list[str] = []
    linear, calls = torch.nn.functional.linear, 0

    def watched(inputs: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        nonlocal calls
        calls += 1
        if inputs.ndim > 2 and not inputs.is_contiguous():
            found.append(f"{tuple(inputs.shape)} with strides {inputs.stride()}")
        return linear(inputs, *args, **kwargs)

    with mock.patch("torch.nn.functional.linear", watched):
        yield found
    assert calls, "no linear layer was run"
