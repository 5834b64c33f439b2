"""The MNIST family: ``*-images-idx3-ubyte[.gz]`` with ``*-labels-idx1-ubyte[.gz]``, train and t10k or test.

The format of MNIST (LeCun, Cortes and Burges, 1998), Fashion-MNIST, Kuzushiji-MNIST and EMNIST: a magic
number (0, 0, 8 for bytes, the number of dimensions), the dimensions as 32-bit big-endian numbers, the bytes.
Pictures are not turned; those of EMNIST are on their side in the file.
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

from mm_envs.data.faults import Faults
from mm_envs.data.layouts.files import listed, relative
from mm_envs.data.records import Record

SIGN = "*-images-idx3-ubyte[.gz]"
GROUP = None

_NAME = re.compile(r"(?P<set>.*?)(?P<part>train|t10k|test)-(?P<what>images|labels)[-.]idx[13]-ubyte(\.gz)?")
_PART = re.compile("train|t10k|test")
_SPLITS = {"train": "train", "t10k": "test", "test": "test"}
_DIRECTORIES = (".", "raw", "MNIST/raw", "FashionMNIST/raw", "KMNIST/raw")

# EMNIST "by class", the largest of the family, has 640 MB.
MAX_BYTES = 2**31
# The largest ratio of a stream of deflate.
_MAX_RATIO = 1032


def recognise(root: Path) -> str | None:
    """Lists the parts of the MNIST family in a folder."""
    parts = [part for part, files in _pairs(root).items() if "images" in files]
    return f"pictures with labels in IDX files of the MNIST family ({', '.join(parts)})" if parts else None


def read(root: Path, faults: Faults) -> list[Record]:
    """Reads pictures as arrays, with ``label`` the digit or class number as text.

    Columns: ``label`` and ``index``. The split is that of the file, if there are several.
    """
    records, pairs = [], _pairs(root)
    if len({_PART.sub("", part) for part in pairs}) > 1:
        raise ValueError(f"{root}: holds {', '.join(pairs)}: put each set into a folder of its own")
    for part, files in pairs.items():
        for what in {"images", "labels"} - files.keys():
            other = next(iter(files.values()))
            raise FileNotFoundError(
                f"{other}: its {what} are missing: put {part}-{what}-idx* into the same folder"
            )
        split = _SPLITS[_PART.findall(part)[-1]] if len(pairs) > 1 else None
        records += _records(files, split, root)
    return records


def _records(files: dict[str, Path], split: str | None, root: Path) -> list[Record]:
    images, labels = read_idx(files["images"], 3), read_idx(files["labels"], 1)
    if len(images) != len(labels):
        raise ValueError(
            f"{files['labels']}: {len(labels):,} labels for the {len(images):,} pictures of "
            f"{files['images'].name}: get both files anew"
        )
    name, records = relative(files["images"], root), []
    for i, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        values = {"label": str(label)}
        columns = {**values, "index": i}
        records.append(Record(f"{name}, picture {i}", {"image": image}, values, split, columns))
    return records


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Reads the bytes of an IDX file as an array, unpacked if its name ends in ``.gz``.

    Raises:
        ValueError: It is no such file, is larger than ``MAX_BYTES``, or not as long as its header states.
    """
    packed = path.suffix == ".gz"
    try:
        limit = path.stat().st_size * (_MAX_RATIO if packed else 1)
        with gzip.open(path) if packed else path.open("rb") as file:
            return _array(cast(BinaryIO, file), path, dimensions, limit)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise ValueError(f"{path}: a damaged gzip file: get it anew, or unpack it") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}): check its permissions") from None


def _array(file: BinaryIO, path: Path, dimensions: int, limit: int) -> NDArray[np.uint8]:
    head = file.read(4 + 4 * dimensions)
    if len(head) < 4 + 4 * dimensions or head[:4] != bytes((0, 0, 8, dimensions)):
        raise ValueError(
            f"{path}: begins with {head[:4].hex() or 'nothing'}, an IDX file of bytes in {dimensions} "
            f"dimensions with 000008{dimensions:02x}: get the file anew"
        )
    shape = tuple(int(side) for side in np.frombuffer(head, ">u4", offset=4))
    size = prod(shape)
    if min(shape) < 1 or size > min(MAX_BYTES, limit):
        raise ValueError(f"{path}: says it holds {'x'.join(map(str, shape))} bytes: get the file anew")
    data = file.read(size + 1)
    if len(data) != size:
        off = "ends early" if len(data) < size else "goes on after"
        raise ValueError(f"{path}: {off} the {size:,} bytes that it says it holds: get the file anew")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _pairs(root: Path) -> dict[str, dict[str, Path]]:
    """The parts of the set, each with the files of its images and labels."""
    found: dict[str, dict[str, Path]] = {}
    for directory in _DIRECTORIES:
        for path in listed(root, directory):
            if match := _NAME.fullmatch(path.name):
                # Unpacked and packed: the same file twice, either can be read.
                found.setdefault(match["set"] + match["part"], {}).setdefault(match["what"], path)
    return dict(sorted(found.items(), key=lambda entry: not entry[0].endswith("train")))
