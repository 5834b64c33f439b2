"""``mm-envs replay``: any episode back from one line of text."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from mm_envs.cli.arguments import key_values
from mm_envs.cli.output import console, print_json, shown
from mm_envs.cli.settings import setting_of

if TYPE_CHECKING:
    from mm_envs.engine.replay import Replay as Replayed


@dataclass(frozen=True)
class Replay:
    """Make an episode again: the question of a ticket and, with a response, its reward and utility.

    Attributes:
        ticket: The line that mm_envs.ticket wrote.
        response: What to answer: words, the name of a class, or numbers as [5, 3, 1].
        policy: A folder that mm-envs train wrote, whose agent answers.
        data: The folder of the files, where the ticket was made on a folder.
        feedback: Who gives the reward, instead of who gave it the first time.
        set: Another argument that is no part of the ticket, as key=value; may be repeated.
        out: Draw the episode into this file, PNG.
        json: Print JSON.
    """

    ticket: tyro.conf.Positional[str]
    response: str | None = None
    policy: Path | None = None
    data: Path | None = None
    feedback: str | None = None
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    out: Path | None = None
    json: bool = False

    def run(self) -> int:
        """Replays and prints."""
        arguments = key_values(self.set)
        if self.data is not None:
            arguments["path"] = str(self.data)
        from mm_envs.engine.replay import replay

        response: Any = self.response
        if self.policy is not None:
            response = self._answer(arguments)
        again = replay(self.ticket, response, feedback=self.feedback, **arguments)
        if self.out is not None:
            self.out.parent.mkdir(parents=True, exist_ok=True)
            again.card().save(self.out, format="PNG")
        if self.json:
            print_json(_described(again, self.out))
        else:
            _print(again, self.out)
        return 0

    def _answer(self, arguments: dict[str, Any]) -> Any:
        from agents.playing import answer_ticket

        if self.response is not None:
            raise ValueError("--response and --policy exclude each other: give one")
        agent = setting_of(str(self.policy), feedback=self.feedback, data=self.data).policy()
        return answer_ticket(agent, self.ticket, feedback=self.feedback, **arguments)


def _described(again: Replayed, out: Path | None) -> dict[str, Any]:
    """The episode as JSON values."""
    from mm_envs.engine.output import decode

    outcome = None
    if again.outcome is not None:
        outcome = {key: value for key, value in asdict(again.outcome).items() if key != "observation"}
    return {
        "ticket": str(again.ticket),
        **asdict(again.ticket),
        "question": decode(again.env, again.observation),
        "good_answers": again.good,
        "outcome": outcome,
        "picture": None if out is None else str(out),
    }


def _print(again: Replayed, out: Path | None) -> None:
    one, page = again.ticket, console()
    page.print(f"[bold]{shown(one.id)}[/], item {one.item} of {one.split}, dataset {shown(one.dataset)}")
    page.print(f"seed {one.seed}, row {one.row}, episode {one.episode}", style="dim")
    for name, text in again.lines():
        page.print(f"  {name:14} {shown(text)}", soft_wrap=True)
    if again.outcome is None:
        page.print("  answer with --response, or with --policy FOLDER", style="dim")
    else:
        for owner in ("reward_parts", "utility_parts"):
            for name, value in getattr(again.outcome, owner).items():
                page.print(f"  {owner[:-1].replace('_', ' '):14} {shown(name)} {value:.6g}", style="dim")
    if out is not None:
        page.print(f"  picture        [cyan]{shown(out)}[/]", soft_wrap=True)
