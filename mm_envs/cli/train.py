"""``mm-envs train``: an agent of Stable-Baselines3 learns from feedback."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from mm_envs.cli import runs
from mm_envs.cli.arguments import by_default
from mm_envs.cli.comparison import Comparison, compare
from mm_envs.cli.interrupts import stopped_by_interrupts
from mm_envs.cli.output import console, duration, print_json
from mm_envs.cli.plan import Plan, plan_of
from mm_envs.cli.threads import torch_threads

if TYPE_CHECKING:
    from agents.sb3.progress import Progress
    from agents.sb3.train import Agent


@dataclass(frozen=True)
class Train:
    """Train an agent of Stable-Baselines3 on feedback, and evaluate it on held-out items.

    Writes the agent, the learning curve (CSV and PNG), a TensorBoard log and a summary into a folder. Ctrl-C
    stops the training after the running rollout and saves what is there; again, it quits at once. Checkpoints
    are written on the way: after Ctrl-C, or after a crash, --resume FOLDER goes on, and its result is bit for
    bit that of a training which was never stopped (on the CPU).

    Attributes:
        id: Which environment; see mm-envs list.
        out: The folder to write to.
        resume: Go on with the training in this folder. Its options are those that it was begun with.
        algo: The algorithm.
        steps: Environment steps, all rows counted.
        num_envs: Rows of the environment.
        seed: Decides initial weights, exploration, episodes and noise.
        feedback: Who gives the reward: annotator, truth, accuracy, token_f1, ..., or module:attribute; or
            reward_model:FOLDER, which mm-envs feedback fit wrote.
        set: An argument of the environment as key=value with a JSON value; may be repeated.
        data: A folder of files that the items are made of: short for --set dataset=folder --set path=FOLDER.
            With --resume: where it is now.
        layout: How to read the folder of --data; see mm-envs data describe.
        device: Where environment and agent live: cpu or cuda.
        threads: Threads of torch; 0 for its own choice. On a busy machine one is often the quickest.
        eval_episodes: Items of the test split to evaluate on, at most; 0 for no evaluation.
        checkpoint_seconds: Time between two checkpoints, of which a killed training loses at most one and the
            running rollout; 0 for one after every rollout.
        overwrite: Write into a folder that is not empty.
        json: Print one JSON object at the end, and progress on standard error.
    """

    id: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="ID")] = None
    out: Path | None = None
    resume: Path | None = None
    algo: Literal["ppo", "a2c", "dqn"] = field(default=by_default("ppo"))
    steps: int = field(default=by_default(100_000))
    num_envs: int = field(default=by_default(256))
    seed: int = field(default=by_default(0))
    feedback: str = field(default=by_default("annotator"))
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
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
        out = console(self.json)
        if self.json:
            print_json(result.summary())
        elif result.comparison is not None:
            out.print(result.comparison.table())
        took = f"{result.steps:,} steps in {duration(result.seconds)}"
        said = console(json_output=self.json)
        said.print(f"[bold]{'stopped after' if result.interrupted else 'trained'}[/] {took}")
        if not self.json:
            for name, path in result.files.items():
                out.print(f"  {name:15} [cyan]{path}[/]", soft_wrap=True)
        if result.interrupted:
            said.print(f"go on with: [bold]{result.plan.go_on}[/]", soft_wrap=True)
            return 130
        said.print(f"[dim]next: mm-envs play {result.plan.out}[/]", soft_wrap=True)
        return 0


@dataclass(frozen=True)
class Trained:
    """What a training left.

    Attributes:
        plan: What was to be done.
        steps: Environment steps that were done.
        seconds: Time of the training, without evaluation.
        interrupted: Whether it was stopped early.
        points: The learning curve.
        comparison: The agent beside the policies that need no learning; None if it was not evaluated.
        files: What was written, by name.
    """

    plan: Plan
    steps: int
    seconds: float
    interrupted: bool
    points: Sequence[Progress]
    comparison: Comparison | None
    files: dict[str, Path] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """The training as JSON values."""
        last = self.points[-1] if self.points else None
        return {
            **self.plan.options,
            "out": str(self.plan.out),
            "steps": self.steps,
            "seconds": round(self.seconds, 3),
            "interrupted": self.interrupted,
            "go_on": self.plan.go_on if self.interrupted else None,
            "final": {"reward": last.reward, "utility": last.utility} if last else None,
            "evaluation": self.comparison.to_dict() if self.comparison else None,
            "files": {name: str(path) for name, path in self.files.items()},
        }


def train(options: Train) -> Trained:
    """Trains as the options say and writes the folder.

    Raises:
        ValueError: An option does not fit.
        FileExistsError: The folder is not empty.
        FileNotFoundError: There is no training to go on with.
    """
    plan = plan_of(options)
    with torch_threads(plan.threads):
        return _train(plan)


def _train(plan: Plan) -> Trained:
    agent, interrupted = _learn(plan)
    files = {"agent": plan.out / runs.AGENT, "TensorBoard": plan.out / runs.TENSORBOARD}
    from agents.sb3.checkpoint import save

    save(agent, files["agent"])
    comparison, points = None, agent.curve.points
    if plan.eval_episodes and not interrupted:
        setting = runs.Setting(plan.setting.id, plan.setting.arguments, files["agent"], plan.setting.device)
        with console(json_output=True).status("evaluating on the test split"):
            comparison = compare(setting, plan.eval_episodes)
    files |= _write_curve(plan, points)
    files["summary"] = plan.out / runs.RUN
    steps, seconds = agent.model.num_timesteps, agent.curve.seconds
    result = Trained(plan, steps, seconds, interrupted, points, comparison, files)
    runs.write_json(files["summary"], result.summary())
    if not interrupted:
        # The training is over: nobody goes on from here, and a replay buffer is large.
        shutil.rmtree(plan.out / runs.CHECKPOINTS, ignore_errors=True)
    return result


def _learn(plan: Plan) -> tuple[Agent, bool]:
    """The trained agent, and whether it was stopped early."""
    from agents.sb3 import train as sb3
    from agents.sb3.checkpoints import Checkpoints
    from mm_envs.cli.progress import Watch

    # Environment and agent first: what does not fit shall not leave an empty folder behind.
    agent = sb3.make_agent(
        plan.algo,
        plan.setting.make(plan.num_envs),
        seed=plan.seed,
        settings=plan.settings,
        tensorboard=str(plan.out / runs.TENSORBOARD),
        device=plan.setting.device,
        **(plan.policy or {}),
    )
    notes = {"options": plan.options}
    checkpoints = Checkpoints(plan.out / runs.CHECKPOINTS, plan.checkpoint_seconds, notes=notes)
    if not plan.goes_on:
        runs.fresh_folder(plan.out, plan.overwrite)
        # Of an earlier training in this folder: --resume must not go on with that one.
        (plan.out / runs.RUN).unlink(missing_ok=True)
        shutil.rmtree(checkpoints.folder, ignore_errors=True)
    said = f"stopping after this rollout (again: at once); go on with: {plan.go_on}"
    with Watch(plan.title, plan.steps).shown() as watch, stopped_by_interrupts(checkpoints.stop, said):
        try:
            if plan.goes_on:
                sb3.resume(agent, checkpoints, watch)
            else:
                sb3.learn(agent, plan.steps, watch, checkpoints=checkpoints)
        except KeyboardInterrupt:
            if checkpoints.stopping:
                raise
            return agent, True
    return agent, checkpoints.stopping


def _write_curve(plan: Plan, points: Sequence[Progress]) -> dict[str, Path]:
    from mm_envs.cli import curve
    from mm_envs.tasks.scores import baseline_scores

    table, picture = plan.out / runs.CURVE_TABLE, plan.out / runs.CURVE_PICTURE
    curve.write_table(points, table)
    scores = baseline_scores(plan.setting.make(1).task)
    lines = {name: scores[name].mean for name in ("blind", "oracle")}
    curve.draw(points, lines, f"{plan.title}, feedback {plan.options['feedback']}", picture)
    return {"learning curve": picture, "curve as CSV": table}
