"""``mm-envs feedback collect``: simulated annotators label pairs, and a store keeps the labels."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import tyro

from mm_envs.cli.feedback.source import setting_of
from mm_envs.cli.output import console, print_json, shown
from mm_envs.cli.threads import torch_threads
from mm_envs.names import at_least, check_one_of


@dataclass(frozen=True)
class Collect:
    """Ask simulated annotators which of two answers is better, and keep their labels in a store.

    The same command again adds nothing, and goes on where it was interrupted; with more --pairs it asks
    further ones. --query other than uniform asks in rounds: after each round an ensemble of reward models is
    fitted to all labels, and the next pairs are those that teach it most.

    Attributes:
        id: Which environment; see mm-envs list.
        annotators: Who is asked: numbers and kinds, as "7 good, 4 coin, 1 adversary"; one name (oracle,
            mistake, noisy, skip, myopic, equal, good, ...); or a JSON file.
        pairs: How many pairs are asked about in all.
        db: The store: a file, sqlite:///FILE or postgresql+psycopg://...
        query: How pairs are chosen: uniform, disagreement, logit_disagreement, entropy, mean_entropy,
            k_center, k_center_disagreement or k_center_entropy.
        sampler: Where the answers come from: edits, edits:0-4, right_and_wrong, mismatched_references,
            policy:FOLDER, policy:FOLDER@0.7 (temperature), or several joined by +.
        votes: How many annotators judge each pair; by default one, or as the JSON file says.
        rounds: In how many rounds the pairs are asked.
        schedule: How the pairs are divided among the rounds: constant, hyperbolic or inverse_quadratic.
        members: Reward models of the ensemble that chooses.
        split: Which items are asked about.
        seed: Decides questions, answers, choices and annotators; another seed is another collection.
        set: An argument of the environment as key=value with a JSON value; may be repeated.
        data: A folder of files that the items are made of.
        layout: How to read it; see mm-envs data describe.
        threads: Threads of torch; 0 for its own choice.
        json: Print JSON.
    """

    id: tyro.conf.Positional[str]
    annotators: str
    pairs: int
    db: str
    query: str = "uniform"
    sampler: str = "edits"
    votes: int | None = None
    rounds: int = 5
    schedule: str = "constant"
    members: int = 3
    split: str = "train"
    seed: int = 0
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    data: Path | None = None
    layout: str | None = None
    threads: int = 1
    json: bool = False

    def run(self) -> int:
        """Asks, stores and prints."""
        with torch_threads(self.threads):
            found = collect(self)
        if self.json:
            print_json(found)
            return 0
        out = console()
        out.print(
            f"[bold]{found['new']:,} new[/] of {found['pairs']:,} pairs on {self.id}, {found['votes']} "
            f"vote{'s' if found['votes'] > 1 else ''} each: {shown(found['sampler'])}",
            soft_wrap=True,
        )
        for name, count in found["choices"].items():
            out.print(f"  {name:8} {count:,}")
        data = "" if self.data is None else f" --data {shown(quote(str(self.data)))}"
        out.print(
            f"[dim]next: mm-envs feedback fit --db {shown(quote(self.db))}{data} --out FOLDER[/]",
            soft_wrap=True,
        )
        return 0


def collect(options: Collect) -> dict[str, Any]:
    """Asks what is left to ask.

    Raises:
        ValueError: An option does not fit, or the store holds something else on the same questions.
    """
    from feedback.active_learning import Collection as Gathering
    from feedback.active_learning import Plan
    from feedback.queries import QUERIES, SCHEDULES
    from feedback.store import PreferenceStore

    _check(options, QUERIES, SCHEDULES)
    arguments = setting_of(options.id, options.set, options.data, options.layout).arguments
    plan = Plan(options.pairs, options.rounds, options.query, schedule=options.schedule, seed=options.seed)
    collection = Gathering.make(
        options.id,
        arguments,
        options.annotators,
        options.sampler,
        plan,
        options.votes,
        options.split,
        options.members,
    )
    single = options.query == "uniform" or options.rounds == 1
    status = console(json_output=True)

    def progress(number: int, pairs: int) -> None:
        text = "" if single else f"round {number + 1}: "
        status.print(f"{text}{pairs:,} of {options.pairs:,} pairs", style="dim")

    with PreferenceStore(options.db) as store:
        return {"db": options.db, **collection.run(store, progress)}


def _check(options: Collect, queries: Collection[str], schedules: Collection[str]) -> None:
    at_least("--pairs", options.pairs, 1, "ask about at least one")
    at_least("--rounds", options.rounds, 1, "ask in at least one")
    at_least("--members", options.members, 1)
    at_least("--seed", options.seed, 0)
    for name, value, known in (
        ("--query", options.query, queries),
        ("--schedule", options.schedule, schedules),
    ):
        check_one_of(name, value, known)
