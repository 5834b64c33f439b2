"""Experiments: cells are kept, resumed after a kill, and alone make the report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from benchmarks import BENCHMARKS
from benchmarks.experiment import Cell, Context, Experiment, Finding, Grid, measure
from benchmarks.experiments import EXPERIMENTS
from benchmarks.report import Report, Table
from mm_envs.names import resolve

SLOW = 60.0


def product(context: Context, seed: int, a: int, b: int) -> dict[str, int]:
    """A cell; each measurement is noted in the folder of data."""
    assert context.data is not None
    with (context.data / "calls.txt").open("a") as file:
        file.write(f"{a} {b} {seed}\n")
    if (context.data / "slow").exists() and (a, seed) == (2, 1):
        time.sleep(SLOW)
    return {"value": 100 * seed + a * b, "threads": torch.get_num_threads()}


def tables(findings: Mapping[str, list[Finding]]) -> list[Table]:
    rows = [(str(one.cell.seed), str(one.result["value"])) for one in findings["product"]]
    return [Table("Products", ("seed", "value"), rows)]


EXPERIMENT = Experiment(
    "Products", "Of two numbers.", (Grid(product, {"b": 7}, {"a": (1, 2, 3)}, (0, 1), {"a": 1}),), tables
)


def calls(folder: Path) -> list[str]:
    return (folder / "calls.txt").read_text().splitlines()


def test_a_grid_is_every_combination_with_every_seed() -> None:
    cells = list(EXPERIMENT.grids[0].cells())
    assert [(cell.arguments["a"], cell.seed) for cell in cells] == [
        (a, seed) for seed in (0, 1) for a in (1, 2, 3)
    ]
    assert len({cell.key for cell in cells}) == 6
    assert [dict(cell.arguments) for cell in EXPERIMENT.grids[0].cells(quick=True)] == [{"b": 7, "a": 1}]


def test_axes_arguments_and_seeds_can_be_changed() -> None:
    changed = EXPERIMENT.changed({"a": (5,), "b": (2,)}, seeds=(4,))
    assert [(dict(one.arguments), one.seed) for one in changed.grids[0].cells()] == [({"b": 2, "a": 5}, 4)]
    assert [one.arguments["a"] for one in changed.grids[0].cells(quick=True)] == [5]
    assert EXPERIMENT.changed({}) == EXPERIMENT
    with pytest.raises(ValueError, match="c is no argument of this experiment: it has b, a"):
        EXPERIMENT.changed({"c": (1,)})
    with pytest.raises(ValueError, match="b has 2 values, but one is measured at a time: give one"):
        EXPERIMENT.changed({"b": (1, 2)})


def test_finished_cells_are_not_measured_again(tmp_path: Path) -> None:
    cells, context = tmp_path / "cells", Context(tmp_path)
    first = EXPERIMENT.run(cells, context)
    assert len(calls(tmp_path)) == 6
    next(cells.glob("*.json")).unlink()
    again = EXPERIMENT.run(cells, context)
    assert len(calls(tmp_path)) == 7
    assert [one.result for one in again] == [one.result for one in first]
    assert not list(cells.glob("*.partial"))


def test_a_cell_that_another_process_measures_is_left_to_it(tmp_path: Path) -> None:
    cells, shared = tmp_path / "cells", Context(tmp_path)
    held = next(iter(EXPERIMENT.grids[0].cells()))
    (cells / "locks").mkdir(parents=True)
    begun = threading.Event()

    def hold() -> None:
        with FileLock(cells / "locks" / held.key):
            begun.set()
            time.sleep(1.0)

    other = threading.Thread(target=hold)
    other.start()
    begun.wait()
    found = EXPERIMENT.run(cells, shared)
    other.join()
    assert calls(tmp_path)[-1] == "1 7 0"
    assert len(calls(tmp_path)) == len(found) == 6


def test_a_killed_run_goes_on_from_its_finished_cells(tmp_path: Path) -> None:
    cells = tmp_path / "cells"
    (tmp_path / "slow").touch()
    code = (
        "import importlib.util, sys, pathlib\n"
        f"spec = importlib.util.spec_from_file_location('products', {str(Path(__file__))!r})\n"
        "module = sys.modules['products'] = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "from benchmarks.experiment import Context\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "module.EXPERIMENT.run(folder / 'cells', Context(folder))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + SLOW
    while not (tmp_path / "calls.txt").exists() or "2 7 1" not in calls(tmp_path):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(list(cells.glob("*.json"))) == 4
    before = {path.name: path.read_bytes() for path in cells.glob("*.json")}
    (tmp_path / "slow").unlink()
    # Another process knows the function by the name of its module.
    experiment = Experiment("Products", "", EXPERIMENT.grids, tables)
    renamed = cells / "renamed"
    renamed.mkdir()
    for path in cells.glob("*.json"):
        stored = json.loads(path.read_text())
        cell = Cell(f"{__name__}:product", stored["arguments"], stored["seed"])
        (renamed / f"{cell.key}.json").write_text(json.dumps({**stored, "function": cell.function}))
    found = experiment.run(renamed, Context(tmp_path))
    assert [one.result["value"] for one in found] == [7, 14, 21, 107, 114, 121]
    assert calls(tmp_path).count("2 7 1") == 2
    assert len(calls(tmp_path)) == 4 + 1 + 2
    assert {path.name: path.read_bytes() for path in cells.glob("*.json")} == before


def test_a_measurement_names_date_commit_machine_and_threads() -> None:
    before = torch.get_num_threads()
    cell = Cell("builtins:dict", {"a": 1}, 3)
    with pytest.raises(TypeError):
        measure(cell, Context())
    found = measure(Cell(f"{__name__}:seeded", {}, 3), Context(), threads=1)
    assert torch.get_num_threads() == before
    assert found.result == {"seed": 3}
    assert found.measurement.threads == 1
    assert found.measurement.machine["packages"]["torch"]
    assert len(found.measurement.date) == 10
    assert found.measurement.commit


def seeded(context: Context, seed: int) -> dict[str, int]:
    return {"seed": seed}


def test_the_report_is_made_from_stored_cells(tmp_path: Path) -> None:
    EXPERIMENT.run(tmp_path / "cells", Context(tmp_path))
    findings = [Finding.read(path) for path in sorted((tmp_path / "cells").glob("*.json"))]
    report = EXPERIMENT.report(findings, "a command")
    assert len(report.tables[0].rows) == 6
    stored = Report.from_json(json.loads(json.dumps(report.to_json())))
    assert stored.markdown() == report.markdown()
    for text in ("# Products", "Of two numbers.", "`a command`", "| seed | value |", "Measured on"):
        assert text in report.markdown()


def test_a_damaged_cell_is_named(tmp_path: Path) -> None:
    cell = next(EXPERIMENT.grids[0].cells())
    (tmp_path / f"{cell.key}.json").write_text("{}")
    with pytest.raises(ValueError, match=r"product-.*\.json holds no finding .*: delete it and run again"):
        EXPERIMENT.run(tmp_path, Context())


def test_real_data_is_refused_with_its_cure(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--data FOLDER"):
        Context().folder("digits")
    with pytest.raises(FileNotFoundError, match="datasets"):
        Context(tmp_path).folder("digits")


@pytest.mark.parametrize("name", [*BENCHMARKS, *EXPERIMENTS])
def test_every_experiment_has_cells_that_json_can_store(name: str) -> None:
    experiment: Experiment = resolve("experiment", name, {**BENCHMARKS, **EXPERIMENTS})
    for quick in (False, True):
        cells = [cell for grid in experiment.grids for cell in grid.cells(quick)]
        assert cells
        assert len({cell.key for cell in cells}) == len(cells)
        assert all(json.loads(json.dumps(dict(cell.arguments))) == cell.arguments for cell in cells)
