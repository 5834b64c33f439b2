"""A task with all that a transition may have: a start that depends on the key, hidden state, and a picture
that is rendered of the state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor

from mm_envs.answers import State, Turns
from mm_envs.data.digits import Digits
from mm_envs.episodes import Judgement
from mm_envs.random import fold, integers, key_hashes, purpose
from mm_envs.spaces import Image
from mm_envs.tasks.task import Fields, Task

CELLS, STEPS, SIDE = 5, 4, 40
MOVES = ("left", "stay", "right")


class Walk(Task):
    """Walk along five cells. A wind that no observation shows pushes at the third step; the goal is the
    digit of the item modulo five, and the utility falls with the distance to it.
    """

    reference = ("label",)
    context = {"digit": "image"}  # noqa: RUF012
    part_modalities = {"closeness": ("digit",)}  # noqa: RUF012

    def __init__(self) -> None:
        self.dataset = Digits()
        self.answer = Turns([MOVES] * STEPS)

    @property
    def state_spaces(self) -> Mapping[str, gym.Space[Any]]:
        return {"view": Image(SIDE, SIDE, channels=1)}

    @property
    def turn_spaces(self) -> Mapping[str, gym.Space[Any]]:
        return {"view": Image(SIDE, SIDE, channels=1)}

    def start(self, fields: Fields, key: Tensor) -> State:
        draws = key_hashes(key, purpose("walk"))
        state = super().start(fields, key)
        wind = integers(fold(draws, 1), 3) - 1
        path = torch.zeros((len(key), STEPS - 1), dtype=torch.int64, device=key.device)
        return {**state, "cell": integers(draws, CELLS)[:, None], "wind": wind[:, None], "path": path}

    def advance(self, state: State, actions: Tensor, fields: Fields, key: Tensor) -> tuple[State, Tensor]:
        written, ended = self.answer.write({"chosen": state["chosen"]}, actions)
        step = (written["chosen"] > 0).sum(1, keepdim=True)
        pushed = torch.where(step == 3, state["wind"], 0)
        cell = (state["cell"] + actions[:, None] % 3 - 1 + pushed).clamp(0, CELLS - 1)
        index = (step - 1).clamp(max=STEPS - 2)
        path = state["path"].scatter(
            1, index, torch.where(step < STEPS, cell, state["path"].gather(1, index))
        )
        return {**written, "cell": cell, "wind": state["wind"], "path": path}, ended

    def observe(self, state: State, fields: Fields) -> dict[str, Tensor]:
        return {"view": views(state["cell"])[:, 0]}

    def turns(self, state: State) -> dict[str, Tensor]:
        return {"view": views(state["path"])}

    def respond(self, state: State, actions: Tensor) -> tuple[Tensor, Tensor | None]:
        # Where the walk ended belongs to the answer's worth, not to its form.
        return self.answer.response({"chosen": state["chosen"]}, actions)

    def utility(self, response: Tensor, length: Tensor | None, reference: Fields) -> Judgement:
        away = (response.sum(1) - reference["label"] % (2 * STEPS)).abs().to(torch.float32)
        closeness = (1 - away / (2 * STEPS)).clamp(0, 1)
        return Judgement(closeness, {"closeness": closeness})

    def oracle(self, reference: Fields) -> Tensor:
        goal = (reference["label"] % (2 * STEPS))[:, None]
        before = 2 * torch.arange(STEPS, device=goal.device)
        return (goal - before).clamp(0, 2)

    def blind(self, context: Fields, reference: Fields, seen: Fields) -> Tensor:
        return torch.ones((len(next(iter(seen.values()))), STEPS), dtype=torch.int64)


def views(cell: Tensor) -> Tensor:
    """Pictures (n, m, 1, side, side) with a bright column for each of (n, m) cells."""
    column = torch.arange(SIDE, device=cell.device) // (SIDE // CELLS)
    bright = (column == cell[..., None]).to(torch.uint8) * 255
    return bright[:, :, None, None, :].expand(-1, -1, 1, SIDE, -1).contiguous()
