"""Trainings killed at random moments: does every one go on to the result of a training that was never killed?

A training is a process that runs ``mm-envs train`` with a checkpoint after every rollout. It is killed
(SIGKILL, which no process can notice) at a random moment after its first checkpoint, and ``mm-envs train
--resume`` goes on in a new process; one in four of those is killed once more. Every fifth kill waits for the
moment at which a file is being written. Weights, learning curve and evaluation are compared bit for bit.

Importing torch takes seconds. So most processes are forked from one that has imported it and has done nothing
else; some are started as a user starts them.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.reports import Options, Report, Table

_ID, _SEED, _KILLS, _TYPED = "MMClassify-digits-v0", 0, 50, 4
# Four rollouts of PPO; of DQN as many as give it updates, a new target and a buffer in several files.
_STEPS = {"ppo": 8_192, "dqn": 1_536}
_OPTIONS = ("--num-envs", "64", "--threads", "1", "--eval-episodes", "32", "--checkpoint-seconds", "0")
_PRELOADED = (
    "benchmarks.kills",
    "mm_envs.cli.app",
    "agents.sb3.trainer",
    "agents.run",
    "agents.evaluate",
    "tensorboard.compat",
)
_LONGEST = 300.0


@dataclass(frozen=True)
class Trial:
    """One training that is killed.

    Attributes:
        algo: Its algorithm.
        moment: When, as a share of the time that an unbroken training takes after its first checkpoint.
        again: When its successor is killed, too; None for never.
        writing: Whether to wait for a file to be written.
        typed: Whether its processes are started as a user starts them.
    """

    algo: str
    moment: float
    again: float | None
    writing: bool
    typed: bool


@dataclass(frozen=True)
class Outcome:
    """What became of a trial.

    Attributes:
        trial: The trial.
        kills: How often its processes were killed.
        torn: How many kills left a file that was not whole.
        differing: What differs from the unbroken training: "weights", "curve", "evaluation".
    """

    trial: Trial
    kills: int
    torn: int
    differing: tuple[str, ...]


def bench(options: Options, progress: Callable[[str], None]) -> Report:
    """Kills trainings and compares what their successors end with.

    Args:
        options: With ``quick``, two kills; ``threads`` trainings run at a time.
        progress: Told what is being done.
    """
    trials = _trials(2 if options.quick else _KILLS, 0 if options.quick else _TYPED)
    with TemporaryDirectory(prefix="mm-envs-kills-") as folder, ThreadPoolExecutor(options.threads) as pool:
        root = Path(folder)
        progress(f"unbroken trainings of {' and '.join(_STEPS)}")
        seconds = dict(zip(_STEPS, pool.map(lambda algo: _unbroken(root / algo, algo), _STEPS), strict=True))
        done = []

        def tried(numbered: tuple[int, Trial]) -> Outcome:
            number, trial = numbered
            outcome, attempt = None, 0
            while outcome is None or not outcome.kills:  # none if it had ended before: then earlier
                earlier, attempt = replace(trial, moment=trial.moment * 0.5**attempt), attempt + 1
                out = root / f"{number:02}-{attempt}"
                outcome = run_trial(earlier, out, root / trial.algo, seconds[trial.algo])
            done.append(outcome)
            equal = sum(not one.differing for one in done)
            progress(f"kills: {len(done)} of {len(trials)}, {equal} resumes equal")
            return outcome

        outcomes = list(pool.map(tried, enumerate(trials)))
    return _report(outcomes)


def run_trial(trial: Trial, out: Path, unbroken: Path, seconds: float) -> Outcome:
    """Trains with kills, and compares.

    Args:
        trial: What to do.
        out: The folder of the training.
        unbroken: That of the training which was not killed.
        seconds: How long that took after its first checkpoint.
    """
    kills = torn = 0
    process = _start(_words(trial.algo, out), trial.typed)
    for moment in (trial.moment, trial.again):
        if moment is None:
            continue
        if _killed(process, out, moment * seconds, trial.writing):
            kills += 1
            torn += bool(list((out / "checkpoints").glob("*.partial")))
        if not _finished(out):
            process = _start(["train", "--resume", str(out)], trial.typed)
    _wait(process)
    while not _finished(out):  # killed between the end of the training and its summary
        process = _start(["train", "--resume", str(out)], trial.typed)
        _wait(process)
    return Outcome(trial, kills, torn, differences(out, unbroken))


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


def _trials(number: int, typed: int) -> list[Trial]:
    draws = np.random.default_rng(_SEED).random((number, 3))
    algorithms = list(_STEPS)
    return [
        Trial(
            algo=algorithms[i % len(algorithms)],
            moment=0.95 * moment,
            again=0.5 * again if chance < 0.25 else None,
            writing=i % 5 == 4,
            typed=i < typed,
        )
        for i, (moment, again, chance) in enumerate(draws.tolist())
    ]


def _words(algo: str, out: Path) -> list[str]:
    # A folder that a killed process has not come to use yet may be there.
    steps = ("--steps", str(_STEPS[algo]))
    return ["train", _ID, "--out", str(out), "--algo", algo, *steps, *_OPTIONS, "--overwrite"]


def _unbroken(out: Path, algo: str) -> float:
    """Trains without kills; the seconds from the first checkpoint to the end of the learning."""
    process = _start(_words(algo, out), typed=False)
    _await(lambda: _begun(out), process)
    begin = time.monotonic()
    _await(lambda: (out / "agent").exists(), process)
    seconds = time.monotonic() - begin
    _wait(process)
    return seconds


def _killed(process: Any, out: Path, seconds: float, writing: bool) -> bool:
    """Kills a process some time after its first checkpoint; False if it has ended before."""
    _await(lambda: _begun(out), process)
    end = time.monotonic() + seconds
    _await(lambda: time.monotonic() >= end, process)
    if writing:
        _await(lambda: any((out / "checkpoints").glob("*.partial")), process, pause=0.0)
    if not _running(process):
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


# Processes ----------------------------------------------------------------------------------------------


def _start(words: Sequence[str], typed: bool) -> Any:
    """A process that runs the command."""
    if typed:
        command = [sys.executable, "-m", "mm_envs", *words]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    context: Any = multiprocessing.get_context("forkserver" if hasattr(os, "fork") else "spawn")
    if hasattr(os, "fork"):
        context.set_forkserver_preload(list(_PRELOADED))
    process = context.Process(target=_command, args=(list(words),))
    process.start()
    return process


def _command(words: list[str]) -> None:
    """What a process does: the command, silently."""
    from mm_envs.cli.app import run

    silent = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silent, stream)
    sys.exit(run(words))


def _running(process: Any) -> bool:
    if isinstance(process, subprocess.Popen):
        return process.poll() is None
    alive: bool = process.is_alive()
    return alive


def _wait(process: Any, expected: int = 0) -> None:
    """Waits for the end of a process.

    Raises:
        RuntimeError: It ended in another way than expected.
    """
    if isinstance(process, subprocess.Popen):
        code: int | None = process.wait(_LONGEST)
    else:
        process.join(_LONGEST)
        code = process.exitcode
    if code not in (expected, 0):
        raise RuntimeError(f"a training ended with exit status {code}: run its command by hand to see why")


def _await(condition: Callable[[], bool], process: Any, pause: float = 0.002) -> None:
    """Waits for a condition, or for the end of the process."""
    while _running(process) and not condition():
        time.sleep(pause)


# Report -------------------------------------------------------------------------------------------------


def _report(outcomes: Sequence[Outcome]) -> Report:
    rows, values = [], {}
    for algo in (*_STEPS, "all"):
        those = [one for one in outcomes if algo in (one.trial.algo, "all")]
        counts = {
            "trainings": len(those),
            "kills": sum(one.kills for one in those),
            "torn": sum(one.torn for one in those),
            "typed": sum(one.trial.typed for one in those),
            "equal": sum(one.kills > 0 and not one.differing for one in those),
        }
        values[algo] = counts
        rows.append((algo.upper() if algo != "all" else "all", *(str(count) for count in counts.values())))
    columns = ("algorithm", "trainings", "kills", "files torn", "by command line", "equal to the unbroken")
    differing = [f"{one.trial} differs in {', '.join(one.differing)}" for one in outcomes if one.differing]
    said = [
        f"{_ID}: {_STEPS['ppo']:,} steps of PPO, {_STEPS['dqn']:,} of DQN; a checkpoint after every rollout",
        "compared bit for bit: weights, learning curve, evaluation",
        "most processes are forked from one that has imported torch and done nothing else; all get SIGKILL",
        *differing,
    ]
    whole = values["all"]
    met = whole["equal"] == whole["trainings"] <= whole["kills"]
    return Report(met, [Table("Trainings killed and resumed", columns, rows)], said, values)
