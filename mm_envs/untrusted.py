"""Checks of untrusted arguments, which were read from a file or a ticket.

A ``module:attribute`` string runs code when it is resolved, and a path reads or writes on this machine. So
only registered ids, names of our tables and plain values are accepted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mm_envs.data.dataset import DATASETS
from mm_envs.feedback_sources import FEEDBACKS
from mm_envs.names import one_of
from mm_envs.tasks import TASKS
from mm_envs.values import texts

# Arguments that are chosen whenever an environment is made.
OF_THE_CALLER = (
    *("num_envs", "vectorization_mode", "device", "output", "split", "copy", "render_mode"),
    *("autoreset_mode", "group_size", "first_row", "row"),
)
# Arguments that only decide how a dataset is kept on one machine.
OF_THE_MACHINE = ("cache", "memory_gb")
OF_GYMNASIUM = ("wrappers", "vector_kwargs", "entry_point")
TABLES: dict[str, Mapping[str, str]] = {"task": TASKS, "dataset": DATASETS, "feedback": FEEDBACKS}
_RUNS_CODE = re.compile(r"\s*[\w.]+:[\w.]+\s*")


def objection(name: str, value: Any) -> str | None:
    """The reason to refuse an untrusted argument, a value as JSON could hold it; None if it is harmless.

    Example:
        >>> objection("dataset", "digits"), objection("objects", (1, 4))
        (None, None)
        >>> objection("kinds", ["os:system"])
        "'os:system' in kinds, which could run code"
    """
    if not isinstance(name, str) or name in OF_THE_CALLER or name in OF_GYMNASIUM:
        return f"the argument {name}={value!r}, which is not stored"
    if name in TABLES and (not isinstance(value, str) or value not in TABLES[name]):
        return one_of(name, value, TABLES[name])
    for text in texts(value):
        if _RUNS_CODE.fullmatch(text):
            return f"{text!r} in {name}, which could run code"
    return None
