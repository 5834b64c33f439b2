"""Replays: a ticket reproduces the start of an episode, a ticket and a response the whole episode."""

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

    from mm_envs.answers import AnswerKind

_FEEDBACK = ("feedback", "feedback_arguments")
# An untrusted ticket could ask for pictures that fill the memory.
_MAX_BYTES = 2**26


@dataclass(frozen=True)
class Outcome:
    """The end of an episode.

    Attributes:
        observation: The last observation.
        response: The answer, as in ``final_info["response"]``.
        answer: The answer as text.
        reward: The return; None where the ticket names no feedback and none was given.
        rewards: The reward of every step, or nothing.
        utility: The true utility of the answer.
        reward_parts: The named parts of the reward.
        utility_parts: The named parts of the utility.
        judged: Whether it was judged: a truncated episode is not.
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
    """A reproduced episode.

    Attributes:
        ticket: The parsed ticket.
        env: The environment, reset to the episode; at its end if there was a response.
        observation: The first observation.
        info: The info of ``reset``.
        good: Good answers as text.
        outcome: The end of the episode; None without a response.
    """

    ticket: Ticket
    env: MultimodalEnv
    observation: dict[str, Any]
    info: dict[str, Any]
    good: tuple[str, ...]
    outcome: Outcome | None = None

    def lines(self) -> list[tuple[str, str]]:
        """Names and texts: the words of the observation and, with a response, the end of the episode."""
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
        """The episode as a picture: images and sound at the left, words at the right."""
        from mm_envs.engine.render import draw_card

        task = self.env.task
        return draw_card(task.context_spaces, _tensors(self.observation), self.lines(), *self._answer())

    def media(self) -> Picture:
        """The images and the sound of the episode, without words."""
        from mm_envs.engine.render import draw_media

        return draw_media(self.env.task.context_spaces, _tensors(self.observation), *self._answer())

    def _answer(self) -> tuple[AnswerKind, str]:
        return self.env.task.answer, "" if self.outcome is None else self.outcome.answer


def replay(ticket: str | Ticket, response: Any = None, *, feedback: Any = None, **arguments: Any) -> Replay:
    """Reproduces the episode of a ticket on the CPU.

    Observation, item and noise of the feedback are equal bit for bit; so is everything else with the same
    response.

    Args:
        ticket: The line that ``mm_envs.ticket`` gave.
        response: The answer: words, the name of a class, or numbers as in ``final_info["response"]``, also as
            text. None: only the start of the episode.
        feedback: Another source of the reward. Feedback that was an object is not part of the ticket: without
            this argument there is then utility and no reward.
        arguments: Further arguments that a line of text cannot hold, for instance ``path`` of a folder.

    Raises:
        ValueError: It is no ticket, the id is unknown, the dataset differs, an argument is missing, or the
            task does not know the response.

    Example:
        >>> import gymnasium as gym, mm_envs
        >>> env = gym.make("MMClassify-digits-v0")
        >>> observation, info = env.reset(seed=3)
        >>> ticket = mm_envs.ticket(env)
        >>> *_, info = env.step(5)
        >>> replay(ticket, 5).outcome.utility == info["utility"]
        True
    """
    parsed = ticket if isinstance(ticket, Ticket) else Ticket.parse(ticket)
    env, known = _environment(parsed, feedback, arguments)
    # The item is given: it was drawn for a group of rows.
    begin = {"items": parsed.item, "episode_index": parsed.episode}
    observation, info = env.reset(seed=parsed.seed, options=begin)
    reference = {name: value[0].cpu() for name, value in env.engine.reference().items()}
    good = tuple(dict.fromkeys(env.task.reference_words(reference)))
    outcome = None if response is None else _play(env, response, known)
    return Replay(parsed, env, observation, info, good, outcome)


def _environment(ticket: Ticket, feedback: Any, given: Mapping[str, Any]) -> tuple[MultimodalEnv, bool]:
    """The environment of a ticket, and whether its feedback is known."""
    spec = deepcopy(registered_spec(ticket.id))
    given = given if feedback is None else {**given, "feedback": feedback}
    _check_given(ticket, given)
    registered = {name: value for name, value in spec.kwargs.items() if name not in OF_THE_CALLER}
    kwargs = {**registered, **ticket.arguments, **given}
    if feedback is not None and "feedback_arguments" not in given:
        kwargs.pop("feedback_arguments", None)
    known = feedback is not None or not set(ticket.missing) & set(_FEEDBACK) - set(given)
    if not known:
        kwargs = {name: value for name, value in kwargs.items() if name not in (*_FEEDBACK, "reward")}
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
    return env, known


def _check_given(ticket: Ticket, given: Mapping[str, Any]) -> None:
    """Refuses arguments that the ticket decides, and asks for those it could not hold."""
    for name in given:
        if name in OF_THE_CALLER:
            raise ValueError(f"{name}={given[name]!r}: the ticket decides the episode, leave it out")
    for name in ticket.missing:
        if name not in (*given, *_FEEDBACK):
            option = "--data FOLDER" if name == "path" else f"--set {name}=VALUE"
            raise ValueError(
                f"{name} is no part of the ticket (an object, or a path on one disk): "
                f"give {name}=... in Python, or {option}"
            )


def _with_task(ticket: Ticket, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with the task built, so that its dataset is compared before items are made."""
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
    spaces = task.observation_space.spaces.values()
    size = sum(prod(one.shape or ()) * np.dtype(one.dtype).itemsize for one in spaces)
    if size > _MAX_BYTES:
        raise ValueError(
            f"one observation of the ticket takes {size:,} bytes, more than {_MAX_BYTES:,}: "
            "make the environment yourself in Python"
        )
    return {**engine, "task": task}


# The answer -------------------------------------------------------------------------------------------------


def _play(env: MultimodalEnv, response: Any, known: bool) -> Outcome:
    """Gives the answer step by step until the episode ends."""
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
        float(final["episode"]["r"][0]) if known else None,
        tuple(rewards) if known else (),
        float(final["utility"][0]),
        numbers["reward_parts"] if known else {},
        numbers["utility_parts"],
        bool(final["judged"][0]),
    )


def _tensors(observation: Mapping[str, Any]) -> dict[str, Tensor]:
    return {key: torch.from_numpy(value) for key, value in observation.items()}
