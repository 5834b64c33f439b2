"""What a training is going to do: from the options of the command, or from the checkpoint it goes on from."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mm_envs.cli import runs
from mm_envs.cli.arguments import (
    UsageError,
    feedback_arguments,
    is_given,
    key_values,
    known_id,
    runs_code,
    with_data,
)
from mm_envs.names import at_least, one_of
from mm_envs.values import tuples

if TYPE_CHECKING:
    from agents.sb3.settings import Settings
    from mm_envs.cli.train import Train

# What --set would take from under the feet of the command, with what to do instead.
_RESERVED = {
    "feedback": "use --feedback",
    "num_envs": "use --num-envs",
    "device": "use --device",
    "split": "agents are trained on the train split, and mm-envs evaluate has --split",
    **dict.fromkeys(
        ("output", "copy", "autoreset_mode", "first_row", "render_mode", "vectorization_mode"),
        "training has it as it must be",
    ),
    **dict.fromkeys(("task", "wrappers", "vector_kwargs"), "make the agent in Python, see agents.sb3.train"),
}
_WHOLE = {"steps": 1, "num_envs": 1, "seed": None, "threads": 0, "eval_episodes": 0}
_KEPT = ("id", "algo", *_WHOLE, "feedback", "set", "data", "layout", "device")
_ANEW = "leave it out, or train anew into another --out"


@dataclass(frozen=True)
class Plan:
    """A training with all that it needs to know.

    Attributes:
        out: The folder to write to.
        setting: The environment.
        algo: The algorithm.
        steps: Environment steps, all rows counted.
        num_envs: Rows of the environment.
        seed: Decides everything.
        threads: Threads of torch; 0 for its own choice.
        eval_episodes: Items of the test split to evaluate on, at most.
        options: The options of the command, as JSON values.
        checkpoint_seconds: Time between two checkpoints.
        overwrite: Whether what is in the folder may be replaced.
        goes_on: Whether the training goes on from a checkpoint.
        settings: Of the algorithm; None for its defaults.
        policy: Arguments of the policy.
    """

    out: Path
    setting: runs.Setting
    algo: str
    steps: int
    num_envs: int
    seed: int
    threads: int
    eval_episodes: int
    options: Mapping[str, Any]
    checkpoint_seconds: float
    overwrite: bool = False
    goes_on: bool = False
    settings: Settings | None = None
    policy: Mapping[str, Any] | None = None

    @property
    def title(self) -> str:
        """The algorithm and the environment."""
        return f"{self.algo.upper()} on {self.setting.id}"

    @property
    def go_on(self) -> str:
        """The command that goes on with this training."""
        return f"mm-envs train --resume {shlex.quote(str(self.out))}"


def plan_of(options: Train) -> Plan:
    """The plan of what a user typed.

    Raises:
        ValueError: An option is missing or does not fit, or is not that of the training to go on with.
        FileNotFoundError: There is nothing to go on with.
    """
    at_least("--checkpoint-seconds", options.checkpoint_seconds, 0)
    return _fresh(options) if options.resume is None else _resumed(options, options.resume)


def _fresh(options: Train) -> Plan:
    if options.id is None or options.out is None:
        missing = "ID" if options.id is None else "--out"
        raise UsageError(
            f"{missing} is missing: mm-envs train ID --out FOLDER, or mm-envs train --resume FOLDER"
        )
    kept = {name: getattr(options, name) for name in _KEPT}
    for name, least in _WHOLE.items():
        if least is not None:
            at_least(_option(name), kept[name], least)
    runs.checked_device(options.device)
    arguments = key_values(options.set)
    for name, cure in _RESERVED.items():
        if name in arguments:
            raise ValueError(f"--set {name}={arguments[name]} is not for --set: {cure}")
    arguments = {**arguments, **feedback_arguments(options.feedback)}
    arguments = with_data(arguments, options.data, options.layout)
    return Plan(
        out=options.out,
        setting=runs.Setting(known_id(options.id), arguments, device=options.device),
        algo=options.algo,
        options=json.loads(json.dumps(kept, default=str)),
        checkpoint_seconds=options.checkpoint_seconds,
        overwrite=options.overwrite,
        steps=int(options.steps),
        num_envs=int(options.num_envs),
        seed=int(options.seed),
        threads=int(options.threads),
        eval_episodes=int(options.eval_episodes),
    )


def _resumed(options: Train, out: Path) -> Plan:
    """The plan of a folder, which may come from a stranger: nothing that it names is run."""
    from agents.sb3.checkpoint import stored_settings
    from agents.sb3.environment import stored_environment
    from agents.sb3.store import newest

    _refuse_finished(out)
    values = newest(out / runs.CHECKPOINTS).values
    try:
        training, kept = values["training"], _checked(values["notes"]["options"])
        threads, policy = int(training["threads"]), dict(training["policy"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"the checkpoint in {out} does not say how it was made ({error}): train again"
        ) from None
    _refuse_given(options, kept, out)
    # The string of a user's own judge runs code: it is given again, and never taken from the file.
    name, arguments = stored_environment(training, options.feedback if runs_code(options.feedback) else None)
    arguments = runs.moved(tuples(arguments), options.data, options.layout)
    runs.checked_device(kept["device"])
    return Plan(
        out=out,
        setting=runs.Setting(name, arguments, device=kept["device"]),
        algo=kept["algo"],
        steps=kept["steps"],
        num_envs=kept["num_envs"],
        seed=kept["seed"],
        threads=threads,
        eval_episodes=kept["eval_episodes"],
        options=kept,
        checkpoint_seconds=options.checkpoint_seconds,
        goes_on=True,
        settings=stored_settings(training),
        policy=policy,
    )


def _checked(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a file whose types are those of the command."""
    from agents.sb3.settings import SETTINGS

    for name, least in _WHOLE.items():
        if type(kept[name]) is not int or (least is not None and kept[name] < least):
            raise ValueError(f"{name}={kept[name]!r}")
    for name in ("id", "device", "algo"):
        if not isinstance(kept[name], str):
            raise ValueError(f"{name}={kept[name]!r}")
    if kept["algo"] not in SETTINGS:
        raise ValueError(one_of("algo", kept["algo"], SETTINGS))
    return {name: kept.get(name) for name in _KEPT}


def _refuse_finished(out: Path) -> None:
    if not out.is_dir():
        raise FileNotFoundError(f"--resume {out} is no folder: give the --out of a training that has begun")
    try:
        run = json.loads((out / runs.RUN).read_text(encoding="utf-8"))
        finished = run["interrupted"] is False
    except (OSError, KeyError, TypeError, ValueError):
        return
    if finished:
        raise ValueError(f"the training in {out} is finished: evaluate it with mm-envs evaluate {out}")


def _refuse_given(options: Train, kept: Mapping[str, Any], out: Path) -> None:
    """Refuses options that are not those of the training: its result would be neither one nor the other."""
    if options.overwrite or (options.out is not None and options.out.resolve() != out.resolve()):
        said = "--overwrite" if options.overwrite else f"--out {options.out}"
        raise ValueError(f"{said} does not go with --resume {out}, which goes on in its folder: leave it out")
    for name in _KEPT:
        value = getattr(options, name)
        if name in ("data", "layout") or not is_given(value):
            continue
        value = list(value) if isinstance(value, tuple) else value
        if value != kept[name]:
            why = ", on which its learning rate depends" if name == "steps" else ""
            raise ValueError(
                f"{_option(name)} {value} is not the {kept[name]} that the training in {out} was begun with"
                f"{why}: {_ANEW}"
            )


def _option(name: str) -> str:
    return "ID" if name == "id" else f"--{name.replace('_', '-')}"
