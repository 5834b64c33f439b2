"""What a user types: ids, and arguments as ``key=value``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from mm_envs.tasks import CONFIGURATIONS
from mm_envs.values import tuples


def known_id(name: str) -> str:
    """The id, if it is one.

    Raises:
        ValueError: It is not; the message suggests the nearest ones.

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


def key_values(pairs: Iterable[str]) -> dict[str, Any]:
    """Arguments from ``key=value`` words; a value is read as JSON, or else is a string. Lists become tuples.

    Raises:
        ValueError: A word has no ``=``, or a value begins like JSON and is not.

    Example:
        >>> key_values(["sound=complement", "objects=[1, 4]", "noise=0.5"])
        {'sound': 'complement', 'objects': (1, 4), 'noise': 0.5}
    """
    arguments = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.isidentifier():
            raise ValueError(f"--set {pair} is not key=value: write for instance --set sound=complement")
        try:
            arguments[key] = tuples(json.loads(text))
        except json.JSONDecodeError as error:
            if text[:1] in ("{", "[", '"'):
                raise ValueError(f"--set {pair} is not JSON after the '=': {error}") from None
            arguments[key] = text
    return arguments
