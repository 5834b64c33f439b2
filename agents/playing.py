"""Episodes played to be looked at: of any policy, and of a ticket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import torch
from torch import Tensor

from agents.acting import EpisodeHashes, Policy, ticket_hash
from agents.comparison import make_policy
from agents.run_folder import Setting
from mm_envs.answers import AnswerKind
from mm_envs.engine.issue import ticket
from mm_envs.engine.render import Result, describe, draw_card, results_of
from mm_envs.engine.replay import replay
from mm_envs.engine.vector import MultimodalVectorEnv

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


@dataclass(frozen=True)
class Played:
    """One finished episode.

    Attributes:
        spaces: The spaces of the context.
        context: What was seen and heard, on the host, without leading dimension.
        result: The answer, good answers, reward and utility.
        item: The index of the item.
        ticket: The line that gives the episode back; empty where the environment has no id.
        kind: The kind of the answer, to draw it on the pictures; None draws nothing.
    """

    spaces: Mapping[str, gym.Space[Any]]
    context: Mapping[str, Tensor]
    result: Result
    item: int
    ticket: str = ""
    kind: AnswerKind | None = None

    def card(self) -> Picture:
        """The episode as a picture."""
        lines = describe(self.spaces, self.context, self.result, True)
        return draw_card(self.spaces, self.context, lines, self.kind, self.result.answer)


@torch.no_grad()
def play_once(
    policy: Policy, envs: MultimodalVectorEnv, seed: int = 0
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Plays the first episode of every row.

    Returns:
        The first observation, and the ``final_info`` of all rows.
    """
    first, info = envs.reset(seed=seed)
    hashes = EpisodeHashes(seed, envs.num_envs, envs.device)
    observation, final = first, None
    ended = torch.zeros(envs.num_envs, dtype=torch.bool, device=envs.device)
    while not bool(ended.all()):
        observation, _, _, _, info = envs.step(policy(observation, hashes(info)))
        if "final_info" in info:
            mask = info["_final_info"] & ~ended
            final = info["final_info"] if final is None else _merged(mask, info["final_info"], final)
            ended = ended | mask
    assert final is not None
    return first, final


def _merged(mask: Tensor, new: Any, old: Any) -> Any:
    if isinstance(new, Tensor):
        return torch.where(mask.view(-1, *[1] * (new.ndim - 1)), new, old)
    return {name: _merged(mask, value, old[name]) for name, value in new.items()}


def gallery(setting: Setting, policy: str, episodes: int, split: str = "test", seed: int = 0) -> list[Played]:
    """Episodes of a policy, see ``make_policy``, one in each row of an environment.

    Args:
        setting: The environment, and the agent if it has one.
        policy: "agent", "random", "oracle" or "blind".
        episodes: How many.
        split: Which items.
        seed: Decides the items and the noise of the feedback.
    """
    envs = setting.make(episodes, split=split, autoreset_mode="Disabled")
    observation, final = play_once(make_policy(policy, setting, envs), envs, seed)
    found = results_of(envs.task, final, final["judged"] | True, envs.reference())
    context = {key: observation[key].cpu() for key in envs.context_keys}
    return [
        Played(
            envs.task.context_spaces,
            {key: value[row] for key, value in context.items()},
            found[row],
            int(final["item"][row]),
            "" if envs.spec is None else ticket(envs, row),
            envs.task.answer,
        )
        for row in range(episodes)
    ]


@torch.no_grad()
def answer_ticket(policy: Policy, line: str, **arguments: Any) -> Tensor:
    """The answer of a policy to the episode of a ticket, without leading dimension.

    Args:
        policy: The policy.
        line: The ticket.
        arguments: What is no part of the ticket, see ``mm_envs.replay``.
    """
    again = replay(line, **arguments)
    hashes = ticket_hash(again.ticket.seed, again.ticket.row, again.ticket.episode)
    observation = {key: torch.as_tensor(value)[None] for key, value in again.observation.items()}
    while True:
        observation, _, _, _, info = again.env.engine.step(policy(observation, hashes))
        if "final_info" in info and bool(info["_final_info"][0]):
            response: Tensor = info["final_info"]["response"][0]
            return response
