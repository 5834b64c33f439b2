"""The environment of an agent in a file, which is untrusted input when it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mm_envs.feedback_sources import FEEDBACKS
from mm_envs.names import one_of
from mm_envs.tasks import CONFIGURATIONS
from mm_envs.untrusted import OF_THE_CALLER, OF_THE_MACHINE, objection

NOT_STORED = (*OF_THE_CALLER, *OF_THE_MACHINE)
_IN_PYTHON = "make the environment yourself in Python and load the agent into it"


def describe_environment(envs: object) -> dict[str, Any]:
    """What makes an environment again, where it was made by its id: ``id``, ``kwargs`` and ``not_stored``.

    ``not_stored`` names the arguments that JSON cannot hold (a feedback that is an object, for instance).
    """
    spec = getattr(getattr(envs, "unwrapped", None), "spec", None)
    if spec is None:
        return {}
    arguments = {name: value for name, value in spec.kwargs.items() if name not in NOT_STORED}
    kwargs = {name: value for name, value in arguments.items() if _plain(value)}
    return {"id": spec.id, "kwargs": kwargs, "not_stored": sorted(set(arguments) - set(kwargs))}


def stored_environment(config: Mapping[str, Any], feedback: str | None = None) -> tuple[str, dict[str, Any]]:
    """The id and the arguments that make the environment of an agent again.

    A file is untrusted, and ``module:attribute`` strings run code. So only registered ids and the
    names of the tables of tasks, datasets and feedback are accepted from it.

    Args:
        config: What ``read_config`` returned.
        feedback: Who gives the reward, instead of what the file says: a name, or ``module:attribute`` of the
            user's own.

    Raises:
        ValueError: The file names something else, or could not hold an argument that is needed.

    Example:
        >>> stored_environment({"environment": {"id": "MMVQA-v0", "kwargs": {"feedback": "truth"}}})
        ('MMVQA-v0', {'feedback': 'truth'})
    """
    made = config.get("environment")
    if not isinstance(made, Mapping) or "id" not in made:
        raise ValueError(f"the agent was not trained in an environment made by its id: {_IN_PYTHON}")
    if not isinstance(made["id"], str) or made["id"] not in CONFIGURATIONS:
        raise ValueError(f"{_stored(one_of('id', made['id'], CONFIGURATIONS))}: {_IN_PYTHON}")
    kwargs, missing = made.get("kwargs", {}), {str(name) for name in made.get("not_stored", ())}
    if not isinstance(kwargs, Mapping):
        raise ValueError(f"{_stored(f'kwargs={kwargs!r}')}, which are no arguments: {_IN_PYTHON}")
    if feedback is not None:
        about = ("feedback", "feedback_arguments")
        kwargs = {name: value for name, value in kwargs.items() if name not in about}
        kwargs["feedback"] = feedback
        missing -= set(about)
    if missing:
        name = min(missing)
        raise ValueError(
            f"the agent was trained with an object as {name}, which a file cannot hold: {_cure(name)}"
        )
    for name, value in kwargs.items():
        if name != "feedback" or feedback is None:
            _check(name, value)
    return made["id"], dict(kwargs)


def _check(name: str, value: Any) -> None:
    """Refuses an argument that is more than a value."""
    own = f"the argument {name}={value!r}, which is not stored" if name in OF_THE_MACHINE else None
    wrong = own or objection(name, value)
    if wrong is not None:
        cure = _IN_PYTHON if name in NOT_STORED else _cure(name)
        raise ValueError(f"{_stored(wrong)}: {cure}")


def _stored(message: str) -> str:
    return f"config.json of the agent says {message}"


def _cure(name: str) -> str:
    if name in ("feedback", "feedback_arguments"):
        return f"give --feedback NAME, for instance {', '.join(FEEDBACKS)}, or {_IN_PYTHON}"
    return _IN_PYTHON


def _plain(value: Any) -> bool:
    """Whether JSON can hold a value."""
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
