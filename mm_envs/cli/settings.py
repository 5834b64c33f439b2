"""The environment that a command is about: of a folder that ``mm-envs train`` wrote, or of an id."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mm_envs.cli.arguments import feedback_arguments, known_id, with_data
from mm_envs.tasks import CONFIGURATIONS

if TYPE_CHECKING:
    from agents.run_folder import Setting


def setting_of(
    target: str,
    device: str = "cpu",
    feedback: str | None = None,
    data: Path | None = None,
    layout: str | None = None,
) -> Setting:
    """The environment of a folder or of an id.

    Args:
        target: The folder or the id.
        device: Where the environment shall live.
        feedback: What was given to ``--feedback``; None for that of the training, or the default.
        data: The folder of the files that the items are made of; None for where it was in training.
        layout: How to read it.

    Raises:
        FileNotFoundError: The folder holds no agent, or the data is not there.
        ValueError: It is neither a folder nor an id, or the file of the agent cannot say (or may not say)
            which environment it was trained in.
    """
    from agents.run_folder import Setting, checked_device, load_run, with_moved_data

    checked_device(device)
    given = {} if feedback is None else feedback_arguments(feedback)
    if Path(target).is_dir():
        run = load_run(Path(target), device, given)
        return Setting(run.id, with_moved_data(run.arguments, data, layout), run.agent, device)
    if target in CONFIGURATIONS or target.startswith("MM"):
        return Setting(known_id(target), with_data(given, data, layout), None, device)
    raise FileNotFoundError(
        f"{target} is neither a folder that `mm-envs train` wrote nor an id of `mm-envs list`"
    )
