"""A training from its plan to its folder, and the plan of a training that is resumed from one."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents import curve
from agents.advice import advice
from agents.agent_folder import save
from agents.checkpoints import Checkpoints
from agents.comparison import Comparison, compare, evaluation_items
from agents.curve import Progress
from agents.encoders.adapters import parameter_text
from agents.encoders.choice import check_stored
from agents.environment import stored_environment
from agents.evaluate import Evaluation
from agents.fusion import FusedEncoder
from agents.learning import learn, resume
from agents.policy_folder import AGENT
from agents.run_folder import (
    CHECKPOINTS,
    CURVE_PICTURE,
    CURVE_TABLE,
    EPISODES,
    METRICS,
    OPTIONS,
    RUN,
    TENSORBOARD,
    MetricsCallback,
    Setting,
    checked_device,
    fresh_folder,
    with_moved_data,
)
from agents.store import newest, write_json
from agents.trainers import make_settings, make_trainer, trainer_class
from mm_envs.engine.issue import ticket
from mm_envs.names import at_least
from mm_envs.optional import require
from mm_envs.tasks.scores import baseline_scores
from mm_envs.values import finite, tuples

WHOLE = {"steps": 1, "num_envs": 1, "seed": None, "threads": 0, "eval_episodes": 0}
"""The options of a training that are whole numbers, each with its least value."""


@dataclass(frozen=True)
class Plan:
    """A training with everything that decides it.

    Attributes:
        out: The folder to write to.
        steps: Steps, see ``Trainer.step``.
        threads: Threads of torch; 0 for its own choice.
        eval_episodes: Items of the test split to evaluate on, at most; 0 for no evaluation.
        settings: Of the algorithm.
        policy: Arguments of the policy.
        options: What was asked for, as JSON values; kept in the folder.
        overwrite: Whether the folder may hold something.
        resumed: Whether the training goes on from a checkpoint.
    """

    out: Path
    setting: Setting
    algo: str
    steps: int
    num_envs: int
    seed: int
    threads: int
    eval_episodes: int
    settings: Any
    policy: Mapping[str, Any]
    options: Mapping[str, Any]
    checkpoint_seconds: float = 60.0
    overwrite: bool = False
    resumed: bool = False

    @property
    def title(self) -> str:
        """The algorithm and the environment."""
        return f"{self.algo.upper()} on {self.setting.id}"

    @property
    def resume_command(self) -> str:
        """The command that resumes this training."""
        return f"mm-envs train --resume {shlex.quote(str(self.out))}"


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Attributes:
        steps: Steps that were done.
        seconds: Time of the training, without evaluation.
        interrupted: Whether it was stopped early.
        points: The learning curve.
        comparison: The agent next to the baseline policies; None if it was not evaluated.
        files: What was written, by name.
    """

    plan: Plan
    steps: int
    seconds: float
    interrupted: bool
    points: Sequence[Progress]
    comparison: Comparison | None
    files: dict[str, Path] = field(default_factory=dict)

    @property
    def advice(self) -> str | None:
        """What to try, if the policy is not better than the blind one; else None."""
        if self.comparison is None:
            return None
        demonstrations = bool(getattr(self.plan.settings, "demonstrations", 0))
        return advice(self.comparison, self.plan.algo, demonstrations)

    def summary(self) -> dict[str, Any]:
        """The training as JSON values."""
        last = self.points[-1] if self.points else None
        summary = {
            **self.plan.options,
            "out": str(self.plan.out),
            "steps": self.steps,
            "seconds": round(self.seconds, 3),
            "interrupted": self.interrupted,
            "resume_command": self.plan.resume_command if self.interrupted else None,
            "final": {"reward": last.reward, "utility": last.utility} if last else None,
            "evaluation": self.comparison.to_dict() if self.comparison else None,
            "advice": self.advice,
            "files": {name: str(path) for name, path in self.files.items()},
        }
        return dict(finite(summary))


class Run:
    """A training in its folder; ``checkpoints.stop`` ends it after the running update.

    Raises:
        ValueError: The plan does not fit its environment; nothing is written then.
    """

    def __init__(self, plan: Plan) -> None:
        require("matplotlib", "tensorboard")
        self.plan, self.interrupted = plan, False
        arguments = trainer_class(plan.algo).environment_arguments(plan.settings)
        envs = plan.setting.make(plan.num_envs, **arguments)
        about = {"seed": plan.seed, "settings": plan.settings, "device": plan.setting.device}
        self.trainer = make_trainer(plan.algo, envs, **about, **plan.policy)
        if not plan.resumed:
            self.trainer.check(plan.steps)
        self.checkpoints = Checkpoints(plan.out / CHECKPOINTS, plan.checkpoint_seconds)

    @property
    def parameters(self) -> str:
        """The parameter counts of the encoders, as one line."""
        fused = next(one for one in self.trainer.network.modules() if isinstance(one, FusedEncoder))
        return parameter_text(dict(fused.encoders.items()))

    def train(self, on_progress: Callable[[Progress], None] | None = None) -> None:
        """Trains or resumes the training.

        Raises:
            FileExistsError: The folder is not empty.
            FileNotFoundError: There is no checkpoint to resume from.
        """
        plan = self.plan
        if not plan.resumed:
            self._begin_folder()
        metrics = MetricsCallback(plan.out)
        try:
            if plan.resumed:
                resume(self.trainer, self.checkpoints, on_progress, [metrics])
            else:
                kept: Any = {"checkpoints": self.checkpoints, "callbacks": [metrics]}
                learn(self.trainer, plan.steps, on_progress, **kept)
            self.interrupted = self.checkpoints.stopping
        except KeyboardInterrupt:
            if self.checkpoints.stopping:
                raise
            self.interrupted = True
        finally:
            metrics.close()

    def _begin_folder(self) -> None:
        """Makes the folder; what is there of an earlier training must not be resumed."""
        out = fresh_folder(self.plan.out, self.plan.overwrite)
        for path in (out / CHECKPOINTS, out / TENSORBOARD):
            shutil.rmtree(path, ignore_errors=True)
        for name in (RUN, EPISODES):
            (out / name).unlink(missing_ok=True)
        write_json(out / OPTIONS, self.plan.options)

    def finish(self) -> Trained:
        """Evaluates the agent, unless the training was stopped, and writes the folder."""
        plan, trainer, out = self.plan, self.trainer, self.plan.out
        files = {"agent": save(trainer, out / AGENT), "metrics": out / METRICS}
        if (out / TENSORBOARD).is_dir():
            files["TensorBoard"] = out / TENSORBOARD
        comparison = None
        if plan.eval_episodes and not self.interrupted:
            setting = Setting(plan.setting.id, plan.setting.arguments, files["agent"], plan.setting.device)
            comparison = compare(setting, plan.eval_episodes)
            files["episodes"] = out / EPISODES
            write_episodes(files["episodes"], setting, comparison.evaluations["trained"])
        files |= self._write_curve()
        files["summary"] = out / RUN
        seconds, points = trainer.curve.seconds, trainer.curve.points
        result = Trained(plan, trainer.step, seconds, self.interrupted, points, comparison, files)
        write_json(files["summary"], result.summary())
        if not self.interrupted:
            # The training is over, and a replay buffer is large.
            shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
        return result

    def _write_curve(self) -> dict[str, Path]:
        plan, points = self.plan, self.trainer.curve.points
        table, picture = plan.out / CURVE_TABLE, plan.out / CURVE_PICTURE
        curve.write_table(points, table)
        scores = baseline_scores(plan.setting.make(1).task)
        lines = {name: scores[name].mean for name in ("blind", "oracle")}
        feedback = plan.setting.arguments.get("feedback", "")
        curve.draw(points, lines, f"{plan.title}, feedback {feedback}", picture)
        return {"learning curve": picture, "curve as CSV": table}


def write_episodes(path: Path, setting: Setting, evaluation: Evaluation, seed: int = 0) -> None:
    """Writes the tickets, answers and scores of an evaluation on test items, one JSON object a line."""
    items = evaluation_items(setting, len(evaluation), "test", seed)
    envs = setting.make(len(items), split="test")
    envs.reset(seed=seed, options={"items": items})
    answers = envs.task.answer.formats(evaluation.response)
    with path.open("w", encoding="utf-8") as file:
        for row, answer in enumerate(answers):
            scores = {"reward": float(evaluation.reward[row]), "utility": float(evaluation.utility[row])}
            file.write(json.dumps({"ticket": ticket(envs, row), "answer": answer, **finite(scores)}) + "\n")


def resumed_plan(
    out: Path,
    *,
    feedback: str | None = None,
    data: Path | None = None,
    layout: str | None = None,
    checkpoint_seconds: float = 60.0,
) -> Plan:
    """The plan of the training in a folder, which is untrusted: nothing that it names is run.

    Args:
        out: The folder.
        feedback: The ``module:attribute`` string of a feedback, which is never taken from a file.
        data: Where the files of the items are now; None for where they were.
        layout: How to read them now.
        checkpoint_seconds: Of the plan.

    Raises:
        FileNotFoundError: There is no training in the folder.
        ValueError: The training is finished, or its files are damaged.
    """
    _refuse_finished(out)
    training: Any = newest(out / CHECKPOINTS).values.get("training")
    try:
        kept = _checked(json.loads((out / OPTIONS).read_text(encoding="utf-8")))
        whole = {**{name: kept[name] for name in WHOLE}, "threads": int(training["threads"])}
        policy = dict(training["policy"])
        check_stored(policy)
        settings = make_settings(kept["algo"], training["settings"])
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        raise ValueError(f"{out} does not say how its training was begun ({error}): train again") from None
    name, arguments = stored_environment(training, feedback)
    arguments = with_moved_data(tuples(arguments), data, layout)
    checked_device(kept["device"])
    return Plan(
        out=out,
        setting=Setting(name, arguments, device=kept["device"]),
        algo=kept["algo"],
        settings=settings,
        policy=policy,
        options=kept,
        checkpoint_seconds=checkpoint_seconds,
        resumed=True,
        **whole,
    )


def _refuse_finished(out: Path) -> None:
    """Refuses a folder without a training, or with one that is finished."""
    if not out.is_dir():
        raise FileNotFoundError(f"--resume {out} is no folder: give the --out of a training that has begun")
    try:
        finished = json.loads((out / RUN).read_text(encoding="utf-8"))["interrupted"] is False
    except (OSError, KeyError, TypeError, ValueError):
        return
    if finished:
        raise ValueError(f"the training in {out} is finished: evaluate it with mm-envs evaluate {out}")


def _checked(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a file whose types are as they should be."""
    for name, least in WHOLE.items():
        if type(kept[name]) is not int:
            raise ValueError(f"{name}={kept[name]!r}")
        at_least(name, kept[name], kept[name] if least is None else least)
    for name in ("id", "device", "algo"):
        if not isinstance(kept[name], str):
            raise ValueError(f"{name}={kept[name]!r}")
    trainer_class(kept["algo"])
    return dict(kept)
