"""How the engine's speed and memory grow with its number of rows."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.machine import resident_bytes
from benchmarks.sides import Side
from benchmarks.throughput_report import ScaleResult

SIZES = (1, 16, 64, 256, 1024, 4096, 16384, 65536)
_WARM_STEPS = 4


class Scaling:
    """The engine at several numbers of rows; all of them are built first, and then take turns.

    Args:
        sizes: Numbers of rows, ascending.
        build: Makes the engine with a number of rows, with fresh observations.
    """

    def __init__(self, sizes: Sequence[int], build: Callable[[int], Side]) -> None:
        self.sides: list[Side] = []
        self._growth: list[int | None] = []
        self._bytes: list[int] = []
        for rows in sizes:
            gc.collect()
            before = resident_bytes()
            side = build(rows)
            self._bytes.append(observation_bytes(side))
            after = resident_bytes()
            self.sides.append(side)
            self._growth.append(None if before is None or after is None else after - before)

    def results(self, speeds: Sequence[Sequence[float]]) -> list[ScaleResult]:
        """What was found.

        Args:
            speeds: Row-steps a second, for each size those of all turns.
        """
        cost = [1e9 / float(np.median(turns)) for turns in speeds]
        least = min(cost)
        measured = zip(self.sides, cost, self._bytes, self._growth, strict=True)
        return [
            ScaleResult(side.rows, nanoseconds, nanoseconds / least, size, growth)
            for side, nanoseconds, size, growth in measured
        ]


def observation_bytes(side: Side) -> int:
    """The bytes of one observation of all rows, after a few steps that fill every buffer."""
    for step in range(_WARM_STEPS):
        held = side.step(side.actions[step])
    return sum(value.nbytes for value in held[0].values())
