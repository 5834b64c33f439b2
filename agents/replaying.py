"""The answer of an agent to the episode of a ticket."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from agents.acting import Policy, ticket_hash
from mm_envs.engine.replay import replay


@torch.no_grad()
def answer_ticket(policy: Policy, line: str, **arguments: Any) -> Tensor:
    """The answer of a policy to the episode of a ticket, without leading dimension.

    Args:
        policy: The policy.
        line: The ticket.
        arguments: What is no part of the ticket, see ``mm_envs.replay``.
    """
    again = replay(line, **arguments)
    ticket, engine = again.ticket, again.env.engine
    hashes = ticket_hash(ticket.seed, ticket.row, ticket.episode)
    observation = {key: torch.as_tensor(value)[None] for key, value in again.observation.items()}
    while True:
        observation, _, _, _, info = engine.step(policy(observation, hashes))
        if "final_info" in info and bool(info["_final_info"][0]):
            response: Tensor = info["final_info"]["response"][0]
            return response
