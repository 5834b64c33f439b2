"""Real handwritten digits: the 1,797 pictures that come with scikit-learn."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from mm_envs.data.dataset import SPLITS, Dataset
from mm_envs.names import check_one_of
from mm_envs.spaces import Image

_SIDE = 8
_MAX_LEVEL = 16
_SPLIT_OF_SIXTH = (0, 0, 0, 0, 1, 2)


class Digits(Dataset):
    """Handwritten digits of 43 writers, grey, enlarged from 8x8 pixels by repeating each pixel.

    The fields are ``image`` (uint8 of shape (1, 8 * scale, 8 * scale)) and ``label`` (int64, the digit). The
    pixels of a picture decide its split (about 4/6, 1/6, 1/6), so equal pictures are never in two. Source:
    E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Repository, 1998.

    Args:
        scale: The number of repetitions of each pixel along both axes, at least 5.

    Raises:
        ValueError: The enlarged picture is smaller than 36x36 pixels.

    Example:
        >>> digits = Digits()
        >>> {split: len(indices) for split, indices in digits.splits.items()}
        {'train': 1205, 'validation': 298, 'test': 294}
        >>> digits.batch(torch.tensor([0, 1]), ["image"])["image"].shape
        torch.Size([2, 1, 40, 40])
    """

    name = "digits"

    def __init__(self, scale: int = 5) -> None:
        self.scale = scale
        self.spaces = {"image": Image(_SIDE * scale, _SIDE * scale, channels=1)}
        self.splits = _stored()[2]
        self.vocabularies = {}
        self.classes = {"label": tuple(str(digit) for digit in range(10))}

    def batch(self, indices: Tensor, fields: Collection[str]) -> dict[str, Tensor]:
        """Returns some fields of some digits; the tables are copied to a device once."""
        table = _table(self.scale, indices.device)
        for field in fields:
            check_one_of("field", field, table)
        return {field: table[field].index_select(0, indices) for field in fields}

    def fingerprint(self) -> str:
        """Returns the SHA-256 of the pixels, the digits, the splits and the scale."""
        return _fingerprint(self.scale)


@lru_cache(maxsize=1)
def _stored() -> tuple[Tensor, Tensor, dict[str, range]]:
    """Returns pixels 0 to 16, digits, and the splits; the pictures are sorted by split."""
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = np.asarray(data.images, np.uint8)
    split = np.array([_SPLIT_OF_SIXTH[hashlib.sha256(row.tobytes()).digest()[0] % 6] for row in pixels])
    order = np.argsort(split, kind="stable")
    ends = np.searchsorted(split[order], np.arange(len(SPLITS) + 1)).tolist()
    splits = {name: range(ends[number], ends[number + 1]) for number, name in enumerate(SPLITS)}
    labels = np.asarray(data.target, np.int64)
    return torch.from_numpy(pixels[order]), torch.from_numpy(labels[order]), splits


@lru_cache(maxsize=8)
def _table(scale: int, device: torch.device) -> dict[str, Tensor]:
    pixels, labels, _ = _stored()
    grey = (pixels.to(torch.int64) * 255 // _MAX_LEVEL).to(torch.uint8)
    large = grey.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
    return {"image": large[:, None].contiguous().to(device), "label": labels.to(device)}


@lru_cache(maxsize=8)
def _fingerprint(scale: int) -> str:
    pixels, labels, splits = _stored()
    digest = hashlib.sha256(f"digits scale={scale} {splits}".encode())
    digest.update(pixels.numpy().tobytes())
    digest.update(labels.numpy().astype("<i8").tobytes())
    return digest.hexdigest()
