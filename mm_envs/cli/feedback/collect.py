"""``mm-envs feedback collect``: simulated annotators are asked, and a store keeps what they say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from mm_envs.cli.feedback.source import items_of, setting_of
from mm_envs.cli.output import console, print_json, shown
from mm_envs.cli.threads import torch_threads
from mm_envs.names import at_least, one_of

if TYPE_CHECKING:
    from feedback.annotators import AnnotatorPool
    from feedback.preferences import Pairwise
    from feedback.rounds import Round
    from feedback.store import PreferenceStore
    from mm_envs.tasks.task import Task


@dataclass(frozen=True)
class Collect:
    """Ask simulated annotators which of two answers is better, and keep what they say in a store.

    The same command again adds nothing, and goes on where it was interrupted; with more --pairs it asks
    further ones. --query other than uniform asks in rounds: after each round an ensemble of reward models is
    fitted to all that was said, and the next pairs are those that teach it most.

    Attributes:
        id: Which environment; see mm-envs list.
        annotators: Who is asked: numbers and kinds, as "7 good, 4 coin, 1 adversary"; one name (oracle,
            mistake, noisy, skip, myopic, equal, good, ...); or a JSON file.
        pairs: How many pairs are asked about in all.
        db: The store: a file, sqlite:///FILE or postgresql+psycopg://...
        query: How pairs are chosen: uniform, disagreement, logit_disagreement, entropy, mean_entropy,
            k_center, k_center_disagreement or k_center_entropy.
        sampler: Where the answers come from: edits, edits:0-4, right_and_wrong, other_pictures,
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
            said = collect(self)
        if self.json:
            print_json(said)
            return 0
        out = console()
        out.print(
            f"[bold]{said['new']:,} new[/] of {said['pairs']:,} pairs on {self.id}, {said['votes']} "
            f"vote{'s' if said['votes'] > 1 else ''} each: {shown(said['sampler'])}",
            soft_wrap=True,
        )
        for name, count in said["choices"].items():
            out.print(f"  {name:8} {count:,}")
        data = "" if self.data is None else f" --data {shown(quote(str(self.data)))}"
        out.print(
            f"[dim]next: mm-envs feedback fit --db {shown(quote(self.db))}{data} --out FOLDER[/]",
            soft_wrap=True,
        )
        return 0


def collect(options: Collect) -> dict[str, Any]:
    """Asks what is left to ask.

    Returns:
        What was done, as JSON values.

    Raises:
        ValueError: An option does not fit, or the store holds something else on the same questions.
    """
    from feedback.queries import QUERIES, SCHEDULES
    from feedback.store import PreferenceStore

    _check(options, QUERIES, SCHEDULES)
    from mm_envs.cli.feedback.collection import Collection

    setting = setting_of(options.id, options.set, options.data, options.layout)
    collection = Collection.of(options, setting)
    with PreferenceStore(options.db) as store:
        earlier = collection.stored(store)
        before = 0 if earlier is None else len(earlier)
        status = console(json_output=True)
        records: list[Pairwise] = []
        single = options.query == "uniform" or options.rounds == 1
        for one in collection.rounds(earlier):
            fresh = _store(store, collection.task, collection.pool, one, collection.chooser(one.number))
            records += fresh
            number = "" if single else f"round {one.number + 1}: "
            status.print(f"{number}{len(one.asked):,} of {options.pairs:,} pairs", style="dim")
        total = max(before, options.pairs) if records or before else 0
        return {
            "id": options.id,
            "db": options.db,
            "sampler": collection.sampler.name,
            "query": options.query,
            "pairs": total,
            "new": total - before,
            "votes": collection.pool.votes,
            "records": store.count(kind="pairwise", environment=options.id),
            "annotators": {
                name: count for name, count in store.annotators().items() if name in collection.pool.names
            },
            "choices": dict(sorted(Counter(one.choice for one in records).items())),
        }


def _check(options: Collect, queries: Any, schedules: Any) -> None:
    at_least("--pairs", options.pairs, 1, "ask about at least one")
    at_least("--rounds", options.rounds, 1, "ask in at least one")
    at_least("--members", options.members, 1)
    at_least("--seed", options.seed, 0)
    if options.query not in queries:
        raise ValueError(one_of("--query", options.query, queries))
    if options.schedule not in schedules:
        raise ValueError(one_of("--schedule", options.schedule, schedules))


def _store(
    store: PreferenceStore, task: Task, pool: AnnotatorPool, one: Round, chooser: str
) -> list[Pairwise]:
    """Writes what was said in a round, all of it or nothing."""
    from feedback.rounds import records

    rows = (one.asked.round == one.number).nonzero()[:, 0]
    asked, pairs = one.asked.take(rows), one.pairs.take(rows)
    said = records(task, pairs, asked, pool.names, chooser)
    store.submit(said, items_of(task, pairs))
    return said
