"""``mm-envs compare``: two agents on the same items, compared by a person or by annotators."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from mm_envs.cli.output import console, print_json, shown
from mm_envs.cli.settings import setting_of
from mm_envs.cli.threads import torch_threads
from mm_envs.names import at_least, one_of

if TYPE_CHECKING:
    from agents.run_folder import Setting
    from feedback.active_learning import CandidatePairs
    from feedback.duel import Duel
    from feedback.preferences import Pairwise
    from mm_envs.tasks.task import Task

PERSON = "person"


@dataclass(frozen=True)
class Compare:
    """Compare two trained agents on the same held-out items, blindly.

    Which answer is displayed first is random, and nothing says whose it is. Prints how often the first agent
    wins (a tie counts half) with its 95 % interval, and the true utility of both.

    Attributes:
        a: A folder that mm-envs train wrote; or random, oracle or blind.
        b: Another one.
        judge: Who votes which answer is better: person (you, at the terminal), or annotators as in mm-envs
            feedback collect: oracle, "7 good, 4 coin", a JSON file.
        items: How many items of the split, at most.
        votes: How many annotators vote on each item; by default one, or as the JSON file says.
        db: Keep the votes in this store; a person goes on there with the same command.
        annotator: The name of the person in the store.
        pictures: Write picture and sound into this folder; see mm-envs label.
        split: Which items.
        seed: Decides items, order of display and annotators.
        id: Which environment, if neither is a folder.
        data: The folder of the files that the items are made of, if it is not where it was in training.
        layout: How to read it; see mm-envs data describe.
        json: Print JSON.
    """

    a: tyro.conf.Positional[str]
    b: tyro.conf.Positional[str]
    judge: str = "oracle"
    items: int = 100
    votes: int | None = None
    db: str | None = None
    annotator: str = PERSON
    pictures: Path | None = None
    split: str = "test"
    seed: int = 0
    id: str | None = None
    data: Path | None = None
    layout: str | None = None
    json: bool = False

    def run(self) -> int:
        """Compares and prints."""
        with torch_threads(1):
            found = compare(self)
        if self.json:
            print_json({**asdict(self), **found.to_dict()})
            return 0
        out = console()
        rate, gap = found.rate, found.gap
        out.print(
            f"[bold]{shown(self.a)}[/] against [bold]{shown(self.b)}[/], judge {shown(self.judge)}",
            soft_wrap=True,
        )
        out.print(
            f"  {found.items} items, {found.same} of them with equal answers; votes: {found.wins} won, "
            f"{found.losses} lost, {found.ties} tied, {found.skips} skipped",
            soft_wrap=True,
        )
        out.print(f"  win rate            {rate}" if rate else "  no votes")
        for name, one in ((self.a, found.utility_a), (self.b, found.utility_b)):
            out.print(f"  utility {shown(Path(name).name):11} {one}")
        out.print(f"  difference          {gap}")
        return 0


def compare(options: Compare) -> Duel:
    """Has both answer the same items, and a person or annotators vote.

    Raises:
        ValueError: The agents do not answer the same questions, or an option does not fit.
        FileNotFoundError: A folder holds no agent.
    """
    at_least("--items", options.items, 1, "compare on at least one")
    at_least("--seed", options.seed, 0)
    sides = _sides(options)
    from feedback.duel import Duel, play_duel

    pairs, task = play_duel(sides, options.items, options.split, options.seed)
    differ = pairs.take(pairs.differ)
    records = _votes(options, task, differ) if len(differ) else []
    return Duel.of(task, pairs, records)


def _sides(options: Compare) -> list[tuple[str, Setting]]:
    """The policy ("agent", or a baseline policy) and the environment of both."""
    from agents.baselines import NAMES
    from agents.run_folder import Setting

    named = {
        text: setting_of(text, data=options.data, layout=options.layout)
        for text in (options.a, options.b)
        if text not in NAMES
    }
    for text, one in named.items():
        if one.agent is None:
            raise ValueError(f"{one_of('agent', text, NAMES)}, nor a folder that `mm-envs train` wrote")
    if not named:
        if options.id is None:
            raise ValueError("neither is a folder of an agent: give --id, the environment")
        named[""] = setting_of(options.id, data=options.data, layout=options.layout)
    common = next(iter(named.values()))
    return [
        ("agent", named[text]) if text in named else (text, Setting(common.id, common.arguments))
        for text in (options.a, options.b)
    ]


def _votes(options: Compare, task: Task, pairs: CandidatePairs) -> list[Pairwise]:
    from feedback.active_learning import items_of, queries_of
    from feedback.annotators import make_pool
    from feedback.duel import votes_of
    from feedback.store import PreferenceStore
    from mm_envs.cli.asking import ask, person_at_terminal

    with PreferenceStore(options.db or "sqlite://") as store:
        if options.judge == PERSON:
            with person_at_terminal(options.pictures, options.json) as person:
                return ask(person, options.annotator, task, pairs, store)[0]
        records = votes_of(make_pool(options.judge, task, options.votes, options.seed), task, pairs)
        store.submit(records, items_of(task, pairs), queries_of(task, pairs))
    return records
