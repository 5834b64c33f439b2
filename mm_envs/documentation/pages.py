"""One page for each environment id, and an index of all ids."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

import gymnasium as gym

from mm_envs.optional import require
from mm_envs.spaces import Audio, Tokens
from mm_envs.tasks import CONFIGURATIONS, make_task

if TYPE_CHECKING:
    from jinja2 import Environment

    from mm_envs.tasks import Task
    from mm_envs.tasks.scores import Score

GENERATED = "environments"
# Scores take seconds an id; a test compares the text between these markers on its own.
SCORES, END_OF_SCORES = "<!-- scores -->", "<!-- end of scores -->"


def task_of(name: str) -> Task:
    """The task of a registered id."""
    return make_task(**CONFIGURATIONS[name])


def summary_of(thing: object) -> str:
    """First line of the docstring of an object's class."""
    return (inspect.getdoc(type(thing)) or "").partition("\n")[0]


def baselines_of(name: str, items: int | None = None) -> dict[str, Score]:
    """Scores of the blind, the random and the oracle policy on held-out items of a registered id."""
    from mm_envs.tasks.scores import baseline_scores

    task = task_of(name)
    return baseline_scores(task) if items is None else baseline_scores(task, items)


def describe(name: str, items: int) -> dict[str, Any]:
    """Facts about a registered id as JSON values, with the scores of baselines on ``items`` items."""
    task = task_of(name)
    return {
        "id": name,
        "task": CONFIGURATIONS[name]["task"],
        "about": summary_of(task),
        "arguments": dict(CONFIGURATIONS[name]),
        "observation": {key: _size(space) for key, space in task.observation_space.spaces.items()},
        "observation_space": repr(task.observation_space),
        "action_space": repr(task.action_space),
        "actions": _actions(task),
        "horizon": task.horizon,
        "items": {split: len(indices) for split, indices in task.dataset.splits.items()},
        "utility": {key: asdict(score) for key, score in baselines_of(name, items).items()},
    }


def pages(scores: Callable[[str], Mapping[str, Score] | None]) -> dict[str, str]:
    """All generated pages, by path within the folder; ``scores`` gives those of an id, or None."""
    environments = {name: task_of(name) for name in CONFIGURATIONS}
    index = _render("index.md.jinja", environments=environments, configuration=_configuration)
    return {
        f"{GENERATED}/README.md": index,
        **{f"{GENERATED}/{name}.md": environment_page(name, scores(name)) for name in CONFIGURATIONS},
    }


def environment_page(name: str, scores: Mapping[str, Score] | None = None) -> str:
    """The page of a registered id; without ``scores`` of the baseline policies it omits them."""
    from mm_envs.documentation.pictures import episode_of

    task, episode = task_of(name), episode_of(name)
    assert episode.outcome is not None
    response = task.answer.format(task.answer.parse(episode.outcome.response)).replace(", ", ",")
    return _render(
        "environment.md.jinja",
        name=name,
        task=task,
        description=(inspect.getdoc(type(task)) or "").partition("\n")[2].strip(),
        configuration=_configuration(name),
        vocabularies=_vocabularies(task),
        feedback=_feedback(task),
        scores=scores or {},
        markers=(SCORES, END_OF_SCORES),
        episode=episode,
        response=response,
    )


@cache
def _environment() -> Environment:
    require("jinja2")
    import jinja2

    # Markdown, not HTML: nothing to escape but the bars of table cells.
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mm_envs.documentation"),
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(cell=lambda text: str(text).replace("|", "\\|"), summary=summary_of)
    return environment


def _render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values)


def _configuration(name: str) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in CONFIGURATIONS[name].items() if key != "task")


def _vocabularies(task: Task) -> dict[str, tuple[str, ...]]:
    """Words of every text entry, and the names of the answers."""
    spaces = task.observation_space.spaces
    words = {f"words of `{key}`": s.vocabulary.words for key, s in spaces.items() if isinstance(s, Tokens)}
    return {**words, "answers": tuple(task.answer.names)} if task.answer.names else words


def _feedback(task: Task) -> dict[str, str]:
    """Names of the feedback sources that need no further arguments on a task, with their summaries."""
    from mm_envs.feedback_sources import FEEDBACKS, make_feedback

    sources = {}
    for name in FEEDBACKS:
        try:
            sources[name] = re.sub(r"``", "`", summary_of(make_feedback(name, task)))
        except ValueError:
            continue
    return sources


def _size(space: gym.Space[Any]) -> str:
    """Size of one entry of an observation."""
    shape = "x".join(str(side) for side in space.shape or ())
    if isinstance(space, Tokens):
        return f"{shape} of {len(space.vocabulary)} words"
    if isinstance(space, Audio):
        return f"{shape} samples at {space.sample_rate} Hz"
    return shape


def _actions(task: Task) -> str:
    space = task.action_space
    if isinstance(space, gym.spaces.Discrete):
        return f"{int(space.n)} {'words' if task.state_spaces else 'choices'}"
    return f"{'x'.join(map(str, space.shape or ()))} numbers"
