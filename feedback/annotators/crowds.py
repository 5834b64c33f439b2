"""Pools from a few words, from plain values and from JSON files."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from feedback.annotators.pool import AnnotatorPool
from feedback.annotators.simulated import SimulatedAnnotator
from feedback.annotators.teachers import ANNOTATORS, make_annotator
from mm_envs.names import refuse_unknown
from mm_envs.random import purpose
from mm_envs.tasks.task import Task
from mm_envs.values import tuples

_PART = re.compile(r"\s*(\d{1,6})\s+([a-z]+)\s*")
_POOL = ("members", "votes", "seed")
_MAX_MEMBERS = 10_000
# The mistakes of good annotators in a crowd, from the best to the worst.
_GOOD = (0.05, 0.25)


def make_pool(
    spec: str | Path | Mapping[str, Any], task: Task, votes: int | None = None, seed: int | None = None
) -> AnnotatorPool:
    """The pool of annotators that a specification describes.

    Members of a kind are called ``good-0``, ``good-1`` and so on, each with a seed of its own. The mistakes
    of several good ones are spread evenly over 5 to 25 %, unless they are given.

    Args:
        spec: Numbers and kinds of ``ANNOTATORS``, as in "7 good, 4 coin, 1 adversary"; one kind; the path of
            a JSON file; or its content: ``{"members": [{"kind": "good", "count": 7, ...}, ...], "votes": 1,
            "seed": 0}``, where further entries of a member are arguments of ``SimulatedAnnotator``.
        task: The task whose answers are judged.
        votes: How many distinct members are asked about each pair; None: as specified, or 1.
        seed: Decides all draws of the pool and its members; None: as specified, or 0.

    Raises:
        ValueError: The specification is wrong; the message names the file, if it is one.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> make_pool("2 good, 1 coin", make_task("classify", dataset="digits")).names
        ('good-0', 'good-1', 'coin')
    """
    source = "pool"
    if isinstance(spec, Path) or (isinstance(spec, str) and spec.endswith(".json")):
        source, spec = str(spec), _read(Path(spec))
    elif isinstance(spec, str):
        spec = {"members": [{"kind": spec}] if spec in ANNOTATORS else _counted(spec)}
    try:
        return _built(spec, task, votes, seed)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def _counted(text: str) -> list[dict[str, Any]]:
    members = []
    for part in text.split(","):
        found = _PART.fullmatch(part)
        if not found:
            raise ValueError(
                f"pool {text!r:.80}: {part.strip()!r:.40} is no number with a kind: write '7 good, 4 coin', "
                "or the path of a .json file"
            )
        members.append({"kind": found[2], "count": int(found[1])})
    return members


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}): give the path of a JSON file") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}, line {error.lineno}: is no JSON: {error.msg}") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{str(path)!r}: is no JSON text") from None


def _built(spec: Any, task: Task, votes: int | None, seed: int | None) -> AnnotatorPool:
    if not isinstance(spec, Mapping):
        raise ValueError("is no object: give {'members': [...]}")
    refuse_unknown("the pool", spec, _POOL)
    members = spec.get("members")
    if not isinstance(members, (list, tuple)) or not all(isinstance(one, Mapping) for one in members):
        raise ValueError(f"members={members!r:.60} is no list of objects: give [{{'kind': 'good'}}, ...]")
    votes = _whole("votes", spec.get("votes", 1)) if votes is None else votes
    seed = _whole("seed", spec.get("seed", 0)) if seed is None else seed
    everyone: list[SimulatedAnnotator] = []
    alike = Counter(str(one.get("kind")) for one in members)
    for number, one in enumerate(members):
        group = number if alike[str(one.get("kind"))] > 1 and "name" not in one else None
        try:
            everyone += _alike(dict(one), task, seed, len(everyone), group)
        except ValueError as error:
            raise ValueError(f"member {number}: {error}") from error
    return AnnotatorPool(everyone, votes, seed)


def _alike(
    member: dict[str, Any], task: Task, seed: int, start: int, group: int | None
) -> list[SimulatedAnnotator]:
    """The annotators that one entry describes."""
    kind, count = member.pop("kind", None), _whole("count", member.pop("count", 1))
    if not isinstance(kind, str):
        raise ValueError(f"kind={kind!r} is no name: choose one of {', '.join(ANNOTATORS)}")
    if not 0 <= count <= _MAX_MEMBERS:
        raise ValueError(f"count={count} is not within 0 to {_MAX_MEMBERS}")
    name = member.pop("name", kind if group is None else f"{kind}-{group}")
    if not isinstance(name, str) or not name:
        raise ValueError(f"name={name!r} is no text")
    arguments = {key: _number(key, tuples(value)) for key, value in member.items()}
    made = []
    for number in range(count):
        own = dict(arguments)
        if kind == "good" and count > 1 and "mistakes" not in own:
            own["mistakes"] = _GOOD[0] + (_GOOD[1] - _GOOD[0]) * number / (count - 1)
        if "seed" not in own:
            own["seed"] = purpose(f"member {start + number} of {seed}")
        elif count > 1:  # each has noise of its own
            own["seed"] = purpose(f"one {number} of {own['seed']}")
        called = name if count == 1 else f"{name}-{number}"
        made.append(make_annotator(kind, task, name=called, **own))
    return made


def _number(name: str, value: Any) -> Any:
    """A value of a member: numbers are numbers; only biases are something else."""
    if name == "biases":
        if not isinstance(value, tuple) or not all(isinstance(one, Mapping) for one in value):
            raise ValueError(f"biases={value!r:.60} is no list of objects: give [{{'kind': 'blind', ...}}]")
        return value
    if value == "infinity" and name in ("rationality", "fatigue"):
        return float("inf")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name}={value!r:.60} is no number")
    if name in ("seed", "levels"):
        return _whole(name, value)
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name}={value!r:.40} is too large") from None


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name}={value!r:.60} is no whole number")
    return value
