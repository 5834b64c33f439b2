"""``mm-envs label``: a person labels pairs at the terminal, one key a pair."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from mm_envs.cli.output import console, print_json, shown
from mm_envs.cli.threads import torch_threads
from mm_envs.names import at_least

if TYPE_CHECKING:
    from feedback.preferences import Pairwise
    from feedback.store import PreferenceStore


@dataclass(frozen=True)
class Label:
    """Label which of two answers is better, one pair at a time, with one key.

    The keys are 1 or a for the first, 2 or b for the second, t for neither, s to skip, u to undo the label
    before, q to quit. Every label is stored at once, so that Ctrl-C loses nothing; the same command goes on.

    Attributes:
        id: Which environment; see mm-envs list.
        annotator: Your name in the store.
        db: The store: a file, sqlite:///FILE or postgresql+psycopg://...
        pairs: How many pairs in all; those that you have answered are passed over.
        sampler: Where the answers come from; see mm-envs feedback collect.
        pictures: Write picture and sound of each pair into this folder, always to the same files (a viewer
            that looks again shows them), instead of drawing the picture in the terminal.
        overlap: How many annotators shall answer each pair, so that several can share the work; 0 for all.
        split: Which items are asked about.
        seed: Decides questions and answers.
        set: An argument of the environment as key=value with a JSON value; may be repeated.
        data: A folder of files that the items are made of.
        layout: How to read it; see mm-envs data describe.
        json: Print JSON at the end, and the questions on standard error.
    """

    id: tyro.conf.Positional[str]
    annotator: str
    db: str
    pairs: int = 20
    sampler: str = "edits"
    pictures: Path | None = None
    overlap: int = 0
    split: str = "train"
    seed: int = 0
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    data: Path | None = None
    layout: str | None = None
    json: bool = False

    def run(self) -> int:
        """Asks, stores and prints."""
        with torch_threads(1):
            found = label(self)
        if self.json:
            print_json(found)
            return 0
        counts = ", ".join(f"{count} {choice}" for choice, count in found["choices"].items())
        console().print(
            f"[bold]{found['new']} new[/], {found['answered']} of {found['pairs']} pairs answered by "
            f"{shown(self.annotator)}: {counts or 'nothing yet'}"
        )
        return 0


def label(options: Label) -> dict[str, Any]:
    """Asks a person at the terminal.

    Returns:
        The choices and their numbers, as JSON values.

    Raises:
        ValueError: An option does not fit.
    """
    at_least("--pairs", options.pairs, 1, "ask about at least one")
    at_least("--overlap", options.overlap, 0)
    at_least("--seed", options.seed, 0)
    if not options.annotator.strip():
        raise ValueError("--annotator is empty: give your name")
    import torch

    from feedback.active_learning import differing_pairs, seed_of
    from feedback.collection import task_of
    from feedback.responses import make_sampler
    from feedback.store import PreferenceStore
    from mm_envs.cli.asking import ask, person_at_terminal
    from mm_envs.cli.feedback.source import setting_of

    setting = setting_of(options.id, options.set, options.data, options.layout)
    task = task_of(setting.id, split=options.split, **setting.arguments)
    sampler, seed, count = (
        make_sampler(options.sampler, task),
        seed_of(options.seed, "round 0"),
        options.pairs,
    )
    pairs = differing_pairs(setting.id, sampler, count, count, options.split, seed, **setting.arguments)
    pairs = pairs.take(torch.arange(count))
    with PreferenceStore(options.db) as store:
        try:
            with person_at_terminal(options.pictures, options.json) as person:
                records, new = ask(person, options.annotator, task, pairs, store, options.overlap)
        except KeyboardInterrupt:
            _print_stored(options, store)
            raise
    return {
        "id": options.id,
        "db": options.db,
        "annotator": options.annotator,
        "sampler": sampler.name,
        "pairs": len(pairs),
        "answered": len(records),
        "new": new,
        "choices": dict(sorted(Counter(map(_displayed, records)).items())),
    }


def _print_stored(options: Label, store: PreferenceStore) -> None:
    count = store.count("pairwise", options.annotator)
    console(json_output=True).print(
        f"{count} answer{'' if count == 1 else 's'} of {shown(options.annotator)} stored in "
        f"{shown(options.db)}; the same command goes on",
        soft_wrap=True,
    )


def _displayed(one: Pairwise) -> str:
    """The choice by position on the screen; records count answers as they were drawn."""
    if one.choice not in ("first", "second") or one.displayed[:1] != (1,):
        return one.choice
    return "second" if one.choice == "first" else "first"
