"""An accelerator that is not there: fake tensors, and a counter of copies between devices."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mm_envs import CONFIGURATIONS
from mm_envs.engine.vector import MultimodalVectorEnv

# Not the first device: what is cached for it must not meet the real tensors of the test with an accelerator.
DEVICE = "cuda:7"
FAKE = FakeTensorMode(allow_non_fake_inputs=True)
WAITING = ("_local_scalar_dense", "nonzero", "is_nonzero", "masked_select", "unique", "equal", "item")


@lru_cache(maxsize=2)
def keep(name: str) -> MultimodalVectorEnv:
    """An environment of a configuration on the fake device: while it lives, others share its items."""
    MultimodalVectorEnv(2, **CONFIGURATIONS[name]).reset(
        seed=0
    )  # tables that are read from files are read now
    with warnings.catch_warnings(), FAKE:
        return MultimodalVectorEnv(2, device=DEVICE, **CONFIGURATIONS[name])


def one_worker_each(names: Iterable[str]) -> list[Any]:
    """Parameters whose tests run in one process for each name, one after another."""
    return [pytest.param(name, marks=pytest.mark.xdist_group(f"fake {name}")) for name in names]


class HostCopies(TorchDispatchMode):
    """Counts operations that move data between devices, or whose result the host must wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
        # A number in a tensor of its own is handed to the device with the operation.
        devices = {tensor.device.type for tensor in tensors if tensor.ndim}
        masks = name == "index" and any(t.dtype is torch.bool for t in tensors[1:])
        if len(devices) > 1 or name in WAITING or masks:
            self.found[name] += 1
        return result


def fake_tensors_work() -> bool:
    """Whether this torch lets fake tensors claim to be on an accelerator that has no driver."""
    try:
        with FAKE:
            values = torch.arange(4, device=DEVICE)
            return len(values[values.new_zeros(2)]) == 2
    except RuntimeError:
        return False


needs_fake_tensors = pytest.mark.skipif(
    not fake_tensors_work(), reason="the fake tensors of this torch need a driver; newer ones do not"
)
