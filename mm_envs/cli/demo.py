"""``mm-envs demo``: the main job, on data that needs no download."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mm_envs.cli import play
from mm_envs.cli.evaluate import comparison_table
from mm_envs.cli.output import console, duration
from mm_envs.cli.settings import setting_of
from mm_envs.cli.train import Train, train

if TYPE_CHECKING:
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
    num_envs: int = 64
    threads: int = 0


JOBS = (
    Job("MMClassify-digits-v0", "real handwritten digits", 80_000, threads=1),
    Job("MMClassify-v0", "the colour of the object that is named", 400_000),
)
_QUICK_STEPS, _EPISODES = 4_096, 1_000


@dataclass(frozen=True)
class Demo:
    """Train RLOO on a simulated annotator, on real digits and synthetic scenes, and show what it learned.

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
        for result in done:
            assert result.comparison is not None
            out.print(comparison_table(result.comparison))
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
