"""The folder of a training, which is the same for every trainer.

options.json     what the training was asked to do
metrics.jsonl    the learning curve with everything that the trainer logged, one JSON object a point
tensorboard/     the same for TensorBoard
curve.csv        the learning curve as a table; curve.png as a picture
agent/           the policy: policy.safetensors and config.json
episodes.jsonl   tickets, answers and scores of the evaluation
run.json         a summary, written last
checkpoints/     what --resume needs, removed at the end
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch

from agents.acting import AnsweringPolicy, Policy
from agents.agent_folder import load, read_config
from agents.environment import stored_environment
from agents.learning import Callback
from agents.policy_folder import AGENT, CONFIG, is_int8, load_policy
from agents.trainer import Trainer, Update
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.names import one_of
from mm_envs.optional import require
from mm_envs.values import tuples

OPTIONS, METRICS, TENSORBOARD, CHECKPOINTS = "options.json", "metrics.jsonl", "tensorboard", "checkpoints"
CURVE_TABLE, CURVE_PICTURE, EPISODES, RUN = "curve.csv", "curve.png", "episodes.jsonl", "run.json"


@dataclass(frozen=True)
class Setting:
    """An environment, and the agent that was trained in it.

    Attributes:
        id: The id of the environment.
        arguments: Its keyword arguments besides those of ``make``.
        agent: The folder of the agent, if there is one.
        device: Where both live.
    """

    id: str
    arguments: dict[str, Any]
    agent: Path | None = None
    device: str = "cpu"

    def make(self, num_envs: int, **arguments: Any) -> MultimodalVectorEnv:
        """The environment with a number of rows; further arguments win over those kept here."""
        given = {**self.arguments, **arguments}
        envs = gym.make_vec(self.id, num_envs=num_envs, device=self.device, **given)
        return envs.unwrapped  # type: ignore[return-value]

    def policy(self) -> Policy:
        """The policy of the agent, for any number of rows; warns where it was trained on other items.

        Raises:
            ValueError: There is no agent.
        """
        if self.agent is None:
            raise ValueError(f"{self.id} is an id and no trained agent: use --policy random, oracle or blind")
        # One row: a rollout buffer is as long as rows are many.
        envs = self.make(1)
        config, now = read_config(self.agent), envs.task.fingerprint()
        trained = config.get("dataset")
        if isinstance(trained, dict) and trained.get("fingerprint") not in (None, now):
            before = trained["fingerprint"]
            warnings.warn(f"the agent was trained on other items ({before}) than these ({now})", stacklevel=2)
        if is_int8(config):
            return AnsweringPolicy(load_policy(self.agent, envs.task).to(self.device), envs.task)
        return load(self.agent, envs).policy()


def load_run(folder: Path, device: str = "cpu", feedback: Mapping[str, Any] | None = None) -> Setting:
    """The environment and the agent of a folder of ``mm-envs train``, or of an agent.

    Args:
        folder: The folder.
        device: Where both shall live.
        feedback: ``feedback`` and ``feedback_arguments`` instead of those of the training; None for them.

    Raises:
        FileNotFoundError: The folder holds no agent.
        ValueError: The file of the agent cannot say (or may not say) how to make the environment.
    """
    agent, feedback = folder / AGENT if (folder / AGENT).is_dir() else folder, feedback or {}
    if not (agent / CONFIG).is_file():
        raise FileNotFoundError(f"folder {folder} holds no agent: give one that `mm-envs train` wrote")
    name, arguments = stored_environment(read_config(agent), feedback.get("feedback"))
    return Setting(name, tuples({**arguments, **feedback}), agent, device)


def with_moved_data(
    arguments: dict[str, Any], data: Path | None, layout: str | None = None
) -> dict[str, Any]:
    """Arguments of a stored environment with the path and layout of its data now; None for as before.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The items were not made of the files of a folder.
    """
    from_folder = arguments.get("dataset") == "folder"
    if (data is not None or layout is not None) and not from_folder:
        name = arguments.get("dataset")
        raise ValueError(f"--data {data}: the agent was trained on {name!r}, which has no folder")
    if not from_folder:
        return arguments
    path = Path(str(arguments.get("path"))) if data is None else data
    if not path.exists():
        label = f"{path}, the data of the training," if data is None else f"--data {data}"
        raise FileNotFoundError(f"{label} does not exist: say where with --data FOLDER")
    known = {} if layout is None else {"layout": layout}
    return {**arguments, "path": str(path if data is None else path.resolve()), **known}


def checked_device(device: str) -> None:
    """Refuses a device that is not there.

    Raises:
        ValueError: It is no device, or there is no such accelerator.
    """
    if device == "cpu":
        return
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
        FileExistsError: It is a file, or is not empty and overwriting was not asked for.
    """
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file: choose another --out")
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise FileExistsError(f"folder {folder} is not empty: choose another --out, or add --overwrite")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class MetricsCallback(Callback):
    """Writes every point of the learning curve to JSON Lines and TensorBoard.

    A resumed training writes the points of its checkpoint again, and tells TensorBoard to forget later ones.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._written = folder, 0
        self._lines: Any = None
        self._board: Any = None

    def on_start(self, trainer: Trainer) -> None:
        """Opens the files."""
        require("tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        path = str(self._folder / TENSORBOARD)
        self._board = SummaryWriter(path, purge_step=trainer.step + 1 if trainer.step else None)
        self._lines = (self._folder / METRICS).open("w", encoding="utf-8")
        self._write(trainer, board=False)

    def after_update(self, trainer: Trainer, update: Update) -> None:
        """Writes a new point."""
        self._write(trainer)

    def on_end(self, trainer: Trainer) -> None:
        """Writes the last point."""
        self._write(trainer)

    def close(self) -> None:
        """Closes the files."""
        for opened in (self._lines, self._board):
            if opened is not None:
                opened.close()

    def _write(self, trainer: Trainer, board: bool = True) -> None:
        points = trainer.curve.points[self._written :]
        self._written += len(points)
        for point in points:
            record = point.record()
            self._lines.write(json.dumps(record) + "\n")
            if board:
                for name, value in record.items():
                    if name != "step" and value is not None:
                        self._board.add_scalar(_tag(name), value, point.step)
        if points:
            self._lines.flush()


def _tag(name: str) -> str:
    """The name of a number in TensorBoard, in a group."""
    if "/" in name:
        return name
    return f"rollout/{name}" if name in ("reward", "utility") else f"train/{name}"
