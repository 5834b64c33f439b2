"""Annotators by name: B-Pref's six teachers, and some common characters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feedback.annotators.simulated import SimulatedAnnotator
from mm_envs.names import check_one_of, keywords, refuse_unknown
from mm_envs.tasks.task import Task

TEACHERS: dict[str, Mapping[str, Any]] = {
    "oracle": {},
    "mistake": {"mistakes": 0.1},
    "noisy": {"rationality": 1.0},
    "skip": {"skip": 0.1},
    "myopic": {"biases": ({"kind": "myopic", "gamma": 0.9},)},
    "equal": {"equal": 0.1},
}
"""The teachers of Lee et al., "B-Pref: Benchmarking Preference-Based Reinforcement Learning" (2021).

Thresholds and rationality are relative to the pinned spread of utility, not to returns that were met so far.
"""

CHARACTERS: dict[str, Mapping[str, Any]] = {
    "good": {"rationality": 8.0, "mistakes": 0.1},
    "careless": {"rationality": 2.0, "mistakes": 0.2},
    "coin": {"rationality": 0.0},
    "adversary": {"rationality": 8.0, "mistakes": 0.8},
    "hasty": {"rationality": 4.0, "position": 1.5},
    "tired": {"rationality": 8.0, "fatigue": 200.0},
    "verbose": {"rationality": 8.0, "biases": ({"kind": "length", "strength": 2.0},)},
}
"""People as they are met in crowds; ``good`` ones in a pool have mistakes spread over 5 to 25 %."""

ANNOTATORS: dict[str, Mapping[str, Any]] = {**TEACHERS, **CHARACTERS}


def make_annotator(kind: str, task: Task, /, **arguments: Any) -> SimulatedAnnotator:
    """The annotator of a name of ``ANNOTATORS``; ``arguments`` win over those of the table.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> make_annotator("mistake", make_task("classify", dataset="digits")).decision.mistakes
        0.1
    """
    check_one_of("annotator", kind, ANNOTATORS)
    known = [name for name in keywords(SimulatedAnnotator)[0] if name != "task"]
    refuse_unknown(f"annotator {kind!r}", arguments, known)
    return SimulatedAnnotator(task, **{"name": kind, **ANNOTATORS[kind], **arguments})
