"""Crash recovery: trainings killed at random moments and resumed end as one that was never killed.

A training is a process that runs ``mm-envs train`` with a checkpoint after every rollout. It is killed
(SIGKILL, which no process can handle) at a random moment after its first checkpoint, and ``mm-envs train
--resume`` continues in a new process; one in four of those is killed once more. Every fifth kill waits for
a file to be written. Weights, learning curve and evaluation are compared bit for bit.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import runpy
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.experiment import Context, Experiment, Finding, Grid
from benchmarks.report import Table

_ID = "MMClassify-digits-v0"
# Four rollouts of PPO; of DQN enough for updates, a new target and a buffer in several files.
_STEPS = {"sb3-ppo": 8_192, "sb3-dqn": 1_536}
_OPTIONS = ("--num-envs", "64", "--threads", "1", "--eval-episodes", "32", "--checkpoint-seconds", "0")
_PRELOADED = (__name__, "agents.run", "agents.sb3.trainer", "tensorboard.compat")
_TIMEOUT = 300.0


@dataclass(frozen=True)
class Trial:
    """One training that is killed.

    Attributes:
        algo: Its algorithm.
        moment: When, as a share of the time that an unbroken training takes after its first checkpoint.
        again: When its successor is killed, too; None for never.
        writing: Whether to wait for a file to be written.
    """

    algo: str
    moment: float
    again: float | None
    writing: bool

    @classmethod
    def drawn(cls, algo: str, seed: int) -> Trial:
        """The trial of a seed."""
        moment, again, chance = np.random.default_rng(seed).random(3).tolist()
        return cls(algo, 0.95 * moment, 0.5 * again if chance < 0.25 else None, seed % 5 == 4)


def killed(context: Context, seed: int, algo: str) -> dict[str, Any]:
    """Kills one training, resumes it and compares it with an unbroken one.

    Returns:
        "killed": how many of its processes; "torn": how many of those left a partial file; "differing": the
        parts that are not equal.
    """
    trial = Trial.drawn(algo, seed)
    unbroken, seconds = _unbroken(algo)
    while True:
        with TemporaryDirectory(prefix="mm-envs-crash-") as folder:
            found = run_trial(trial, Path(folder) / "run", Path(unbroken.name) / "run", seconds)
        if found["killed"]:
            return found
        trial = replace(trial, moment=trial.moment / 2)  # it had ended before


def run_trial(trial: Trial, out: Path, unbroken: Path, seconds: float) -> dict[str, Any]:
    """Trains, is killed and resumed, and is compared.

    Args:
        trial: The moments.
        out: The folder of the training.
        unbroken: That of the training which was not killed.
        seconds: The time that it took after its first checkpoint.
    """
    count = torn = 0
    process = _start(_arguments(trial.algo, out))
    for moment in (trial.moment, trial.again):
        if moment is None:
            continue
        if _killed(process, out, moment * seconds, trial.writing):
            count += 1
            torn += bool(list((out / "checkpoints").glob("*.partial")))
        if not _finished(out):
            process = _start(["train", "--resume", str(out)])
    _wait(process)
    while not _finished(out):  # killed between the end of the training and its summary
        process = _start(["train", "--resume", str(out)])
        _wait(process)
    return {"killed": count, "torn": torn, "differing": list(differences(out, unbroken))}


def differences(out: Path, unbroken: Path) -> tuple[str, ...]:
    """What is not equal bit for bit in the folders of two trainings."""
    from safetensors.torch import load_file

    one, other = (load_file(str(folder / "agent" / "policy.safetensors")) for folder in (out, unbroken))
    equal = {
        "weights": one.keys() == other.keys()
        and all(one[name].numpy().tobytes() == other[name].numpy().tobytes() for name in one),
        "curve": (out / "curve.csv").read_bytes() == (unbroken / "curve.csv").read_bytes(),
        "evaluation": _evaluation(out) == _evaluation(unbroken),
    }
    return tuple(name for name, same in equal.items() if not same)


def _arguments(algo: str, out: Path) -> list[str]:
    steps = ("--steps", str(_STEPS[algo]))
    return ["train", _ID, "--out", str(out), "--algo", algo, *steps, *_OPTIONS, "--overwrite"]


@lru_cache(maxsize=2)
def _unbroken(algo: str) -> tuple[TemporaryDirectory[str], float]:
    """A folder with an unbroken training in "run"; the seconds from its first checkpoint to its last step."""
    folder = TemporaryDirectory(prefix="mm-envs-unbroken-")
    out = Path(folder.name) / "run"
    process = _start(_arguments(algo, out))
    _await(lambda: _begun(out), process)
    begin = time.monotonic()
    _await(lambda: (out / "agent").exists(), process)
    seconds = time.monotonic() - begin
    _wait(process)
    return folder, seconds


def _killed(process: Any, out: Path, seconds: float, writing: bool) -> bool:
    """Kills a process some time after its first checkpoint; False if it has ended before."""
    _await(lambda: _begun(out), process)
    end = time.monotonic() + seconds
    _await(lambda: time.monotonic() >= end, process)
    if writing:
        _await(lambda: any((out / "checkpoints").glob("*.partial")), process, pause=0.0)
    if not process.is_alive():
        return False
    process.kill()
    _wait(process, expected=-9)
    return True


def _begun(out: Path) -> bool:
    return any((out / "checkpoints").glob("step-*.json"))


def _finished(out: Path) -> bool:
    try:
        return json.loads((out / "run.json").read_text(encoding="utf-8"))["interrupted"] is False
    except (FileNotFoundError, ValueError):  # not there, or killed while it was being written
        return False


def _evaluation(out: Path) -> Any:
    run = json.loads((out / "run.json").read_text(encoding="utf-8"))
    return run["evaluation"], run["final"], run["steps"]


def _start(arguments: Sequence[str]) -> Any:
    """A process that runs the command, forked from one that has only imported the packages."""
    context: Any = multiprocessing.get_context("forkserver" if hasattr(os, "fork") else "spawn")
    if hasattr(os, "fork"):
        context.set_forkserver_preload(list(_PRELOADED))
    process = context.Process(target=_command, args=(list(arguments),))
    process.start()
    return process


def _command(arguments: list[str]) -> None:
    """Runs ``python -m mm_envs``, silently."""
    silent = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silent, stream)
    sys.argv = ["mm-envs", *arguments]
    runpy.run_module("mm_envs", run_name="__main__", alter_sys=True)


def _wait(process: Any, expected: int = 0) -> None:
    """Waits for the end of a process.

    Raises:
        RuntimeError: Its exit status is neither 0 nor the expected one.
    """
    process.join(_TIMEOUT)
    if process.exitcode not in (expected, 0):
        raise RuntimeError(
            f"a training ended with exit status {process.exitcode}: run its command to see why"
        )


def _await(condition: Callable[[], bool], process: Any, pause: float = 0.002) -> None:
    """Waits for a condition, or for the end of the process."""
    while process.is_alive() and not condition():
        time.sleep(pause)


def tables(findings: Mapping[str, list[Finding]]) -> list[Table]:
    """Counts by algorithm."""
    rows = []
    for algo in (*_STEPS, "all"):
        several = [one.result for one in findings["killed"] if algo in (one.cell.arguments["algo"], "all")]
        equal = sum(not one["differing"] for one in several)
        counts = (len(several), *(sum(one[name] for one in several) for name in ("killed", "torn")), equal)
        rows.append((algo, *map(str, counts)))
    columns = ("algorithm", "trainings", "processes killed", "files torn", "equal to the unbroken training")
    return [Table("Trainings killed and resumed", columns, rows)]


def notes(findings: Mapping[str, list[Finding]]) -> list[str]:
    """The trainings that differ."""
    differing = [one for one in findings["killed"] if one.result["differing"]]
    return [f"{one.cell} differs in {', '.join(one.result['differing'])}." for one in differing]


EXPERIMENT = Experiment(
    "Crash recovery",
    "Trainings are killed (SIGKILL) at random moments, every fifth while a file is being "
    "written, and resumed "
    "with `mm-envs train --resume`; a quarter is killed twice. Weights, learning curve and evaluation are "
    "compared bit for bit with a training that was not killed. A seed is one training.",
    (Grid(killed, axes={"algo": tuple(_STEPS)}, seeds=range(25)),),
    tables,
    notes,
)
