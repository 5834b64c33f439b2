"""Episodes played to be looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import gymnasium as gym
    from PIL.Image import Image as Picture
    from torch import Tensor

    from agents.acting import Policy
    from agents.run_folder import Setting
    from mm_envs.answers import AnswerKind
    from mm_envs.engine.render import Result
    from mm_envs.engine.vector import MultimodalVectorEnv


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
        from mm_envs.engine.render import describe, draw_card

        lines = describe(self.spaces, self.context, self.result, True)
        return draw_card(self.spaces, self.context, lines, self.kind, self.result.answer)


def play(envs: MultimodalVectorEnv, policy: Policy, seed: int = 0) -> list[Played]:
    """Plays one episode in every row.

    Args:
        envs: The environment, with autoreset mode Disabled.
        policy: Who answers.
        seed: Decides the items and the noise of the feedback.
    """
    from agents.comparison import play_once
    from mm_envs.engine.issue import ticket
    from mm_envs.engine.render import results_of

    observation, final = play_once(policy, envs, seed)
    items = final["item"].tolist()
    found = results_of(envs.task, final, final["judged"] | True, envs.reference())
    context = {key: observation[key].cpu() for key in envs.context_keys}
    spaces = envs.task.context_spaces
    rows = range(envs.num_envs)
    tickets = ["" if envs.spec is None else ticket(envs, row) for row in rows]
    seen = [{key: value[row] for key, value in context.items()} for row in rows]
    kind = envs.task.answer
    return [Played(spaces, seen[row], found[row], items[row], tickets[row], kind) for row in rows]


def gallery(setting: Setting, policy: str, episodes: int, split: str = "test", seed: int = 0) -> list[Played]:
    """Episodes of a trained agent ("agent"), or of a baseline policy.

    Args:
        setting: The environment, and the agent if it has one.
        policy: "agent", "random", "oracle" or "blind".
        episodes: How many.
        split: Which items.
        seed: Decides the items and the noise of the feedback.
    """
    from agents.comparison import make_policy

    envs = setting.make(episodes, split=split, autoreset_mode="Disabled")
    return play(envs, make_policy(policy, setting, envs), seed)
