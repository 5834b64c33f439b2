"""``mm-envs demo``: the main job, on data that needs no download."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mm_envs.cli import play
from mm_envs.cli.output import console, duration
from mm_envs.cli.settings import setting_of
from mm_envs.cli.train import Train, train

if TYPE_CHECKING:
    from rich.table import Table

    from agents.run import Trained


@dataclass(frozen=True)
class Job:
    """One training of the demonstration.

    Attributes:
        id: The environment.
        about: What it is, for a person.
        steps: Environment steps.
        num_envs: Rows.
        threads: Threads of torch; 0 for its own choice. Small pictures are quicker with one.
    """

    id: str
    about: str
    steps: int
    num_envs: int = 256
    threads: int = 0


JOBS = (
    Job("MMClassify-digits-v0", "real handwritten digits", 40_000, threads=1),
    Job("MMClassify-v0", "the colour of the object that is named", 100_000),
)
_QUICK_STEPS, _EPISODES = 4_096, 1_000


@dataclass(frozen=True)
class Demo:
    """Train PPO on a simulated annotator, on real digits and synthetic scenes, and show what it learned.

    Attributes:
        out: The folder to write to; what is in it from an earlier demonstration is replaced.
        quick: A few seconds of training only: shows that everything runs, and teaches little.
        seed: Decides everything.
    """

    out: Path = Path("demo")
    quick: bool = False
    seed: int = 0

    def run(self) -> int:
        """Trains, evaluates, plays and prints."""
        import torch

        out, begin, done, threads = console(), time.monotonic(), [], torch.get_num_threads()
        for job in JOBS:
            out.print(f"[bold]{job.id}[/]: {job.about}")
            options = Train(
                job.id,
                self.out / job.id,
                steps=_QUICK_STEPS if self.quick else job.steps,
                num_envs=job.num_envs,
                seed=self.seed,
                threads=job.threads or threads,
                eval_episodes=_EPISODES,
                overwrite=True,
            )
            result = train(options)
            if result.interrupted:
                raise KeyboardInterrupt
            done.append(result)
            result.files.update(_pictures(result))
        out.print(_table(done))
        for result in done:
            out.print(f"[bold]{result.plan.setting.id}[/]")
            for name in ("learning curve", "contact sheet", "page"):
                out.print(f"  {name:15} [cyan]{result.files[name]}[/]", soft_wrap=True)
        out.print(
            f"[dim]in {duration(time.monotonic() - begin)}; more: mm-envs list, mm-envs train --help[/]"
        )
        return 0


def _pictures(result: Trained) -> dict[str, Path]:
    from agents.playing import gallery

    setting = setting_of(str(result.plan.out))
    episodes = gallery(setting, "agent", 12, seed=result.plan.seed)
    return play.write(episodes, result.plan.out / "play", setting, "agent", "test")


def _table(done: list[Trained]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from agents.comparison import ORDER

    title = "Trained on the noisy annotator, evaluated on the test split: mean [95 %]"
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
    for heading in ("environment", "policy", "utility (truth)", "reward (annotator)"):
        table.add_column(heading, justify="left" if heading in ("environment", "policy") else "right")
    for result in done:
        assert result.comparison is not None
        for i, name in enumerate(ORDER):
            one = result.comparison.evaluations[name]
            numbers = (str(one.mean_utility), str(one.mean_reward))
            last = name == ORDER[-1]
            table.add_row(
                result.plan.setting.id if i == 0 else "",
                name,
                *numbers,
                style="bold" if name == "trained" else None,
                end_section=last,
            )
    return table
