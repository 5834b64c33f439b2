"""``mm-envs play``: episodes to look at and listen to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from mm_envs.cli.output import console, print_json
from mm_envs.cli.settings import setting_of
from mm_envs.names import at_least

if TYPE_CHECKING:
    from agents.playing import Played
    from agents.run_folder import Setting

SHEET, PAGE = "episodes.png", "episodes.html"


@dataclass(frozen=True)
class Play:
    """Play some held-out episodes: a contact sheet (PNG), and an HTML page with pictures, sound and answers.

    Attributes:
        target: A folder that mm-envs train wrote; or an id, with --policy random, oracle or blind.
        episodes: How many.
        out: The folder to write to; by default play in the folder of the agent, or play-ID.
        policy: Who answers: the trained agent, or a baseline policy. An id has random.
        split: Which items.
        seed: Decides the items and the noise of the feedback.
        feedback: Who gives the reward, instead of who gave it in training; see mm-envs evaluate.
        data: The folder of the files that the items are made of, if it is not where it was in training.
        layout: How to read it; see mm-envs data describe.
        json: Print JSON.
    """

    target: tyro.conf.Positional[str]
    episodes: int = 12
    out: Path | None = None
    policy: Literal["agent", "random", "oracle", "blind"] | None = None
    split: Literal["train", "validation", "test"] = "test"
    seed: int = 0
    feedback: str | None = None
    data: Path | None = None
    layout: str | None = None
    json: bool = False

    def run(self) -> int:
        """Plays and writes."""
        at_least("--episodes", self.episodes, 1, "play at least one")
        setting = setting_of(self.target, feedback=self.feedback, data=self.data, layout=self.layout)
        policy = self.policy or ("agent" if setting.agent else "random")
        from agents.playing import gallery

        episodes = gallery(setting, policy, self.episodes, self.split, self.seed)
        folder = self.out or (Path(self.target) / "play" if setting.agent else Path(f"play-{setting.id}"))
        files = write(episodes, folder, setting, policy, self.split)
        utility = sum(one.result.utility for one in episodes) / len(episodes)
        reward = sum(one.result.reward for one in episodes) / len(episodes)
        if self.json:
            print_json(
                {
                    "id": setting.id,
                    "policy": policy,
                    "utility": utility,
                    "reward": reward,
                    "files": {name: str(path) for name, path in files.items()},
                    "episodes": [{"ticket": one.ticket, **asdict(one.result)} for one in episodes],
                }
            )
            return 0
        out = console()
        out.print(
            f"{len(episodes)} episodes of {setting.id}, policy {policy}: mean utility {utility:.3f}, "
            f"mean reward {reward:.3f}"
        )
        for name, path in files.items():
            out.print(f"  {name:15} [cyan]{path}[/]", soft_wrap=True)
        return 0


def write(episodes: list[Played], folder: Path, setting: Setting, policy: str, split: str) -> dict[str, Path]:
    """Writes the contact sheet and the page of some episodes.

    Returns:
        What was written, by name.
    """
    from mm_envs.engine.render import contact_sheet
    from mm_envs.pages.episodes import page

    folder.mkdir(parents=True, exist_ok=True)
    sheet, web = folder / SHEET, folder / PAGE
    contact_sheet([one.card() for one in episodes]).save(sheet)
    who = "a trained agent" if policy == "agent" else f"the {policy} policy"
    subtitle = f"Answers of {who} to items of the {split} split"
    web.write_text(page(episodes, setting.id, subtitle), encoding="utf-8")
    return {"contact sheet": sheet, "page": web}
