"""``mm-envs check``: whether environments keep the rules of Gymnasium and of Stable-Baselines3."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import tyro

from mm_envs.cli.arguments import known_id
from mm_envs.cli.output import console, print_json
from mm_envs.cli.threads import torch_threads
from mm_envs.names import at_least
from mm_envs.tasks import CONFIGURATIONS

if TYPE_CHECKING:
    import gymnasium as gym

    from mm_envs.engine.check import Report

MODES = ("SameStep", "NextStep", "Disabled")
OUTPUTS = ("torch", "numpy")


@dataclass(frozen=True)
class Outcome:
    """What one checker said of one id.

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


@dataclass(frozen=True)
class Check:
    """Check environments: Gymnasium's and Stable-Baselines3's checkers, and rules for vector environments.

    Warnings count as failures. The exit status is 1 if anything does not hold.

    Attributes:
        ids: Which environments; all of them if none is named.
        json: Print JSON instead of a table.
        rows: Rows of the vector environments.
        steps: Steps of each drive of a vector environment.
    """

    ids: tyro.conf.Positional[tuple[str, ...]] = ()
    json: bool = False
    rows: int = 4
    steps: int = 40

    def run(self) -> int:
        """Checks and prints."""
        at_least("--rows", self.rows, 1)
        at_least("--steps", self.steps, 1)
        names = [known_id(name) for name in self.ids] or list(CONFIGURATIONS)
        out = console(self.json)
        found: dict[str, list[Outcome]] = {}
        with torch_threads(1):
            for name in names:
                found[name] = []
                out.print(f"[bold]{name}[/]")
                for outcome in _outcomes(name, self.rows, self.steps):
                    found[name].append(outcome)
                    _print(out, outcome)
        failures = sum(not outcome.holds for outcomes in found.values() for outcome in outcomes)
        if self.json:
            print_json(
                {
                    "ok": failures == 0,
                    "ids": {name: [asdict(one) for one in outcomes] for name, outcomes in found.items()},
                }
            )
        tried = sum(len(outcomes) for outcomes in found.values())
        verdict = f"[red]{failures} fail[/]" if failures else "[green]all hold[/]"
        out.print(f"{tried} checks of {len(names)} environments: {verdict}")
        return 1 if failures else 0


def _outcomes(name: str, rows: int, steps: int) -> Iterator[Outcome]:
    import gymnasium as gym
    from gymnasium.utils.env_checker import check_env as gymnasium_check
    from stable_baselines3.common.env_checker import check_env as sb3_check

    yield _strictly("Gymnasium's check_env", lambda: gymnasium_check(gym.make(name).unwrapped))
    env = gym.make(name)
    advice = advice_on(env.observation_space)
    yield _strictly("Stable-Baselines3's check_env", lambda: sb3_check(env), advice)
    for output in OUTPUTS:
        for mode in MODES:
            yield _vector(name, output, mode, rows, steps)


def advice_on(space: gym.Space[Any]) -> tuple[str, ...]:
    """What Stable-Baselines3 advises on entries that are neither vectors nor pictures: an encoder for them.

    agents.encoders has one for videos and for candidates, so that this advice is taken.
    """
    import gymnasium as gym

    from mm_envs.spaces import Candidates, Video

    assert isinstance(space, gym.spaces.Dict)
    keys = [key for key, entry in space.spaces.items() if isinstance(entry, (Candidates, Video))]
    return tuple(f"Your observation {key} has an unconventional shape" for key in keys)


def _strictly(title: str, check: Callable[[], object], taken: tuple[str, ...] = ()) -> Outcome:
    """Runs a checker whose warnings count as failures, except for those that begin with advice taken."""
    with _warnings_of_gymnasium(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            check()
        except Exception as error:
            return Outcome(title, False, (f"{type(error).__name__}: {error}",), (0, 0))
    messages = dict.fromkeys(str(one.message) for one in caught)
    details = tuple(one for one in messages if not one.startswith(taken))
    return Outcome(title, not details, details, (int(not details), 0))


@contextmanager
def _warnings_of_gymnasium() -> Iterator[None]:
    """Lets Gymnasium warn, whatever level its logger was set to, and puts the level back."""
    import gymnasium as gym

    before = gym.logger.min_level
    gym.logger.min_level = gym.logger.WARN
    try:
        yield
    finally:
        gym.logger.min_level = before


def _vector(name: str, output: str, mode: str, rows: int, steps: int) -> Outcome:
    import gymnasium as gym

    from mm_envs.engine.check import check_vector_env

    def make(num_envs: int, autoreset_mode: Any = mode, first_row: int = 0) -> Any:
        return gym.make_vec(
            name, num_envs=num_envs, output=output, autoreset_mode=autoreset_mode, first_row=first_row
        )

    report: Report = check_vector_env(make(rows), make=make, steps=steps, raise_on_failure=False)
    details = tuple(f"{check.name}: {check.detail}" for check in report.failures)
    rules = (len(report.of("holds")), len(report.of("skipped")))
    return Outcome(f"vector rules, {output}, {mode}", report.ok, details, rules)


def _print(out: Any, outcome: Outcome) -> None:
    from rich.markup import escape

    mark = "[green]holds[/]" if outcome.holds else "[red]FAILS[/]"
    held, skipped = outcome.rules
    count = f"{held} rules" + (f", {skipped} not applicable" if skipped else "") if held > 1 else ""
    out.print(f"  {mark}  {outcome.name:32} [dim]{count}[/]")
    for detail in outcome.details:
        out.print(f"         [red]{escape(detail)}[/]", soft_wrap=True)
