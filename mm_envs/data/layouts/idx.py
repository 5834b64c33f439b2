"""The MNIST family: ``*-images-idx3-ubyte[.gz]`` with ``*-labels-idx1-ubyte[.gz]``, train and t10k or test.

MNIST (LeCun, Cortes and Burges, 1998), Fashion-MNIST, Kuzushiji-MNIST and EMNIST are published so. The
format: a magic number (0, 0, 8 for bytes, the number of dimensions), the dimensions as 32-bit big-endian
numbers, the bytes. The pictures are handed over as they lie in the file; those of EMNIST lie on their side.

``torchvision.datasets.mnist`` reads the same files and is what the tests compare with; it takes the size that
a file claims at its word, and reports what is wrong by failed assertions.
"""

from __future__ import annotations

import gzip
import re
import zlib
from math import prod
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from mm_envs.data.layouts.files import listed, relative
from mm_envs.data.layouts.reading import Gatherer
from mm_envs.data.records import Record, Source

_NAME = re.compile(r"(?P<set>.*?)(?P<part>train|t10k|test)-(?P<what>images|labels)[-.]idx[13]-ubyte(\.gz)?")
_PART = re.compile("train|t10k|test")
_SPLITS = {"train": "train", "t10k": "test", "test": "test"}
_PLACES = (".", "raw", "MNIST/raw", "FashionMNIST/raw", "KMNIST/raw")

# EMNIST "by class", the largest of the family, has 640 MB.
MAX_BYTES = 2**31
# No stream of deflate grows by more than this.
_LARGEST_RATIO = 1032


def recognise(root: Path) -> str | None:
    """What of the MNIST family lies in a folder."""
    found = _pairs(root)
    parts = [part for part, files in found.items() if "images" in files]
    return f"pictures with labels in IDX files of the MNIST family ({', '.join(parts)})" if parts else None


def read(root: Path, on_error: str) -> Source:
    """Pictures as arrays, ``label`` the digit or class number as text.

    Records have the columns ``label`` and ``index``; their split is said where the folder holds both parts.

    Raises:
        ValueError: A file is no IDX file, is damaged or too long, or has no partner.
        FileNotFoundError: There is no such file.
    """
    gatherer, pairs = Gatherer(on_error), _pairs(root)
    if not pairs:
        raise FileNotFoundError(f"{root}: no *-images-idx3-ubyte[.gz]: put it there")
    if len({_PART.sub("", part) for part in pairs}) > 1:
        raise ValueError(f"{root}: holds {', '.join(pairs)}: put each set into a folder of its own")
    for part, files in pairs.items():
        for what in ("images", "labels"):
            if what not in files:
                there = next(iter(files.values()))
                raise FileNotFoundError(f"{there}: its {what} are missing: put {part}-{what}-idx* beside it")
        split = _SPLITS[_PART.findall(part)[-1]] if len(pairs) > 1 else None
        _gather(files, split, root, gatherer)
    return gatherer.source("idx", root, recognise(root) or "")


def _gather(files: dict[str, Path], split: str | None, root: Path, gatherer: Gatherer) -> None:
    images, labels = read_idx(files["images"], 3), read_idx(files["labels"], 1)
    if len(images) != len(labels):
        raise ValueError(
            f"{files['labels']}: {len(labels):,} labels for the {len(images):,} pictures of "
            f"{files['images'].name}: get both files anew"
        )
    name = relative(files["images"], root)
    for i, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        values = {"label": str(label)}
        record = Record(f"{name}, picture {i}", {"image": image}, values, split, {**values, "index": i})
        gatherer.records.append(record)


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The bytes of an IDX file as an array, unpacked if its name ends in ``.gz``.

    No more is read than the file says it holds, and not more than ``MAX_BYTES``.

    Args:
        path: The file.
        dimensions: How many dimensions it has to have.

    Raises:
        ValueError: It is no such file, or it is shorter or longer than it says.
    """
    packed = path.suffix == ".gz"
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            return _array(
                cast(BinaryIO, file),
                path,
                dimensions,
                path.stat().st_size * (_LARGEST_RATIO if packed else 1),
            )
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise ValueError(f"{path}: a damaged gzip file: get it anew, or unpack it") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}): check its permissions") from None


def _array(file: BinaryIO, path: Path, dimensions: int, at_most: int) -> NDArray[np.uint8]:
    head = file.read(4 + 4 * dimensions)
    if len(head) < 4 + 4 * dimensions or head[:4] != bytes((0, 0, 8, dimensions)):
        raise ValueError(
            f"{path}: begins with {head[:4].hex() or 'nothing'}, an IDX file of bytes in {dimensions} "
            f"dimensions with 000008{dimensions:02x}: get the file anew"
        )
    shape = tuple(int(side) for side in np.frombuffer(head, ">u4", offset=4))
    size = prod(shape)
    if min(shape) < 1 or size > min(MAX_BYTES, at_most):
        raise ValueError(f"{path}: says it holds {'x'.join(map(str, shape))} bytes: get the file anew")
    data = file.read(size + 1)
    if len(data) != size:
        off = "ends early" if len(data) < size else "goes on after"
        raise ValueError(f"{path}: {off} the {size:,} bytes that it says it holds: get the file anew")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _pairs(root: Path) -> dict[str, dict[str, Path]]:
    """The parts of the set, each with the files of its images and labels."""
    found: dict[str, dict[str, Path]] = {}
    for place in _PLACES:
        for path in listed(root, place):
            if match := _NAME.fullmatch(path.name):
                # Unpacked beside packed: the same file twice, either will do.
                found.setdefault(match["set"] + match["part"], {}).setdefault(match["what"], path)
    return dict(sorted(found.items(), key=lambda entry: not entry[0].endswith("train")))
