"""Tuned settings by environment and algorithm: what ``mm-envs train`` uses where nothing is given.

They were chosen on validation items; docs/benchmarks has the test scores that they reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.trainers import TRAINERS
from mm_envs.names import check_one_of


@dataclass(frozen=True)
class Tuned:
    """Settings of one training.

    Attributes:
        steps: Steps, see ``Trainer.step``.
        num_envs: Rows of the environment: contexts of an update for trainers of whole answers.
        settings: Settings of the algorithm that differ from its defaults.
        policy: Arguments of the policy that differ from its defaults.
    """

    steps: int = 100_000
    num_envs: int = 64
    settings: Mapping[str, Any] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)


_SB3 = Tuned(num_envs=256)
DEFAULTS: dict[str, Tuned] = {
    **dict.fromkeys(TRAINERS, Tuned()),
    **{algo: _SB3 for algo in TRAINERS if algo.startswith("sb3-")},
    "sft": Tuned(steps=200_000),
    "rloo": Tuned(steps=1_000_000),
    "grpo": Tuned(steps=1_000_000),
    "expert-iteration": Tuned(steps=1_000_000),
}

# All choices or conversations at once: the gradient of the expected reward, nearly that of its logarithm.
_EXPECTED = {"enumerate": True, "normalisation": "mean", "entropy": 0.0, "learning_rate": 3e-3}
_SHIFTED = {**_EXPECTED, "shift": 3}
_WORDS = {
    "answers": 4,
    "demonstrations": 256,
    "shift": 3,
    "weight_decay": 0.05,
    "learning_rate": 1.5e-3,
    "entropy": 0.03,
}
_DRAWN = {
    "answers": 16,
    "baseline": "softmax",
    "learning_rate": 3e-3,
    "entropy": 0.05,
    "shift": 3,
    "demonstrations": 256,
    "demonstration_steps": 5_000,
}

# No shift, which would move the pictures and leave the boxes. Advantages are linear: on validation items a
# softmax over the rewards of the rater did worse, the more so the colder it was.
_BOXES = {"answers": 32, "demonstrations": 256, "demonstration_steps": 16_000, "entropy": 0.0}

TUNED: dict[tuple[str, str], Tuned] = {
    ("MMClassify-digits-v0", "rloo"): Tuned(steps=80_000),
    ("MMClassify-v0", "rloo"): Tuned(steps=640_000, settings=_SHIFTED),
    ("MMClassify-sound-v0", "rloo"): Tuned(steps=640_000, settings=_SHIFTED),
    ("MMVQA-v0", "rloo"): Tuned(steps=2_040_000, settings=_SHIFTED),
    ("MMVQA-sound-v0", "rloo"): Tuned(steps=1_360_000, settings=_SHIFTED),
    ("MMRetrieve-v0", "rloo"): Tuned(steps=320_000, settings=_EXPECTED),
    ("MMCaption-v0", "rloo"): Tuned(steps=220_000, num_envs=96, settings=_WORDS),
    ("MMCaption-sound-v0", "rloo"): Tuned(
        steps=140_000, num_envs=96, settings={**_WORDS, "demonstration_steps": 44_000}
    ),
    ("MMCaption-many-v0", "rloo"): Tuned(
        steps=150_000, num_envs=96, settings={**_WORDS, "demonstration_steps": 48_000}
    ),
    ("MMVQA-tokens-v0", "rloo"): Tuned(steps=800_000, settings=_DRAWN),
    ("MMGround-v0", "rloo"): Tuned(steps=5_000_000, settings=_BOXES),
    ("MMGuess-v0", "rloo"): Tuned(steps=16_000_000, settings=_SHIFTED),
}


def settings_for(usual: Tuned, steps: int) -> dict[str, Any]:
    """Tuned settings for another number of steps: demonstrations keep their share of the training."""
    settings = dict(usual.settings)
    if settings.get("demonstrations"):
        imitated = settings.get("demonstration_steps", 64_000) * steps // usual.steps
        settings["demonstration_steps"] = max(1, imitated)
    return settings


def tuned(id: str, algo: str) -> Tuned:
    """The settings of an environment and an algorithm, or the defaults of the algorithm.

    Raises:
        ValueError: There is no such algorithm.

    Example:
        >>> tuned("MMClassify-digits-v0", "sb3-ppo").num_envs
        256
    """
    check_one_of("algo", algo, TRAINERS)
    return TUNED.get((id, algo), DEFAULTS[algo])
