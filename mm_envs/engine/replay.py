"""Any episode back: a ticket gives the question again, a ticket and a response the whole episode."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mm_envs.engine.issue import ENGINE_ARGUMENTS, registered_spec
from mm_envs.engine.single import MultimodalEnv
from mm_envs.engine.ticket import Ticket
from mm_envs.tasks import make_task
from mm_envs.untrusted import OF_THE_CALLER

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
_JUDGE = ("feedback", "feedback_arguments")
# A stranger's ticket could ask for pictures that fill the memory.
_LARGEST = 2**26


@dataclass(frozen=True)
class Outcome:
    """How an episode ended.

    Attributes:
        observation: The last observation.
        response: The answer, as ``final_info["response"]`` has it.
        answer: The answer as a person reads it.
        reward: The return of the episode; None where the ticket names no feedback and none was given.
        rewards: The reward of every step, or nothing.
        utility: What the answer was worth in truth.
        reward_parts: The named parts of the reward.
        utility_parts: The named parts of the utility.
        judged: Whether it was judged: an episode that was cut off is not.
    """

    observation: dict[str, Any]
    response: Any
    answer: str
    reward: float | None
    rewards: tuple[float, ...]
    utility: float
    reward_parts: dict[str, float]
    utility_parts: dict[str, float]
    judged: bool


@dataclass(frozen=True)
class Replay:
    """An episode that was made again.

    Attributes:
        ticket: What the ticket says.
        env: The environment, reset to the episode; at its end if there was a response.
        observation: The first observation of the episode.
        info: What ``reset`` said of it.
        good: Good answers as a person reads them.
        outcome: How it ended; None without a response.
    """

    ticket: Ticket
    env: MultimodalEnv
    observation: dict[str, Any]
    info: dict[str, Any]
    good: tuple[str, ...]
    outcome: Outcome | None = None

    def lines(self) -> list[tuple[str, str]]:
        """Names and texts: what the question says in words and, with a response, how the episode ended."""
        from mm_envs.engine.render import describe

        spaces = self.env.task.context_spaces
        lines = [
            *describe(spaces, _tensors(self.observation), None, True),
            ("good answers", " | ".join(self.good)),
        ]
        if self.outcome is None:
            return lines
        lines.insert(-1, ("answer", self.outcome.answer or "(nothing)"))
        if self.outcome.reward is not None:
            lines.append(("reward", f"{self.outcome.reward:.6g}"))
        return [*lines, ("utility", f"{self.outcome.utility:.6g}")]

    def card(self) -> Picture:
        """The episode as a picture: what is seen and heard at the left, words at the right."""
        from mm_envs.engine.render import draw_card

        answer = "" if self.outcome is None else self.outcome.answer
        spaces, task = self.env.task.context_spaces, self.env.task
        return draw_card(spaces, _tensors(self.observation), self.lines(), task.answer, answer)


def replay(ticket: str | Ticket, response: Any = None, *, feedback: Any = None, **arguments: Any) -> Replay:
    """Makes the episode of a ticket again, on the CPU.

    The question is equal bit for bit: the observation, the item, and the noise of the judge. So with the
    response of the first time everything else is, too.

    Args:
        ticket: The line that ``mm_envs.ticket`` wrote.
        response: What to answer: words, the name of a class, or numbers: token ids, the number of a class, a
            vector, as ``final_info["response"]`` holds them (or a list of them as text). None for the
            question only.
        feedback: Who gives the reward, instead of who gave it the first time. Where the judge was an object
            it is no part of the ticket: without this argument there is no reward then, only utility.
        arguments: What else no line of text can hold, for instance ``path`` of a folder.

    Raises:
        ValueError: It is no ticket; the id is unknown here; the dataset is another one; an argument is
            missing; or the response is none that the task knows.

    Example:
        >>> import gymnasium as gym, mm_envs
        >>> env = gym.make("MMClassify-digits-v0")
        >>> observation, info = env.reset(seed=3)
        >>> ticket = mm_envs.ticket(env)
        >>> *_, info = env.step(5)
        >>> again = replay(ticket, 5)
        >>> bool((again.observation["image"] == observation["image"]).all())
        True
        >>> again.outcome.utility == info["utility"]
        True
    """
    said = ticket if isinstance(ticket, Ticket) else Ticket.parse(ticket)
    env, judged = _environment(said, feedback, arguments)
    # Their own entries of one row each: the item was drawn from the group, and is said.
    begin = {"items": said.item, "episode_index": said.episode}
    observation, info = env.reset(seed=said.seed, options=begin)
    reference = {name: value[0].cpu() for name, value in env.engine.reference().items()}
    good = tuple(dict.fromkeys(env.task.reference_words(reference)))
    outcome = None if response is None else _play(env, response, judged)
    return Replay(said, env, observation, info, good, outcome)


def _environment(ticket: Ticket, feedback: Any, given: Mapping[str, Any]) -> tuple[MultimodalEnv, bool]:
    """The environment of a ticket, and whether the judge is known."""
    spec = deepcopy(registered_spec(ticket.id))
    given = given if feedback is None else {**given, "feedback": feedback}
    _check_given(ticket, given)
    registered = {name: value for name, value in spec.kwargs.items() if name not in OF_THE_CALLER}
    kwargs = {**registered, **ticket.arguments, **given}
    if feedback is not None and "feedback_arguments" not in given:
        kwargs.pop("feedback_arguments", None)
    judged = feedback is not None or not set(ticket.missing) & set(_JUDGE) - set(given)
    if not judged:
        kwargs = {name: value for name, value in kwargs.items() if name not in (*_JUDGE, "reward")}
        kwargs["feedback"] = "truth"
    made = _with_task(ticket, kwargs)
    try:
        env = MultimodalEnv(row=ticket.row, split=ticket.split, **made)
    except (RuntimeError, MemoryError):
        raise ValueError(
            f"the {sum(ticket.sizes):,} items of the ticket do not fit into the memory"
        ) from None
    spec.kwargs = {**kwargs, "split": ticket.split, "row": ticket.row}
    env.spec = spec
    return env, judged


def _check_given(ticket: Ticket, given: Mapping[str, Any]) -> None:
    """Refuses what the ticket decides, and asks for what it could not hold."""
    for name in given:
        if name in OF_THE_CALLER:
            raise ValueError(f"{name}={given[name]!r}: the ticket decides the episode, leave it out")
    for name in ticket.missing:
        if name not in (*given, *_JUDGE):
            option = "--data FOLDER" if name == "path" else f"--set {name}=VALUE"
            raise ValueError(
                f"{name} is no part of the ticket (an object, or a place on one disk): "
                f"give {name}=... in Python, or {option}"
            )


def _with_task(ticket: Ticket, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with the task built: the dataset is compared before an engine makes items of it.

    Raises:
        ValueError: It is another dataset, or its items are larger than any that a ticket is made for.
    """
    engine = {name: value for name, value in kwargs.items() if name in ENGINE_ARGUMENTS}
    rest = {name: value for name, value in kwargs.items() if name not in ENGINE_ARGUMENTS}
    try:
        task = make_task(engine.pop("task", ENGINE_ARGUMENTS["task"]), **rest)
    except TypeError as error:
        raise ValueError(
            f"an argument of the ticket is of another kind than its task takes ({error}): "
            "make the environment yourself in Python"
        ) from None
    ticket.compare(task)
    size = sum(prod(one.shape or ()) * _size(one.dtype) for one in task.observation_space.spaces.values())
    if size > _LARGEST:
        raise ValueError(
            f"one observation of the ticket takes {size:,} bytes, more than {_LARGEST:,}: "
            "make the environment yourself in Python"
        )
    return {**engine, "task": task}


def _size(dtype: Any) -> int:
    return int(np.dtype(dtype).itemsize)


# The answer -------------------------------------------------------------------------------------------------


def _play(env: MultimodalEnv, response: Any, judged: bool) -> Outcome:
    """Answers, step by step, until the episode ends."""
    kind = env.task.answer
    answer = kind.parse(response)
    rewards: list[float] = []
    final: Mapping[str, Any] | None = None
    for step in range(env.task.horizon):
        observation, reward, _, _, info = env.engine.step(kind.action(answer[None], step))
        rewards.append(float(reward[0]))
        if "final_info" in info:
            final = info["final_info"]
            break
    if final is None:
        raise ValueError(f"response={response!r} does not end the episode: end it as the task does")
    if kind.steps_of(answer[None]) > len(rewards):
        raise ValueError(
            f"response={response!r} goes on after the episode has ended with step {len(rewards)}: "
            "leave out what follows"
        )
    numbers = {
        name: {part: float(value[0]) for part, value in final[name].items()}
        for name in ("reward_parts", "utility_parts")
    }
    return Outcome(
        {key: value[0].numpy().copy() for key, value in observation.items()},
        final["response"][0].tolist(),
        env.task.words(final["response"][0]),
        float(final["episode"]["r"][0]) if judged else None,
        tuple(rewards) if judged else (),
        float(final["utility"][0]),
        numbers["reward_parts"] if judged else {},
        numbers["utility_parts"],
        bool(final["judged"][0]),
    )


def _tensors(observation: Mapping[str, Any]) -> dict[str, Tensor]:
    return {key: torch.from_numpy(value) for key, value in observation.items()}
