"""The folder of a training: where things are in it, and the environment that it was trained in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mm_envs.cli.arguments import feedback_arguments, known_id, with_data
from mm_envs.cli.output import console
from mm_envs.names import one_of
from mm_envs.tasks import CONFIGURATIONS
from mm_envs.values import tuples

if TYPE_CHECKING:
    from agents.evaluate import Policy
    from mm_envs.engine.vector import MultimodalVectorEnv

AGENT, RUN, TENSORBOARD, CHECKPOINTS = "agent", "run.json", "tensorboard", "checkpoints"
CONFIG = "config.json"
CURVE_TABLE, CURVE_PICTURE = "curve.csv", "curve.png"


@dataclass(frozen=True)
class Setting:
    """An environment as a command makes it.

    Attributes:
        id: Its id.
        arguments: Its keyword arguments besides those of ``make``.
        agent: The folder of the agent that was trained in it, if there is one.
        device: Where it lives.
    """

    id: str
    arguments: dict[str, Any]
    agent: Path | None = None
    device: str = "cpu"

    def make(self, num_envs: int, **arguments: Any) -> MultimodalVectorEnv:
        """The environment with a number of rows; further arguments win over those kept here."""
        import gymnasium as gym

        kept = {**self.arguments, **arguments}
        envs = gym.make_vec(self.id, num_envs=num_envs, device=self.device, **kept)
        return envs.unwrapped  # type: ignore[return-value]

    def policy(self) -> Policy:
        """The trained agent as a policy.

        Raises:
            ValueError: There is no agent.
        """
        from agents.evaluate import sb3_policy
        from agents.sb3.checkpoint import load, read_config

        if self.agent is None:
            raise ValueError(f"{self.id} is an id and no trained agent: use --policy random, oracle or blind")
        # The agent keeps its own rows, few of them, since its rollout buffer is as long as they are many.
        envs = self.make(1)
        agent = load(self.agent, envs)
        trained = read_config(self.agent).get("dataset")
        now = envs.task.fingerprint()
        if isinstance(trained, dict) and trained.get("fingerprint") not in (None, now):
            note = f"note: the agent was trained on other items ({trained['fingerprint']}) than these ({now})"
            console(json_output=True).print(note, style="yellow", soft_wrap=True)
        return sb3_policy(agent.model)


def setting_of(
    target: str,
    device: str = "cpu",
    feedback: str | None = None,
    data: Path | None = None,
    layout: str | None = None,
) -> Setting:
    """The environment of a folder that ``mm-envs train`` wrote, or of an id.

    Args:
        target: The folder or the id.
        device: Where the environment shall live.
        feedback: Who gives the reward; None for the feedback that the agent was trained on, or the default.
        data: The folder of the files that the items are made of; None for where it was in training.
        layout: How to read it.

    Raises:
        FileNotFoundError: The folder holds no agent, or the data is not there.
        ValueError: It is neither a folder nor an id, or the file of the agent cannot say (or may not say)
            which environment it was trained in.
    """
    checked_device(device)
    judge = {} if feedback is None else feedback_arguments(feedback)
    folder = Path(target)
    if not folder.is_dir():
        if target in CONFIGURATIONS or not ("/" in target or target.startswith(".")):
            return Setting(known_id(target), with_data(judge, data, layout), None, device)
        raise FileNotFoundError(f"folder {target} does not exist: give one that `mm-envs train` wrote")
    from agents.sb3.checkpoint import read_config
    from agents.sb3.environment import stored_environment

    agent = folder / AGENT if (folder / AGENT).is_dir() else folder
    if not (agent / CONFIG).is_file():
        raise FileNotFoundError(f"folder {target} holds no agent: give one that `mm-envs train` wrote")
    name, arguments = stored_environment(read_config(agent), judge.get("feedback"))
    return Setting(name, moved(tuples({**arguments, **judge}), data, layout), agent, device)


def moved(arguments: dict[str, Any], data: Path | None, layout: str | None = None) -> dict[str, Any]:
    """The arguments of a stored environment, its data where it is now.

    Args:
        arguments: As they were stored.
        data: Where the folder of the files is now; None for where it was.
        layout: How to read it now; None for how it was read.

    Raises:
        FileNotFoundError: The folder is not there.
        ValueError: The items were not made of the files of a folder.
    """
    if data is not None or layout is not None:
        if arguments.get("dataset") != "folder":
            name = arguments.get("dataset")
            raise ValueError(f"--data {data}: the agent was trained on {name!r}, which has no folder")
        kept = {
            name: one
            for name, one in arguments.items()
            if name != "path" and not (name == "layout" and layout)
        }
        return with_data(kept, data or Path(str(arguments.get("path"))), layout)
    path = arguments.get("path")
    if arguments.get("dataset") == "folder" and not Path(str(path)).exists():
        raise FileNotFoundError(
            f"{path}, the data of the training, does not exist: say where with --data FOLDER"
        )
    return arguments


def checked_device(device: str) -> None:
    """Refuses a device that is not there.

    Raises:
        ValueError: It is no device, or there is no such accelerator.
    """
    if device == "cpu":
        return
    import torch

    # A build of torch names its accelerator even where there is none.
    there = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    known = ["cpu"] if there is None else ["cpu", there.type]
    try:
        wanted = torch.device(device)
    except RuntimeError:
        raise ValueError(one_of("--device", device, known)) from None
    if wanted.type not in known:
        raise ValueError(f"--device {device}: torch sees no such accelerator here, use --device {known[-1]}")
    count = 1 if there is None or wanted.type == "cpu" else torch.accelerator.device_count()
    if (wanted.index or 0) >= count:
        raise ValueError(f"--device {device}: torch sees {count} of them, counted from 0")


def fresh_folder(folder: Path, overwrite: bool) -> Path:
    """A folder to write into, made if need be.

    Raises:
        FileExistsError: Something is in it already, and overwriting was not asked for.
        NotADirectoryError: It is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file: choose another --out")
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise FileExistsError(f"folder {folder} is not empty: choose another --out, or add --overwrite")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file for people and programs."""
    path.write_text(json.dumps(value, indent=2, default=str) + "\n", encoding="utf-8")
