"""``mm-envs train``: an agent learns from feedback, or from references."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from mm_envs.cli.arguments import (
    UsageError,
    by_default,
    dotted_values,
    feedback_arguments,
    is_given,
    key_values,
    known_id,
    runs_code,
    with_data,
)
from mm_envs.cli.evaluate import comparison_table
from mm_envs.cli.interrupts import stopped_by_interrupts
from mm_envs.cli.output import console, duration, print_json
from mm_envs.cli.threads import torch_threads
from mm_envs.names import at_least

if TYPE_CHECKING:
    from agents.run import Plan, Trained

# Arguments of the environment that training decides, with what to do instead.
_RESERVED = {
    "feedback": "use --feedback",
    "num_envs": "use --num-envs",
    "device": "use --device",
    "group_size": "rows are contexts, and --settings answers= says how many answers each gets",
    "split": "agents are trained on the train split, and mm-envs evaluate has --split",
    **dict.fromkeys(
        ("output", "copy", "autoreset_mode", "first_row", "render_mode", "vectorization_mode"),
        "training has it as it must be",
    ),
    **dict.fromkeys(("task", "wrappers", "vector_kwargs"), "train in Python, see agents.trainers"),
}
_KEPT = (
    *("id", "algo", "steps", "num_envs", "seed", "threads", "eval_episodes"),
    *("feedback", "set", "settings", "policy", "warm_start", "data", "layout", "device"),
)


@dataclass(frozen=True)
class Train:
    """Train an agent, and evaluate it on held-out items.

    Writes the agent, the learning curve (CSV and PNG), metrics (JSON Lines and TensorBoard), tickets of the
    evaluation and a summary into a folder. Ctrl-C stops the training after the running update and saves the
    agent; again, it quits at once. Checkpoints are written on the way: after Ctrl-C, or after a crash,
    --resume FOLDER goes on, and its result is bit for bit that of a training which was never stopped (on the
    CPU).

    Attributes:
        id: Which environment; see mm-envs list.
        out: The folder to write to.
        resume: Go on with the training in this folder. Its options are those that it was begun with.
        algo: sft learns from references, dpo from comparisons, the others from rewards: of whole answers, or
            step by step (sb3-..., of Stable-Baselines3).
        steps: Answers; environment steps for sb3-..., all rows counted. By default a number that was tuned
            for the environment, as are the other settings.
        num_envs: Rows of the environment.
        warm_start: Imitate good answers to so many training items first.
        seed: Decides initial weights, exploration, episodes and noise.
        feedback: Who gives the reward: annotator, truth, accuracy, token_f1, ..., or module:attribute; or
            reward_model:FOLDER, which mm-envs feedback fit wrote.
        set: An argument of the environment as key=value with a JSON value; may be repeated.
        settings: A setting of the algorithm as key=value, such as learning_rate=0.001; may be repeated.
        policy: An argument of the policy as key=value, such as fusion=concat; encoders.image=resnet18 for the
            encoder of an entry; trainable=all, none, last:K or lora:R for what of the encoders is trained;
            start=FOLDER is a policy to begin with, but for sb3-...; may be repeated.
        data: A folder of files that the items are made of: short for --set dataset=folder --set path=FOLDER.
            With --resume: where it is now.
        layout: How to read the folder of --data; see mm-envs data describe.
        device: Where environment and agent live: cpu or cuda.
        threads: Threads of torch; 0 for its own choice. On a busy machine one is often the quickest.
        eval_episodes: Items of the test split to evaluate on, at most; 0 for no evaluation.
        checkpoint_seconds: Time between two checkpoints, of which a killed training loses at most one and the
            running update; 0 for one after every update.
        overwrite: Write into a folder that is not empty.
        json: Print one JSON object at the end, and progress on standard error.
    """

    id: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="ID")] = None
    out: Path | None = None
    resume: Path | None = None
    algo: Literal[
        "sft",
        "reinforce",
        "self-critical",
        "rloo",
        "grpo",
        "ppo",
        "expert-iteration",
        "dpo",
        "dqn",
        "sb3-ppo",
        "sb3-a2c",
        "sb3-dqn",
    ] = field(default=by_default("rloo"))
    steps: int | None = None
    num_envs: int | None = None
    warm_start: int | None = None
    seed: int = field(default=by_default(0))
    feedback: str = field(default=by_default("annotator"))
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    settings: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    policy: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    data: Path | None = None
    layout: str | None = None
    device: str = field(default=by_default("cpu"))
    threads: int = field(default=by_default(0))
    eval_episodes: int = field(default=by_default(1000))
    checkpoint_seconds: float = 60.0
    overwrite: bool = False
    json: bool = False

    def run(self) -> int:
        """Trains, evaluates and prints."""
        result = train(self)
        out, progress = console(self.json), console(json_output=self.json)
        if self.json:
            print_json(result.summary())
        elif result.comparison is not None:
            out.print(comparison_table(result.comparison))
        took = f"{result.steps:,} steps in {duration(result.seconds)}"
        progress.print(f"[bold]{'stopped after' if result.interrupted else 'trained'}[/] {took}")
        if not self.json:
            for name, path in result.files.items():
                out.print(f"  {name:15} [cyan]{path}[/]", soft_wrap=True)
        if result.advice is not None:
            progress.print(f"[yellow]{result.advice}[/]", soft_wrap=True)
        if result.interrupted:
            progress.print(f"go on with: [bold]{result.plan.resume_command}[/]", soft_wrap=True)
            return 130
        progress.print(f"[dim]next: mm-envs play {result.plan.out}[/]", soft_wrap=True)
        return 0


def train(options: Train) -> Trained:
    """Trains as the options say and writes the folder.

    Raises:
        ValueError: An option is missing or does not fit, or is not that of the training to resume.
        FileExistsError: The folder is not empty.
        FileNotFoundError: There is no training to resume.
    """
    from agents.run import Run
    from mm_envs.cli.progress import Watch

    at_least("--checkpoint-seconds", options.checkpoint_seconds, 0)
    plan = _new_plan(options) if options.resume is None else _resumed_plan(options, options.resume)
    with torch_threads(plan.threads):
        # Before the folder is made: an environment or an algorithm that does not fit leaves none behind.
        run = Run(plan)
        console(json_output=True).print(f"[dim]{run.parameters}[/]", soft_wrap=True)
        message = f"stopping after this update (again: at once); go on with: {plan.resume_command}"
        with (
            Watch(plan.title, plan.steps).shown() as watch,
            stopped_by_interrupts(run.checkpoints.stop, message),
        ):
            run.train(watch)
        with console(json_output=True).status("evaluating on the test split"):
            return run.finish()


def _new_plan(options: Train) -> Plan:
    from agents.run import WHOLE, Plan
    from agents.run_folder import Setting, checked_device
    from agents.trainers import make_settings
    from agents.tuned import settings_for, tuned

    if options.id is None or options.out is None:
        missing = "ID" if options.id is None else "--out"
        raise UsageError(
            f"{missing} is missing: mm-envs train ID --out FOLDER, or mm-envs train --resume FOLDER"
        )
    usual = tuned(options.id, options.algo)
    kept: dict[str, Any] = {name: getattr(options, name) for name in _KEPT}
    kept |= {name: getattr(usual, name) for name in ("steps", "num_envs") if kept[name] is None}
    settings = {**settings_for(usual, int(kept["steps"])), **key_values(options.settings, "--settings")}
    if options.warm_start is not None:
        if options.algo == "sft" or options.algo.startswith("sb3-"):
            raise ValueError(
                f"--warm-start is not for --algo {options.algo}: sft imitates, and then rloo takes "
                "--policy start=FOLDER"
            )
        settings["demonstrations"] = options.warm_start
    policy = dotted_values(options.policy, "--policy")
    if "start" not in policy:
        policy = {**usual.policy, **policy}
    for name, least in WHOLE.items():
        if least is not None:
            at_least(_option(name), kept[name], least)
    checked_device(options.device)
    arguments = key_values(options.set)
    for name, cure in _RESERVED.items():
        if name in arguments:
            raise ValueError(f"--set {name}={arguments[name]} is not for --set: {cure}")
    arguments = with_data({**arguments, **feedback_arguments(options.feedback)}, options.data, options.layout)
    whole: dict[str, Any] = {name: int(kept[name]) for name in WHOLE}
    return Plan(
        out=options.out,
        setting=Setting(known_id(options.id), arguments, device=options.device),
        algo=options.algo,
        settings=make_settings(options.algo, settings),
        policy=policy,
        options=json.loads(json.dumps(kept, default=str)),
        checkpoint_seconds=options.checkpoint_seconds,
        overwrite=options.overwrite,
        **whole,
    )


def _resumed_plan(options: Train, out: Path) -> Plan:
    from agents.run import resumed_plan

    feedback = options.feedback if runs_code(options.feedback) else None
    plan = resumed_plan(
        out,
        feedback=feedback,
        data=options.data,
        layout=options.layout,
        checkpoint_seconds=options.checkpoint_seconds,
    )
    _refuse_given(options, plan.options, out)
    return plan


def _refuse_given(options: Train, kept: Mapping[str, Any], out: Path) -> None:
    """Refuses options that differ from those of the training: its result would be that of neither."""
    if options.overwrite or (options.out is not None and options.out.resolve() != out.resolve()):
        option = "--overwrite" if options.overwrite else f"--out {options.out}"
        raise ValueError(
            f"{option} does not go with --resume {out}, which goes on in its folder: leave it out"
        )
    for name in _KEPT:
        value = getattr(options, name)
        if name in ("data", "layout") or not is_given(value):
            continue
        value = list(value) if isinstance(value, tuple) else value
        if value != kept.get(name):
            why = ", on which its learning rate depends" if name == "steps" else ""
            raise ValueError(
                f"{_option(name)} {value} is not the {kept.get(name)} that the training in {out} was begun "
                f"with{why}: leave it out, or train anew into another --out"
            )


def _option(name: str) -> str:
    return "ID" if name == "id" else f"--{name.replace('_', '-')}"
