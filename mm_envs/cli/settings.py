"""The environment that a command is about: of a folder that ``mm-envs train`` wrote, or of an id."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from mm_envs.cli.arguments import feedback_arguments, key_values, known_id, with_data
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


def reward_model_setting(folder: Path, data: Path | None = None, layout: str | None = None) -> Setting | None:
    """The environment whose answers the reward model of a folder scores; None if it holds no reward model.

    Args:
        folder: A folder that ``mm-envs feedback fit`` may have written.
        data: The folder of the files that the items are made of; None for where it was.
        layout: How to read it.

    Raises:
        ValueError: The folder does not say which environment, or may not say it.
    """
    from agents.environment import stored_environment
    from agents.run_folder import Setting, with_moved_data
    from feedback.reports.fit import SUMMARY
    from feedback.reward_models.store import is_reward_model

    if not is_reward_model(folder):
        return None
    try:
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        name, pairs = summary["id"], [str(one) for one in summary["set"]]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise ValueError(
            f"{folder / SUMMARY} does not say which environment the reward model is for: give a folder of "
            "mm-envs feedback fit"
        ) from None
    known = stored_environment({"environment": {"id": name, "kwargs": key_values(pairs)}})
    return Setting(known[0], with_moved_data(known[1], data, layout))
