"""``mm-envs check``: whether environments keep the rules of Gymnasium and of Stable-Baselines3."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import tyro

from mm_envs.cli.arguments import known_id
from mm_envs.cli.output import console, print_json
from mm_envs.cli.threads import torch_threads
from mm_envs.names import at_least
from mm_envs.tasks import CONFIGURATIONS

if TYPE_CHECKING:
    from rich.console import Console

    from mm_envs.engine.check.registered import Outcome


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
        from mm_envs.engine.check.registered import check_id

        at_least("--rows", self.rows, 1)
        at_least("--steps", self.steps, 1)
        names = [known_id(name) for name in self.ids] or list(CONFIGURATIONS)
        out = console(self.json)
        found: dict[str, list[Outcome]] = {name: [] for name in names}
        with torch_threads(1):
            for name, outcomes in found.items():
                out.print(f"[bold]{name}[/]")
                for outcome in check_id(name, self.rows, self.steps):
                    outcomes.append(outcome)
                    _print(out, outcome)
        checks = [outcome.holds for outcomes in found.values() for outcome in outcomes]
        failures = checks.count(False)
        if self.json:
            ids = {name: [asdict(one) for one in outcomes] for name, outcomes in found.items()}
            print_json({"ok": failures == 0, "ids": ids})
        verdict = f"[red]{failures} fail[/]" if failures else "[green]all hold[/]"
        out.print(f"{len(checks)} checks of {len(names)} environments: {verdict}")
        return 1 if failures else 0


def _print(out: Console, outcome: Outcome) -> None:
    from rich.markup import escape

    mark = "[green]holds[/]" if outcome.holds else "[red]FAILS[/]"
    held, skipped = outcome.rules
    count = f"{held} rules" + (f", {skipped} not applicable" if skipped else "") if held > 1 else ""
    out.print(f"  {mark}  {outcome.name:32} [dim]{count}[/]")
    for detail in outcome.details:
        out.print(f"         [red]{escape(detail)}[/]", soft_wrap=True)
