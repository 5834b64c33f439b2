"""The description of the machine."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.machine import Calibration, describe, resident_bytes


def test_description_names_versions() -> None:
    machine = describe()
    assert machine.packages["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert "not installed" not in machine.packages.values()
    assert machine.cores >= 1
    assert machine.processor


def test_equal_times_on_an_idle_machine_are_not_busy() -> None:
    assert Calibration(load=0.0, seconds=[0.01] * 9).reasons() == []


def test_a_load_or_a_spread_is_busy() -> None:
    loaded = Calibration(load=1e6, seconds=[0.01] * 9)
    assert len(loaded.reasons()) == 1
    assert "load average" in loaded.reasons()[0]
    uneven = Calibration(load=None, seconds=[0.01] * 6 + [0.02] * 6)
    assert uneven.spread == 1.0
    assert "100%" in uneven.reasons()[0]


def test_calibration_measures_as_often_as_given() -> None:
    calibration = Calibration()
    calibration.measure(3)
    calibration.measure(2)
    assert len(calibration.seconds) == 5
    assert min(calibration.seconds) > 0


def test_resident_memory_grows_with_what_is_written() -> None:
    before = resident_bytes()
    if before is None:
        return
    held = np.ones(8 << 20)
    after = resident_bytes()
    assert after is not None
    assert after - before > held.nbytes // 2
