"""Documentation pages in Markdown, made from docstrings and from the environments themselves."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mm_envs.cli.markdown import markdown, table
from mm_envs.tasks import CONFIGURATIONS

if TYPE_CHECKING:
    from mm_envs.engine.replay import Replay
    from mm_envs.tasks import Task
    from mm_envs.tasks.scores import Score

SPLIT = "test"
_MANY_WORDS = 60
# Scores take seconds an id; what stands between these lines can be compared apart.
SCORES, END_OF_SCORES = "<!-- scores -->", "<!-- end of scores -->"


def task_of(name: str) -> Task:
    """The task of a registered id."""
    from mm_envs.tasks import make_task

    arguments = dict(CONFIGURATIONS[name])
    return make_task(arguments.pop("task"), **arguments)


def episode_of(name: str) -> Replay:
    """A real episode of a registered id, held out, answered by the oracle and judged by the default rater."""
    import gymnasium as gym

    import mm_envs
    from mm_envs.random import purpose

    env: Any = gym.make(name, split=SPLIT).unwrapped
    # Another one for every id, whatever ids there are.
    env.reset(seed=purpose(name) % 1000)
    return mm_envs.replay(mm_envs.ticket(env), env.task.oracle(env.engine.reference())[0])


def environment_page(name: str, scores: Mapping[str, Score] | None) -> str:
    """The page of a registered id.

    Args:
        name: The id.
        scores: The scores of the policies that need no learning; None leaves them out.
    """
    task, episode = task_of(name), episode_of(name)
    rest = (inspect.getdoc(type(task)) or "").partition("\n")[2]
    parts = [
        f"# {name}",
        summary_of(task),
        f"![An episode of {name}](../pictures/{name}.png)",
        _make(name, task),
        rest.strip(),
        "## Spaces of this id",
        _spaces(task),
        *_vocabularies(task),
        "## Feedback",
        "What `feedback=` takes here (see [feedback](../feedback.md)), besides any object with `score`:",
        table(("name", "what it says"), _judges(task)),
        "## Without learning",
        "Mean utility on held-out items, with its 95 % interval. The blind policy gives the best answer that "
        "ignores every picture and sound.",
        SCORES,
        *([] if scores is None else [_scores(scores)]),
        END_OF_SCORES,
        "## The episode in the picture",
        _ticket(episode),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def summary_of(thing: object) -> str:
    """The first line of the docstring of an object's class."""
    return (inspect.getdoc(type(thing)) or "").partition("\n")[0]


def _make(name: str, task: Task) -> str:
    configuration = ", ".join(f"{key}={value!r}" for key, value in CONFIGURATIONS[name].items())
    items = ", ".join(f"{len(indices):,} {split}" for split, indices in task.dataset.splits.items())
    rows = [
        ("make", f'`gym.make("{name}")`, `gym.make_vec("{name}", num_envs=1024)`'),
        ("configuration", f"`{configuration}`"),
        ("dataset", f"[{task.dataset.name}](../datasets.md#{task.dataset.name}): {items} items"),
        ("action space", f"`{task.action_space}`"),
        ("steps", "1" if task.horizon == 1 else f"at most {task.horizon}"),
    ]
    return table(("", ""), rows)


def _spaces(task: Task) -> str:
    rows = []
    for key, space in task.observation_space.spaces.items():
        when = "every step" if key in task.state_spaces else "constant during an episode"
        rows.append((f"`{key}`", f"`{space!r}`", f"`{space.dtype}`", when))
    rows.append(("action", f"`{task.action_space!r}`", f"`{task.action_space.dtype}`", ""))
    return table(("entry", "space", "dtype", "changes"), rows)


def _vocabularies(task: Task) -> list[str]:
    """The words of every entry and of the answer, folded away where they are many."""
    from mm_envs.spaces import Tokens

    lists = {
        f"`{key}`": space.vocabulary.words
        for key, space in task.observation_space.spaces.items()
        if isinstance(space, Tokens)
    }
    if task.answer.names:
        lists["answers"] = task.answer.names
    said = []
    for name, words in lists.items():
        text = " ".join(f"`{word}`" for word in words)
        head = f"{len(words)} words of {name}" if name != "answers" else f"{len(words)} answers"
        folded = f"<details><summary>{head.replace('`', '')}</summary>\n\n{text}\n\n</details>"
        said.append(folded if len(words) > _MANY_WORDS else f"{head}: {text}")
    return said


def _judges(task: Task) -> list[tuple[str, str]]:
    from mm_envs.feedback_sources import FEEDBACKS, make_feedback

    rows = []
    for name in FEEDBACKS:
        try:
            judge = make_feedback(name, task)
        except ValueError:
            continue
        rows.append((f"`{name}`", summary_of(judge)))
    return rows


def _scores(scores: Mapping[str, Score]) -> str:
    rows = [(name, f"{one.mean:.3f} [{one.low:.3f}, {one.high:.3f}]") for name, one in scores.items()]
    return table(("policy", "utility"), rows)


def _ticket(episode: Replay) -> str:
    outcome, task = episode.outcome, episode.env.task
    assert outcome is not None
    kind = task.answer
    text = kind.format(kind.parse(outcome.response)).replace(", ", ",")
    return "\n\n".join(
        [
            table(("", ""), episode.lines()),
            "Make it again with its [ticket](../tickets_and_resume.md):",
            f'```\nmm-envs replay {episode.ticket} --response "{text}"\n```',
        ]
    )


# Pages of several things ------------------------------------------------------------------------------------


def reference_page(title: str, lead: str, things: Mapping[str, Any]) -> str:
    """A page with one section for each class of a table, from its docstring."""
    parts = [f"# {title}", lead]
    for name, thing in things.items():
        parts += [f"## {name}", markdown(inspect.getdoc(thing) or "")]
    return "\n\n".join(parts) + "\n"


def index_page(written: Mapping[str, str]) -> str:
    """The first page: what there is to read, and every id.

    Args:
        written: File names of the pages that are written by hand -> what they are about.
    """
    rows = []
    for name, arguments in CONFIGURATIONS.items():
        task = task_of(name)
        configuration = ", ".join(f"{key}={value!r}" for key, value in arguments.items() if key != "task")
        sees = ", ".join(key for key in task.modalities)
        link = f"[{name}](environments/{name}.md)"
        rows.append((link, summary_of(task), sees, f"`{configuration}`" if configuration else ""))
    made = {
        "gallery.md": "a picture of every environment",
        "datasets.md": "where items come from",
        "feedback.md": "who gives the reward",
    }
    links = [f"- [{about}]({file})" for file, about in {**written, **made}.items()]
    parts = [
        "# mm-envs",
        "Multimodal tasks as Gymnasium environments whose reward comes from human feedback. The "
        "[README](../README.md) says how to begin, [ARCHITECTURE.md](../ARCHITECTURE.md) how it is built.",
        "\n".join(links),
        "## Environments",
        table(("id", "what", "sees", "configuration"), rows),
        "These pages but for the first "
        f"{len(written)} are written by `make docs`, from docstrings and from the environments themselves.",
    ]
    return "\n\n".join(parts) + "\n"


def gallery_page() -> str:
    """Every picture on one page."""
    parts = [
        "# Gallery",
        "One held-out episode of every environment, with the answer of the oracle and the reward of the "
        "default rater. More: `mm-envs play ID --policy random`.",
    ]
    for name in CONFIGURATIONS:
        picture = f"![An episode of {name}](pictures/{name}.png)"
        parts += [f"## [{name}](environments/{name}.md)", summary_of(task_of(name)), picture]
    return "\n\n".join(parts) + "\n"
