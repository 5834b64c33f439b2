"""``mm-envs list``: what there is, and how far one gets without learning."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mm_envs.cli.output import console, print_json
from mm_envs.cli.threads import torch_threads
from mm_envs.names import at_least
from mm_envs.tasks import CONFIGURATIONS

if TYPE_CHECKING:
    import gymnasium as gym
    from rich.table import Table

    from mm_envs.tasks import Task

_NOTE = (
    "blind, random, oracle: mean utility (the truth, from 0 to 1) of policies that need no learning, on the "
    "validation split. blind gives the best answer that ignores every picture and sound."
)


@dataclass(frozen=True)
class List:
    """List every environment id, with the utility of the blind, the random and the oracle policy.

    Attributes:
        json: Print JSON instead of a table.
        items: How many items of the validation split the policies are scored on.
    """

    json: bool = False
    items: int = 1000

    def run(self) -> int:
        """Prints the table."""
        at_least("--items", self.items, 1, "score on at least one item")
        out = console(self.json)
        waiting = out.status("scoring the policies that need no learning")
        with torch_threads(1), waiting if out.is_terminal else nullcontext():
            entries = [_entry(name, self.items) for name in CONFIGURATIONS]
        if self.json:
            print_json(entries)
        else:
            for task, about in {entry["task"]: entry["about"] for entry in entries}.items():
                out.print(f" [bold]{task}[/]: {about}", soft_wrap=True)
            out.print(_table(entries))
            out.print(_NOTE, style="dim")
        return 0


def _entry(name: str, items: int) -> dict[str, Any]:
    from mm_envs.tasks import make_task
    from mm_envs.tasks.scores import baseline_scores

    arguments = {key: value for key, value in CONFIGURATIONS[name].items() if key != "task"}
    task = make_task(CONFIGURATIONS[name]["task"], **arguments)
    observation, actions = task.observation_space, task.action_space
    return {
        "id": name,
        "task": CONFIGURATIONS[name]["task"],
        "about": (type(task).__doc__ or "").partition("\n")[0],
        "arguments": dict(CONFIGURATIONS[name]),
        "observation": {key: _size(space) for key, space in observation.spaces.items()},
        "observation_space": repr(observation),
        "action_space": repr(actions),
        "actions": _actions(task),
        "horizon": task.horizon,
        "items": {split: len(indices) for split, indices in task.dataset.splits.items()},
        "utility": {key: asdict(score) for key, score in baseline_scores(task, items).items()},
    }


def _size(space: gym.Space[Any]) -> str:
    """An entry of an observation in a few characters."""
    from mm_envs.spaces import Audio, Tokens

    shape = "x".join(str(side) for side in space.shape or ())
    if isinstance(space, Tokens):
        return f"{shape} of {len(space.vocabulary)} words"
    if isinstance(space, Audio):
        return f"{shape} samples at {space.sample_rate} Hz"
    return shape


def _actions(task: Task) -> str:
    import gymnasium as gym

    space = task.action_space
    if isinstance(space, gym.spaces.Discrete):
        return f"{int(space.n)} {'words' if task.state_spaces else 'choices'}"
    return f"{'x'.join(map(str, space.shape or ()))} numbers"


def _table(entries: list[dict[str, Any]]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("environment", "sees", "action"):
        table.add_column(heading, no_wrap=heading != "sees", min_width=8)
    for heading in ("steps", "blind", "random", "oracle"):
        table.add_column(heading, justify="right", no_wrap=True)
    for i, entry in enumerate(entries):
        arguments = [f"{key}={value}" for key, value in entry["arguments"].items() if key != "task"]
        name = f"[bold]{entry['id']}[/]" + "".join(f"\n[dim]{escape(one)}[/]" for one in arguments)
        observation = " ".join(key for key in entry["observation"] if not key.endswith("_length"))
        scores = [f"{score['mean']:.2f}" for score in entry["utility"].values()]
        last = i + 1 == len(entries) or entries[i + 1]["task"] != entry["task"]
        table.add_row(name, observation, entry["actions"], str(entry["horizon"]), *scores, end_section=last)
    return table
