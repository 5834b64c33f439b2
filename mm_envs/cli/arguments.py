"""Arguments of commands: ids, and ``key=value`` pairs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mm_envs.tasks import CONFIGURATIONS
from mm_envs.values import tuples


class UsageError(ValueError):
    """A command lacks an argument that it needs."""


def known_id(name: str) -> str:
    """Returns a registered id.

    Raises:
        ValueError: It is unknown; the message suggests the nearest ones.

    Example:
        >>> known_id("MMVQA-v0")
        'MMVQA-v0'
        >>> known_id("MMVqa-v0")
        Traceback (most recent call last):
        ValueError: id 'MMVqa-v0' is unknown: did you mean MMVQA-v0, ...
    """
    if name in CONFIGURATIONS:
        return name
    lower = {known.lower(): known for known in CONFIGURATIONS}
    near = get_close_matches(name.lower(), lower, n=3, cutoff=0.5)
    advice = f"did you mean {', '.join(lower[one] for one in near)}?" if near else "see `mm-envs list`"
    raise ValueError(f"id {name!r} is unknown: {advice}")


def key_values(pairs: Iterable[str], option: str = "--set") -> dict[str, Any]:
    """Arguments from ``key=value`` pairs; values are JSON or else strings. Lists become tuples.

    Raises:
        ValueError: A pair has no ``=``, or a value begins like JSON and is not.

    Example:
        >>> key_values(["sound=complement", "objects=[1, 4]", "noise=0.5"])
        {'sound': 'complement', 'objects': (1, 4), 'noise': 0.5}
    """
    arguments = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.isidentifier():
            raise ValueError(
                f"{option} {pair} is not key=value: write for instance {option} sound=complement"
            )
        try:
            arguments[key] = tuples(json.loads(text))
        except json.JSONDecodeError as error:
            if text[:1] in ("{", "[", '"'):
                raise ValueError(f"{option} {pair} is not JSON after the '=': {error}") from None
            arguments[key] = text
    return arguments


def dotted_values(pairs: Iterable[str], option: str) -> dict[str, Any]:
    """``key_values`` in which ``outer.key=value`` is an entry of the dict ``outer``.

    Raises:
        ValueError: As ``key_values``, or ``outer`` is given as something else, too.

    Example:
        >>> dotted_values(["features=64", "encoders.image=resnet18", "encoders.audio=cnn"], "--policy")
        {'features': 64, 'encoders': {'image': 'resnet18', 'audio': 'cnn'}}
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        outer, dot, rest = pair.partition(".")
        if not dot or "=" in outer:
            found |= key_values([pair], option)
            continue
        inner = found.setdefault(outer, {})
        if not isinstance(inner, dict):
            raise ValueError(f"{option} {pair} and {option} {outer}={inner} exclude each other: give one")
        inner |= key_values([rest], f"{option} {outer}.")
    return found


class ByDefault:
    """Marks the default of an option, to distinguish it from the same value given by the user."""


class _Whole(int, ByDefault):
    pass


class _Text(str, ByDefault):
    pass


def by_default(value: Any) -> Any:
    """A number or text that equals this one and that ``is_given`` recognises as a default.

    Example:
        >>> by_default(256) == 256, is_given(by_default(256)), is_given(256)
        (True, False, True)
    """
    return _Whole(value) if isinstance(value, int) else _Text(value)


def is_given(value: Any) -> bool:
    """Whether the value of an option was given by the user."""
    return not (value is None or value == () or isinstance(value, ByDefault))


def with_data(arguments: dict[str, Any], data: Path | None, layout: str | None = None) -> dict[str, Any]:
    """The arguments of an environment whose items come from a folder.

    Args:
        arguments: Its other arguments.
        data: The folder; None for no change.
        layout: The layout of the folder; None to detect it.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: The arguments name another dataset, or there is a layout and no data.

    Example:
        >>> with_data({"noise": 0.5}, None)
        {'noise': 0.5}
    """
    if data is None:
        if layout is not None:
            raise ValueError(f"--layout {layout} says how to read the folder of --data, which is missing")
        return arguments
    for name in ("dataset", "path", *(("layout",) if layout else ())):
        if name in arguments and (name, arguments[name]) != ("dataset", "folder"):
            raise ValueError(f"--set {name}={arguments[name]} and --data {data} exclude each other: give one")
    if not data.exists():
        raise FileNotFoundError(f"--data {data} does not exist: give the folder that holds the files")
    kind = {} if layout is None else {"layout": layout}
    return {**arguments, "dataset": "folder", "path": str(data.resolve()), **kind}


LEARNED = "reward_model"


def feedback_arguments(feedback: str) -> dict[str, Any]:
    """The arguments of an environment that choose its feedback.

    ``reward_model:FOLDER`` is a folder that ``mm-envs feedback fit`` wrote; nothing in it runs code.

    Args:
        feedback: The value of ``--feedback``.

    Raises:
        FileNotFoundError: The folder does not exist.

    Example:
        >>> feedback_arguments("truth"), list(feedback_arguments("reward_model:."))
        ({'feedback': 'truth'}, ['feedback', 'feedback_arguments'])
    """
    name, colon, folder = feedback.partition(":")
    if name != LEARNED or not colon:
        return {"feedback": feedback}
    if not Path(folder).is_dir():
        raise FileNotFoundError(
            f"--feedback {feedback}: there is no folder {folder}: give one that `mm-envs feedback fit` wrote"
        )
    return {"feedback": LEARNED, "feedback_arguments": {"path": str(Path(folder).resolve())}}


def runs_code(feedback: str) -> bool:
    """Whether the value of ``--feedback`` is a ``module:attribute`` of the user.

    Example:
        >>> runs_code("my_feedback:Brevity"), runs_code("reward_model:folder"), runs_code("truth")
        (True, False, False)
    """
    name, colon, _ = feedback.partition(":")
    return bool(colon) and name != LEARNED
