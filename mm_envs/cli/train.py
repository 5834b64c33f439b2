"""``mm-envs train``: an agent of Stable-Baselines3 learns from feedback."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from mm_envs.cli import runs
from mm_envs.cli.arguments import key_values, known_id
from mm_envs.cli.comparison import Comparison, compare
from mm_envs.cli.output import console, duration, print_json
from mm_envs.cli.threads import torch_threads
from mm_envs.names import at_least

if TYPE_CHECKING:
    from agents.sb3.progress import Progress
    from agents.sb3.train import Agent


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


@dataclass(frozen=True)
class Train:
    """Train an agent of Stable-Baselines3 on feedback, and evaluate it on held-out items.

    Writes the agent, the learning curve (CSV and PNG), a TensorBoard log and a summary into a folder. Ctrl-C
    stops the training and saves what is there.

    Attributes:
        id: Which environment; see mm-envs list.
        out: The folder to write to.
        algo: The algorithm.
        steps: Environment steps, all rows counted.
        num_envs: Rows of the environment.
        seed: Decides initial weights, exploration, episodes and noise.
        feedback: Who gives the reward: rater, truth, accuracy, token_f1, or module:attribute.
        set: An argument of the environment as key=value with a JSON value; may be repeated.
        device: Where environment and agent live: cpu or cuda.
        threads: Threads of torch; 0 for its own choice. On a busy machine one is often the quickest.
        eval_episodes: Items of the test split to evaluate on, at most; 0 for no evaluation.
        overwrite: Write into a folder that is not empty.
        json: Print one JSON object at the end, and progress on standard error.
    """

    id: tyro.conf.Positional[str]
    out: Path
    algo: Literal["ppo", "a2c", "dqn"] = "ppo"
    steps: int = 100_000
    num_envs: int = 256
    seed: int = 0
    feedback: str = "rater"
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    device: str = "cpu"
    threads: int = 0
    eval_episodes: int = 1000
    overwrite: bool = False
    json: bool = False

    def run(self) -> int:
        """Trains, evaluates and prints."""
        result = train(self)
        out = console(self.json)
        if self.json:
            print_json(result.summary())
            return 130 if result.interrupted else 0
        if result.comparison is not None:
            out.print(result.comparison.table())
        took = f"{result.steps:,} steps in {duration(result.seconds)}"
        out.print(f"[bold]{'stopped after' if result.interrupted else 'trained'}[/] {took}")
        for name, path in result.files.items():
            out.print(f"  {name:15} [cyan]{path}[/]", soft_wrap=True)
        out.print(f"[dim]next: mm-envs play {self.out}[/]", soft_wrap=True)
        return 130 if result.interrupted else 0


@dataclass(frozen=True)
class Trained:
    """What a training left.

    Attributes:
        options: What was asked for.
        steps: Environment steps that were done.
        seconds: Time of the training, without evaluation.
        interrupted: Whether it was stopped early.
        points: The learning curve.
        comparison: The agent beside the policies that need no learning; None if it was not evaluated.
        files: What was written, by name.
    """

    options: Train
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
            **{key: value for key, value in asdict(self.options).items() if key not in ("json", "overwrite")},
            "steps": self.steps,
            "seconds": round(self.seconds, 3),
            "interrupted": self.interrupted,
            "final": {"reward": last.reward, "utility": last.utility} if last else None,
            "evaluation": self.comparison.to_dict() if self.comparison else None,
            "files": {name: str(path) for name, path in self.files.items()},
        }


def train(options: Train) -> Trained:
    """Trains as the options say and writes the folder.

    Raises:
        ValueError: An option does not fit.
        FileExistsError: The folder is not empty.
    """
    _check(options)
    with torch_threads(options.threads):
        return _train(options, _setting(options))


def _train(options: Train, setting: runs.Setting) -> Trained:
    agent, points, interrupted, seconds = _learn(options, setting)
    files = {"agent": options.out / runs.AGENT, "TensorBoard": options.out / runs.TENSORBOARD}
    from agents.sb3.checkpoint import save

    save(agent, files["agent"])
    comparison = None
    if options.eval_episodes and not interrupted:
        setting = runs.Setting(setting.id, setting.arguments, files["agent"], options.device)
        with console(json_output=True).status("evaluating on the test split"):
            comparison = compare(setting, options.eval_episodes)
    files |= _write_curve(options, setting, points)
    files["summary"] = options.out / runs.RUN
    steps = agent.model.num_timesteps
    result = Trained(options, steps, seconds, interrupted, points, comparison, files)
    runs.write_json(files["summary"], result.summary())
    return result


def _check(options: Train) -> None:
    at_least("--steps", options.steps, 1)
    at_least("--num-envs", options.num_envs, 1)
    at_least("--threads", options.threads, 0)
    at_least("--eval-episodes", options.eval_episodes, 0)
    runs.checked_device(options.device)


def _setting(options: Train) -> runs.Setting:
    arguments = key_values(options.set)
    for name, cure in _RESERVED.items():
        if name in arguments:
            raise ValueError(f"--set {name}={arguments[name]} is not for --set: {cure}")
    arguments["feedback"] = options.feedback
    return runs.Setting(known_id(options.id), arguments, device=options.device)


def _learn(options: Train, setting: runs.Setting) -> tuple[Agent, list[Progress], bool, float]:
    from agents.sb3.train import learn, make_agent
    from mm_envs.cli.progress import Watch

    # Environment and agent first: what does not fit shall not leave an empty folder behind.
    envs, log = setting.make(options.num_envs), str(options.out / runs.TENSORBOARD)
    agent = make_agent(options.algo, envs, seed=options.seed, tensorboard=log, device=options.device)
    runs.fresh_folder(options.out, options.overwrite)
    begin, interrupted = time.monotonic(), False
    with Watch(f"{options.algo.upper()} on {options.id}", options.steps).shown() as watch:
        try:
            learn(agent, options.steps, watch)
        except KeyboardInterrupt:
            interrupted = True
    return agent, watch.points, interrupted, time.monotonic() - begin


def _write_curve(options: Train, setting: runs.Setting, points: Sequence[Progress]) -> dict[str, Path]:
    from mm_envs.cli import curve
    from mm_envs.tasks.scores import baseline_scores

    table, picture = options.out / runs.CURVE_TABLE, options.out / runs.CURVE_PICTURE
    curve.write_table(points, table)
    scores = baseline_scores(setting.make(1).task)
    lines = {name: scores[name].mean for name in ("blind", "oracle")}
    curve.draw(points, lines, f"{options.algo.upper()} on {options.id}, feedback {options.feedback}", picture)
    return {"learning curve": picture, "curve as CSV": table}
