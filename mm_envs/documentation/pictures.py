"""Pictures of real episodes: one for each id, and a contact sheet of all ids."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import gymnasium as gym

from mm_envs.optional import require
from mm_envs.random import purpose
from mm_envs.tasks import CONFIGURATIONS

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from mm_envs.engine.replay import Replay

SPLIT, SHEET = "test", "environments.png"
_NOT_SHOWN = ("answer", "good answers", "reward", "utility")
_COLORS, _COLUMNS, _CHARACTERS = 128, 5, 34


def episode_of(name: str) -> Replay:
    """A held-out episode of a registered id, answered by the oracle and scored by the default feedback."""
    import mm_envs

    env: Any = gym.make(name, split=SPLIT).unwrapped
    # The seed depends on the id alone, so that a new id changes no other picture.
    env.reset(seed=purpose(name) % 1000)
    return mm_envs.replay(mm_envs.ticket(env), env.task.oracle(env.engine.reference())[0])


def write_pictures(folder: Path, names: Iterable[str] = tuple(CONFIGURATIONS)) -> list[Path]:
    """Writes one PNG for each id and the contact sheet of them; a palette keeps the files small."""
    folder.mkdir(parents=True, exist_ok=True)
    episodes = {name: episode_of(name) for name in names}
    pictures = {f"{name}.png": episode.card() for name, episode in episodes.items()}
    pictures[SHEET] = contact_sheet(episodes)
    for name, picture in pictures.items():
        picture.quantize(_COLORS).save(folder / name, optimize=True)
    return [folder / name for name in pictures]


def contact_sheet(episodes: dict[str, Replay]) -> Picture:
    """One tile for each episode: id, what is observed, the answer."""
    require("matplotlib")
    import numpy as np
    from matplotlib.figure import Figure
    from PIL import Image as pillow

    rows = -(-len(episodes) // _COLUMNS)
    figure = Figure(figsize=(2.4 * _COLUMNS, 2.8 * rows), dpi=100, layout="constrained")
    tiles = list(figure.subplots(rows, _COLUMNS, squeeze=False).flat)
    for tile in tiles:
        tile.set_axis_off()
    for tile, (name, episode) in zip(tiles, episodes.items(), strict=False):
        tile.imshow(np.asarray(episode.media()), interpolation="nearest")
        tile.set_title(name, fontsize=10, weight="bold")
        words = [text for key, text in episode.lines() if key not in _NOT_SHOWN]
        words.append(f"\N{RIGHTWARDS ARROW} {episode.outcome.answer if episode.outcome else ''}")
        text = "\n".join(fill(line, _CHARACTERS) for line in words)
        tile.text(0.5, -0.04, text, transform=tile.transAxes, ha="center", va="top", fontsize=8)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return pillow.open(file).convert("RGB")
