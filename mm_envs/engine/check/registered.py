"""Every checker there is, on registered environment ids."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import gymnasium as gym

from mm_envs.engine.check import check_vector_env
from mm_envs.spaces import Candidates, Video

MODES = ("SameStep", "NextStep", "Disabled")
OUTPUTS = ("torch", "numpy")


@dataclass(frozen=True)
class Outcome:
    """Result of one checker on one id.

    Attributes:
        name: The checker.
        holds: Whether everything holds.
        details: What does not hold, each in a sentence.
        rules: How many rules hold, and how many could not be tried.
    """

    name: str
    holds: bool
    details: tuple[str, ...] = ()
    rules: tuple[int, int] = (1, 0)


def check_id(name: str, rows: int = 4, steps: int = 40) -> Iterator[Outcome]:
    """Runs Gymnasium's and Stable-Baselines3's checkers and the rules for vector environments on an id.

    Vector environments have ``rows`` rows and are driven ``steps`` steps at a time.
    """
    from gymnasium.utils.env_checker import check_env as gymnasium_check
    from stable_baselines3.common.env_checker import check_env as sb3_check

    yield strictly("Gymnasium's check_env", lambda: gymnasium_check(gym.make(name).unwrapped))
    env = gym.make(name)
    advice = advice_on(env.observation_space)
    yield strictly("Stable-Baselines3's check_env", lambda: sb3_check(env), advice)
    for output in OUTPUTS:
        for mode in MODES:
            yield _vector(name, output, mode, rows, steps)


def advice_on(space: gym.Space[Any]) -> tuple[str, ...]:
    """Warnings of Stable-Baselines3 on entries that agents.encoders can encode: videos and candidates."""
    assert isinstance(space, gym.spaces.Dict)
    keys = [key for key, entry in space.spaces.items() if isinstance(entry, (Candidates, Video))]
    return tuple(f"Your observation {key} has an unconventional shape" for key in keys)


def strictly(title: str, check: Callable[[], object], allowed: tuple[str, ...] = ()) -> Outcome:
    """Runs a checker. Warnings count as failures, except for those that begin with an allowed text."""
    with _warnings_of_gymnasium(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            check()
        except Exception as error:
            return Outcome(title, False, (f"{type(error).__name__}: {error}",), (0, 0))
    messages = dict.fromkeys(str(one.message) for one in caught)
    details = tuple(one for one in messages if not one.startswith(allowed))
    return Outcome(title, not details, details, (int(not details), 0))


@contextmanager
def _warnings_of_gymnasium() -> Iterator[None]:
    """Lets Gymnasium warn, whatever level its logger was set to, and restores the level."""
    before = gym.logger.min_level
    gym.logger.min_level = gym.logger.WARN
    try:
        yield
    finally:
        gym.logger.min_level = before


def _vector(name: str, output: str, mode: str, rows: int, steps: int) -> Outcome:
    def make(num_envs: int, autoreset_mode: Any = mode, first_row: int = 0) -> Any:
        return gym.make_vec(
            name, num_envs=num_envs, output=output, autoreset_mode=autoreset_mode, first_row=first_row
        )

    report = check_vector_env(make(rows), make=make, steps=steps, raise_on_failure=False)
    details = tuple(f"{check.name}: {check.detail}" for check in report.failures)
    rules = (len(report.of("holds")), len(report.of("skipped")))
    return Outcome(f"vector rules, {output}, {mode}", report.ok, details, rules)
