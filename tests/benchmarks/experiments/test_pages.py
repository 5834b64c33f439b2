"""docs/benchmarks/ is what the stored results generate; the wheel holds no experiment."""

from __future__ import annotations

from pathlib import Path

import pytest
from setuptools import find_packages

from benchmarks import BENCHMARKS
from benchmarks.experiments import EXPERIMENTS, __main__, pages
from benchmarks.experiments.minimum_versions import lowest

ROOT = Path(__file__).parents[3]


def test_pages_are_what_the_results_generate() -> None:
    texts = pages.pages()
    assert {path.name for path in pages.DOCS.glob("*.md")} == set(texts)
    for name, text in texts.items():
        assert (pages.DOCS / name).read_text(encoding="utf-8") == text


def test_every_result_has_tables_with_command_date_commit_and_machine() -> None:
    reports = pages.stored()
    assert len(reports) > 10
    for report in reports.values():
        assert report.command
        assert report.tables
        assert report.measurements
        for one in report.measurements:
            assert one.date
            assert one.commit != "unknown"
            assert not one.commit.endswith("+")
            assert one.machine["processor"]
        for table in report.tables:
            assert {len(row) for row in table.rows} == {len(table.columns)}


def test_a_stored_report_makes_its_page_and_others_go(tmp_path: Path) -> None:
    report = next(iter(pages.stored().values()))
    pages.store("one", report, tmp_path)
    (tmp_path / "stale.md").write_text("stale")
    pages.write(tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.md")) == ["README.md", "one.md"]
    assert (tmp_path / "one.md").read_text(encoding="utf-8") == report.markdown()


def test_quick_numbers_are_never_written(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        __main__.main(["agents", "--quick", "--write"])
    assert "leave out --write" in capsys.readouterr().err


def test_missing_data_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        __main__.main(["real-sets", "--quick", "--cells", str(tmp_path)])
    assert "--data FOLDER" in capsys.readouterr().err


def test_the_wheel_holds_benchmarks_and_no_experiment() -> None:
    tomllib = pytest.importorskip("tomllib", reason="part of Python from 3.11 on")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = find_packages(str(ROOT), **settings["tool"]["setuptools"]["packages"]["find"])
    assert {"benchmarks", "benchmarks.baselines", "mm_envs", "agents", "feedback"} <= set(packages)
    assert not [name for name in packages if name.startswith("benchmarks.experiments")]
    assert all(target.startswith("benchmarks.experiments.") for target in EXPERIMENTS.values())
    assert not any("experiments" in target for target in BENCHMARKS.values())


def test_installed_benchmarks_import_no_experiment() -> None:
    for path in [*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "benchmarks" / "baselines").glob("*.py")]:
        assert "benchmarks.experiments." not in path.read_text(encoding="utf-8")


def test_the_lowest_versions_are_those_of_the_project() -> None:
    found = lowest((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "torch==2.8.*" in found
    assert len(found) > 5
