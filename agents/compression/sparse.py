"""Tensors with many zeros in files: a bit for each number, and the numbers that are not 0."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

BITMAP = ".nonzero"
_MIN_ZEROS = 1 / 16  # above 1 / 32, what the bitmap costs


def packed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as they are stored: float tensors with enough zeros as a bitmap and a vector.

    Example:
        >>> stored = packed({"weight": torch.tensor([[0.0, 2.0], [0.0, 0.0]])})
        >>> {name: one.tolist() for name, one in stored.items()}
        {'weight': [2.0], 'weight.nonzero': [64]}
    """
    stored = {}
    for name, tensor in tensors.items():
        flat = tensor.detach().cpu().flatten()
        nonzero = flat != 0
        share = 1 - float(nonzero.double().mean()) if len(flat) else 0.0
        if flat.dtype == torch.float32 and share > _MIN_ZEROS:
            stored[name] = flat[nonzero]
            stored[name + BITMAP] = torch.from_numpy(np.packbits(nonzero.numpy()))
        else:
            stored[name] = tensor
    return stored


def unpacked(stored: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a file, in the shapes of ``wanted``, which may be without memory.

    Raises:
        ValueError: A bitmap does not fit its tensor.

    Example:
        >>> tensors = {"weight": torch.tensor([[0.0, 2.0], [0.0, 0.0]])}
        >>> unpacked(packed(tensors), tensors)
        {'weight': tensor([[0., 2.],
                [0., 0.]])}
    """
    tensors = {name: one for name, one in stored.items() if not name.endswith(BITMAP)}
    for key, bitmap in stored.items():
        if key.endswith(BITMAP):
            name = key.removesuffix(BITMAP)
            if name not in wanted or name not in tensors:
                raise ValueError(f"{key!r} belongs to no weights")
            tensors[name] = _dense(name, tensors[name], bitmap, wanted[name].shape)
    return tensors


def _dense(name: str, values: Tensor, bitmap: Tensor, shape: torch.Size) -> Tensor:
    size = shape.numel()
    fits = bitmap.dtype == torch.uint8 and bitmap.shape == (-(-size // 8),) and values.ndim == 1
    nonzero = torch.from_numpy(np.unpackbits(bitmap.numpy(), count=size)).bool() if fits else bitmap[:0]
    if not fits or int(nonzero.sum()) != len(values):
        raise ValueError(f"the bitmap of weights {name!r} does not fit them")
    dense = values.new_zeros(size)
    dense[nonzero] = values
    return dense.view(shape)
