"""The machine a benchmark runs on: its name, how busy it is, and how fast it copies."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch

_PACKAGES = ("torch", "numpy", "gymnasium", "stable-baselines3")
_BUSY_LOAD = 0.5  # waiting processes a core
_BUSY_SPREAD = 0.15


@dataclass(frozen=True)
class Machine:
    """What a measurement depends on besides the code.

    Attributes:
        processor: The model of the processor.
        cores: How many cores this process may use.
        system: Operating system and architecture.
        python: The version of Python.
        packages: Versions of the packages that matter, by name.
        accelerator: The name of the accelerator that torch sees, None if it sees none.
    """

    processor: str
    cores: int
    system: str
    python: str
    packages: dict[str, str]
    accelerator: str | None = None


def describe() -> Machine:
    """The machine this runs on."""
    return Machine(
        processor=_processor(),
        cores=available_cores(),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        packages={name: _version(name) for name in _PACKAGES},
        accelerator=_accelerator(),
    )


def available_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load_average() -> float | None:
    """Running and waiting processes in the last minute, or None where the system does not say."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def resident_bytes() -> int | None:
    """The memory of this process that is in use, or None where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _accelerator() -> str | None:
    # A build of torch names its accelerator even where there is none.
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if found is None:
        return None
    return torch.cuda.get_device_name() if found.type == "cuda" else found.type


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


@dataclass
class Calibration:
    """The same piece of work, timed again and again: a machine that does other work shows in the spread.

    Attributes:
        load: The load average when the calibration began, None where the system does not say.
        seconds: How long the piece of work took, each time.
    """

    load: float | None = field(default_factory=load_average)
    seconds: list[float] = field(default_factory=list)

    def measure(self, repeats: int = 5) -> None:
        """Times the piece of work a few more times."""
        for _ in range(repeats):
            start = time.perf_counter()
            total = 0
            for i in range(100_000):
                total += i & 7
            self.seconds.append(time.perf_counter() - start)

    @property
    def spread(self) -> float:
        """How much longer than the quickest time the 90th percentile took, as a part of it."""
        if not self.seconds:
            return 0.0
        quickest = min(self.seconds)
        return float(np.quantile(self.seconds, 0.9)) / quickest - 1

    def reasons(self) -> list[str]:
        """Why the machine counts as busy, in words; empty if it does not."""
        cores, found = available_cores(), []
        if self.load is not None and self.load > _BUSY_LOAD * cores:
            found.append(f"load average {self.load:.1f} on {cores} cores before the start")
        if self.spread > _BUSY_SPREAD:
            found.append(f"equal pieces of work differ by {self.spread:.0%}")
        return found
