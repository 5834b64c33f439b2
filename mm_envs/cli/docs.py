"""``mm-envs docs``: the pages of docs/ that are made from the code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mm_envs.cli.output import console, print_json
from mm_envs.cli.threads import torch_threads
from mm_envs.names import resolve
from mm_envs.tasks import CONFIGURATIONS

if TYPE_CHECKING:
    from mm_envs.tasks.scores import Score

# Pages that are written by hand.
WRITTEN = {
    "own_data.md": "bring your own data in five minutes",
    "public_sets.md": "public sets: where they can be had, and under which licence",
    "writing_a_task.md": "write a task of your own",
    "tickets_and_resume.md": "any episode back, and any training",
    "human_feedback.md": "human feedback, from the first label to the agent",
    "annotators.md": "simulated annotators, and how to write one",
    "benchmarks.md": "benchmarks, each with its command",
}
_COLOURS = 128


@dataclass(frozen=True)
class Docs:
    """Write the documentation pages of all environments, with pictures of real episodes.

    Attributes:
        out: The folder to write into.
        pictures: Whether to draw the pictures, too.
        json: Print JSON.
    """

    out: Path = Path("docs")
    pictures: bool = True
    json: bool = False

    def run(self) -> int:
        """Writes the pages."""
        with torch_threads(1):
            pages = texts(scores_of)
            pictures = draw(self.out / "pictures") if self.pictures else []
        for name, text in pages.items():
            path = self.out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        if self.json:
            print_json({"pages": list(pages), "pictures": [str(path) for path in pictures]})
        else:
            console().print(f"{len(pages)} pages and {len(pictures)} pictures in [cyan]{self.out}[/]")
        return 0


def scores_of(name: str) -> dict[str, Score]:
    """The scores of the policies that need no learning, of one id."""
    from mm_envs.cli.pages import task_of
    from mm_envs.tasks.scores import baseline_scores

    return baseline_scores(task_of(name))


def texts(scores: Callable[[str], dict[str, Score] | None]) -> dict[str, str]:
    """Every page that is made from the code, by its path within the folder.

    Args:
        scores: Gives the scores of an id, or None to leave them out.
    """
    from mm_envs.cli import pages
    from mm_envs.data.dataset import DATASETS
    from mm_envs.feedback_sources import FEEDBACKS

    datasets = {name: resolve("dataset", name, DATASETS) for name in DATASETS}
    judges: dict[str, Any] = {name: resolve("feedback", name, FEEDBACKS) for name in FEEDBACKS}
    return {
        "README.md": pages.index_page(WRITTEN),
        "gallery.md": pages.gallery_page(),
        "datasets.md": pages.reference_page(
            "Datasets", 'Where items come from: `gym.make("MMClassify-v0", dataset=NAME, ...)`.', datasets
        ),
        "feedback.md": pages.reference_page(
            "Feedback",
            "Who gives the reward: `gym.make(ID, feedback=NAME, feedback_arguments={...})`. The utility "
            "beside it is always the truth.",
            judges,
        ),
        **{f"environments/{name}.md": pages.environment_page(name, scores(name)) for name in CONFIGURATIONS},
    }


def draw(folder: Path) -> list[Path]:
    """Draws an episode of every id; a palette keeps the files small."""
    from mm_envs.cli.pages import episode_of

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in CONFIGURATIONS:
        paths.append(folder / f"{name}.png")
        episode_of(name).card().quantize(_COLOURS).save(paths[-1], optimize=True)
    return paths
