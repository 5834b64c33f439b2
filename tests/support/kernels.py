"""Counts the operations of torch that launch a kernel on an accelerator."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# These make tensors without work on the device; views are known by their schema.
_NO_KERNEL = {"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "_reshape_alias"}


class Kernels(TorchDispatchMode):
    """Notes each operation that launches a kernel, with the shapes of what it makes.

    An operation counts once, though some (a sort, ``index_put_``) launch several kernels. Views, allocations
    and questions about shapes launch none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[tuple[int, ...], ...]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        if made and not func.is_view and name not in _NO_KERNEL:
            self.found.append((name, tuple(tuple(tensor.shape) for tensor in made)))
        return result
