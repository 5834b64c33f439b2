"""The process-wide generators of Python, NumPy and torch, saved and put back.

Stable-Baselines3 seeds and draws from them. Calls through this project leave them as they were, and a trainer
keeps states of its own.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class GlobalGenerators:
    """The states of the process-wide generators at one moment."""

    python: tuple[Any, ...]
    numpy: dict[str, Any]
    torch: Tensor
    accelerators: list[Tensor]

    @classmethod
    def capture(cls) -> GlobalGenerators:
        """The states as they are now."""
        used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        accelerators = torch.cuda.get_rng_state_all() if used else []
        numpy_state: Any = np.random.get_state(legacy=False)
        return cls(random.getstate(), numpy_state, torch.get_rng_state(), accelerators)

    def restore(self) -> None:
        """Puts the states back."""
        random.setstate(self.python)
        np.random.set_state(self.numpy)
        torch.set_rng_state(self.torch)
        if self.accelerators:
            torch.cuda.set_rng_state_all(self.accelerators)

    def numbers(self) -> dict[str, Any]:
        """The states of Python's and NumPy's generators as JSON values."""
        state = {**self.numpy["state"], "key": self.numpy["state"]["key"].tolist()}
        return {"python": [*self.python], "numpy": {**self.numpy, "state": state}}

    def tensors(self) -> dict[str, Tensor]:
        """The states of torch's generators, bytes."""
        return {"torch": self.torch, **{f"accelerator/{i}": one for i, one in enumerate(self.accelerators)}}

    @classmethod
    def of(cls, numbers: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> GlobalGenerators:
        """The states that ``numbers`` and ``tensors`` gave.

        Example:
            >>> states = GlobalGenerators.capture()
            >>> drawn = random.random()
            >>> GlobalGenerators.of(states.numbers(), states.tensors()).restore()
            >>> random.random() == drawn
            True
        """
        version, words, gauss = numbers["python"]
        state = {**numbers["numpy"]["state"], "key": np.array(numbers["numpy"]["state"]["key"], np.uint32)}
        accelerators = [tensors[f"accelerator/{i}"].clone() for i in range(len(tensors) - 1)]
        return cls(
            (version, tuple(words), gauss),
            {**numbers["numpy"], "state": state},
            tensors["torch"].clone(),
            accelerators,
        )


@contextmanager
def global_generators_kept() -> Iterator[None]:
    """Leaves the process-wide generators as they were, whatever happens inside."""
    states = GlobalGenerators.capture()
    try:
        yield
    finally:
        states.restore()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draws weights from torch's process-wide generator as from a fresh one, and puts it back.

    Layers of torch initialise themselves from that generator and from no other.

    Example:
        >>> with seeded(3):
        ...     first = torch.rand(2)
        >>> with seeded(3):
        ...     bool((torch.rand(2) == first).all())
        True
    """
    with global_generators_kept():
        # Initialisers of torch layers take no generator, so the process-wide one is seeded and restored.
        torch.manual_seed(seed)
        yield
