"""What a test tells a benchmark: the quick way, in one thread, with the real data beside the checkout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shared_data import shared


@dataclass(frozen=True)
class QuickOptions:
    """Satisfies ``benchmarks.reports.Options``."""

    quick: bool = True
    threads: int = 1

    def folder(self, name: str) -> Path:
        return shared(name)
