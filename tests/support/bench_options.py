"""Options of benchmarks in tests: quick, one thread, real data next to the checkout."""

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
