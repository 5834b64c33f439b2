"""The tables of docs/troubleshooting.md that say which wrapper works with which output."""

from __future__ import annotations

from pathlib import Path

_PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"


def wrapper_table(library: str) -> dict[str, tuple[str, str]]:
    """What the two columns of the table of a library say about each wrapper."""
    lines = _PAGE.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| wrapper of {library} |"))
    table = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        names, first, second = (cell.strip() for cell in line.strip("|").split("|"))
        table |= {name.strip(" `"): (first, second) for name in names.split(",")}
    return table
