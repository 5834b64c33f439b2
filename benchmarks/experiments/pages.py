"""docs/benchmarks/: one page a stored result, and an index; no number is typed by hand."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.report import Report

DOCS = Path(__file__).parents[2] / "docs" / "benchmarks"
_INDEX = """# Benchmarks

Every table with its command, and the date, commit and machine of its measurement. The pages are written by
`make numbers` from the results stored in `results/`. Numbers are of the commit that a page names: run its
command to measure the present code.

| measurement | date | commit |
|---|---|---|
"""


def stored(folder: Path = DOCS) -> dict[str, Report]:
    """The stored results, by name."""
    paths = sorted((folder / "results").glob("*.json"))
    return {path.stem: Report.from_json(json.loads(path.read_text(encoding="utf-8"))) for path in paths}


def store(name: str, report: Report, folder: Path = DOCS) -> None:
    """Stores a result; ``write`` makes its page."""
    (folder / "results").mkdir(parents=True, exist_ok=True)
    text = json.dumps(report.to_json(), indent=1, ensure_ascii=False)
    (folder / "results" / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def pages(folder: Path = DOCS) -> dict[str, str]:
    """File name -> text of every page."""
    reports = stored(folder)
    rows = []
    for name, report in reports.items():
        dates = sorted({one.date for one in report.measurements})
        commits = dict.fromkeys(f"`{one.commit}`" for one in report.measurements)
        rows.append(f"| [{report.title}]({name}.md) | {', '.join(dates)} | {', '.join(commits)} |")
    index = {"README.md": _INDEX + "\n".join(rows) + "\n"}
    return index | {f"{name}.md": report.markdown() for name, report in reports.items()}


def write(folder: Path = DOCS) -> None:
    """Writes every page, and removes those without a result."""
    texts = pages(folder)
    for path in folder.glob("*.md"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
