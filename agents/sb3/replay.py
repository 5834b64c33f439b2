"""The replay buffer of an off-policy agent in files, each transition written once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.buffers import DictReplayBuffer

from agents.store import StoredFile, load_tensors, write_tensors

MAX_FILES = 64
_NAME = re.compile(r"replay-(\d+)-(\d+)\.safetensors")


def write_new(
    folder: Path, buffer: DictReplayBuffer, steps: int, before: Sequence[StoredFile]
) -> list[StoredFile]:
    """Writes the steps that no file holds yet.

    The buffer is a ring of whole steps (of all rows), written in order. A file holds the steps from one
    number to another, and is never changed. When there are too many files, all steps go into a new one.

    Args:
        folder: Where the files are.
        buffer: The buffer.
        steps: How many steps have been written into it since it was made.
        before: The files that hold its older steps, oldest first.

    Returns:
        The files that hold all steps which are still in the buffer, oldest first.
    """
    oldest = max(0, steps - buffer.buffer_size)
    needed = [one for one in before if _range(one)[1] > oldest]
    if len(needed) >= MAX_FILES:
        needed = []
    first = max(oldest, _range(needed[-1])[1]) if needed else oldest
    if first == steps:
        return needed
    positions = torch.arange(first, steps) % buffer.buffer_size
    tensors = {name: torch.from_numpy(array)[positions] for name, array in _arrays(buffer).items()}
    return [*needed, write_tensors(folder / f"replay-{first:012}-{steps:012}.safetensors", tensors)]


def read_all(folder: Path, buffer: DictReplayBuffer, steps: int, files: Sequence[StoredFile]) -> None:
    """Fills a buffer of the same size with the steps of the files that ``write_new`` returned.

    Raises:
        ValueError: The files do not hold these steps of such a buffer.
    """
    next_step = oldest = max(0, steps - buffer.buffer_size)
    arrays = _arrays(buffer)
    for one in files:
        first, last = _range(one)
        if not first <= next_step < last <= steps:
            raise ValueError(f"{one.name} does not go on from step {next_step} of the replay buffer")
        _fill(arrays, load_tensors(folder / one.name), one, next_step, buffer.buffer_size)
        next_step = last
    if next_step != steps:
        raise ValueError(f"the replay buffer ends at step {next_step}, not at {steps}, from {oldest}")
    buffer.pos, buffer.full = steps % buffer.buffer_size, steps >= buffer.buffer_size


def _fill(
    arrays: dict[str, NDArray[Any]], tensors: dict[str, Any], file: StoredFile, start: int, size: int
) -> None:
    """Copies the steps of a file from ``start`` on into the ring."""
    first, last = _range(file)
    positions = np.arange(start, last) % size
    for name, array in arrays.items():
        rows = tensors[name].numpy() if name in tensors else None
        if rows is None or rows.dtype != array.dtype or rows.shape != (last - first, *array.shape[1:]):
            raise ValueError(f"entry {name!r} of {file.name} does not fit the replay buffer")
        array[positions] = rows[start - first :]


def _range(file: StoredFile) -> tuple[int, int]:
    """The first step of a file, and the first after it."""
    found = _NAME.fullmatch(file.name)
    if found is None:
        raise ValueError(f"{file.name!r} is no file of a replay buffer")
    return int(found[1]), int(found[2])


def _arrays(buffer: DictReplayBuffer) -> dict[str, NDArray[Any]]:
    """All arrays of a buffer by name, whose first dimension is the step."""
    return {
        **{f"observation/{key}": array for key, array in buffer.observations.items()},
        **{f"next_observation/{key}": array for key, array in buffer.next_observations.items()},
        "action": buffer.actions,
        "reward": buffer.rewards,
        "done": buffer.dones,
        "timeout": buffer.timeouts,
    }
