"""The environment whose items are labelled, from what a user typed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mm_envs.cli.arguments import key_values, known_id, with_data

if TYPE_CHECKING:
    from agents.run_folder import Setting


def setting_of(name: str, given: Sequence[str], data: Path | None, layout: str | None) -> Setting:
    """The environment of an id and its arguments.

    Args:
        name: Its id.
        given: Arguments as ``key=value``.
        data: The folder that its items are made of.
        layout: How to read it.

    Raises:
        ValueError: There is no such id, or an argument is none.
    """
    from agents.run_folder import Setting
    from mm_envs.untrusted import OF_GYMNASIUM, OF_THE_CALLER

    arguments = key_values(given)
    for key in arguments:
        if key in (*OF_THE_CALLER, *OF_GYMNASIUM, "feedback", "feedback_arguments", "reward"):
            raise ValueError(f"--set {key}={arguments[key]} is not for --set: it decides nothing here")
    return Setting(known_id(name), with_data(arguments, data, layout))
