"""An accelerator that is not there: fake tensors, and a counter of copies between devices."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# Not the first device: what is cached for it must not meet the real tensors of the test with an accelerator.
DEVICE = "cuda:7"
FAKE = FakeTensorMode(allow_non_fake_inputs=True)
WAITING = ("_local_scalar_dense", "nonzero", "is_nonzero", "masked_select", "unique", "equal", "item")


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
