"""The page of numbers is written from what was stored, and holds every entry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import numbers
from benchmarks.minimum_versions import lowest


def test_the_page_shows_what_is_stored() -> None:
    results = json.loads(numbers.RESULTS.read_text())
    page = numbers.PAGE.read_text()
    assert numbers.BEGIN in page
    assert numbers.section(results) in page


def test_every_entry_says_its_command() -> None:
    results = {"machine": {"processor": "one", "cores": 2, "packages": {"torch": "2"}}}
    text = numbers.section(results)
    for number in numbers.NUMBERS:
        assert f"`{number.command}`" in text
    assert text.count("not measured") == len(numbers.NUMBERS)


def test_the_accelerator_is_that_which_torch_sees() -> None:
    machine = {"processor": "one", "cores": 2, "packages": {"torch": "2"}}
    assert "2 cores, no accelerator; torch 2." in numbers.section({"machine": machine})
    assert "2 cores, a GPU; torch 2." in numbers.section({"machine": {**machine, "accelerator": "a GPU"}})


def test_every_speed_and_every_note_is_shown() -> None:
    from benchmarks.throughput import throughput

    found = json.loads(json.dumps(throughput(quick=True, threads=1, sizes=(1,)).to_dict()))
    found["busy"] = ["something else runs"]
    text = "\n".join(numbers.throughput_lines({"found": found}))
    for side in [*found["sides"], *found["first_pass"]]:
        assert f"| {side['name']} | {side['rows']:,} | {side['speed']['median']:,.0f} (" in text
    for note in [*found["notes"], "Busy machine: something else runs"]:
        assert f"\n\n{note}." in text


def test_only_writes_what_it_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, results = tmp_path / "benchmarks.md", tmp_path / "results.json"
    page.write_text(f"before\n{numbers.BEGIN}\nstale text\n{numbers.END}\nafter\n")
    monkeypatch.setattr(numbers, "PAGE", page)
    monkeypatch.setattr(numbers, "RESULTS", results)
    numbers.main(["--only"])
    assert "stale text" not in page.read_text()
    assert page.read_text().startswith("before\n")
    assert page.read_text().endswith(f"{numbers.END}\nafter\n")


def test_the_lowest_versions_are_those_of_the_project() -> None:
    found = lowest((numbers.ROOT / "pyproject.toml").read_text())
    assert "torch==2.8.*" in found
    assert len(found) == 16
    assert "scipy==1.14.*" in found
