"""Five sets of captions with human judgements in one form: answers to pictures, and their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.experiment import Context
from benchmarks.experiments.captions import data as human
from benchmarks.experiments.captions.people import Split, split_all
from benchmarks.experiments.captions.words import simple_words, treebank_words

Numbers: TypeAlias = "NDArray[np.float64]"
Rows: TypeAlias = "NDArray[np.int64]"


@dataclass(frozen=True)
class HumanLabels:
    """Captions of pictures (or sounds), each with references, and judgements that name their rows.

    Attributes:
        name: The set.
        candidates: The captions, one space between words.
        references: What people wrote of the same picture, for each caption.
        image: The picture of each caption, (captions,) int64 from 0 on.
        first: The caption of each judgement, (n,) int64.
        second: What it was compared with, (n,) int64; empty for ratings.
        values: Ratings from 0 to 1, or votes for ``first`` minus votes for ``second``, (n,).
        groups: The category of each judgement; empty without categories.
        given: The single votes of every pair.
        people: The number of people of each rating.
    """

    name: str
    candidates: list[str]
    references: list[list[str]]
    image: Rows
    first: Rows
    second: Rows
    values: Numbers
    groups: list[str] = field(default_factory=list)
    given: list[list[int]] = field(default_factory=list)
    people: list[int] = field(default_factory=list)

    @property
    def paired(self) -> bool:
        """Whether captions were compared rather than rated."""
        return len(self.second) > 0

    @property
    def images(self) -> int:
        """How many pictures there are."""
        return int(self.image.max()) + 1


SETS = (
    "Flickr8k experts",
    "Flickr8k crowd",
    "THumB without people's captions",
    "THumB",
    "PASCAL-50S",
    "AudioCaps-Eval",
)


def rated_captions(name: str, context: Context, limit: int | None) -> HumanLabels:
    """The judgements of a set.

    Flickr8k: three experts' scores from 1 to 4, each a judgement of its own, or the share of three or more
    workers who accept a caption. THumB: scores from 1 to 5. PASCAL-50S: pairs with five references.
    AudioCaps-Eval: pairs without balanced votes.

    Args:
        name: One of ``SETS``.
        context: Names the folders.
        limit: The number of judgements; None for all.
    """
    if name.startswith("Flickr8k"):
        folder = context.folder("flickr8k_human_judgements")
        if name.endswith("experts"):
            return _rated(name, human.flickr8k_expert(folder), treebank_words, 1, 4, limit)
        return _rated(name, human.flickr8k_crowd(folder), treebank_words, 0, 1, limit)
    if name == "PASCAL-50S":
        return _compared(name, human.pascal50s(context.folder("pascal50s_human_pairs"), 5), limit)
    if name == "AudioCaps-Eval":
        return _compared(name, human.fense(context.folder("fense_audiocaps_eval")), limit)
    ratings = human.thumb(context.folder("thumb_mscoco_ratings"))
    kept = [i for i, system in enumerate(ratings.groups) if name == "THumB" or system != "Human"]
    chosen = human.Ratings(
        [ratings.candidates[i] for i in kept],
        [ratings.references[i] for i in kept],
        ratings.scores[kept],
        [ratings.groups[i] for i in kept],
        [ratings.images[i] for i in kept],
    )
    return _rated(name, chosen, simple_words, 1, 5, limit)


def _rated(
    name: str, ratings: human.Ratings, split: Split, low: float, high: float, limit: int | None
) -> HumanLabels:
    table = _Table(split)
    known, images = ratings.references[:limit], ratings.images[:limit]
    rows = list(map(table.row, ratings.candidates[:limit], known, images))
    values = (ratings.scores[:limit] - low) / (high - low)
    return table.labelled(name, rows, [], values, ratings.groups[:limit], [], ratings.people[:limit])


def _compared(name: str, pairs: human.Preferences, limit: int | None) -> HumanLabels:
    table = _Table(simple_words)
    known, images = pairs.references[:limit], pairs.images[:limit]
    first, second = (
        list(map(table.row, texts[:limit], known, images)) for texts in (pairs.first, pairs.second)
    )
    votes = pairs.votes[:limit].astype(np.float64)
    return table.labelled(name, first, second, votes, pairs.groups[:limit], pairs.given[:limit], [])


class _Table:
    """Captions with their references, each once, in the order in which they are first named."""

    def __init__(self, split: Split) -> None:
        self._split = split
        self._rows: dict[tuple[str, tuple[str, ...], str], int] = {}

    def row(self, candidate: str, references: Sequence[str], image: str) -> int:
        """The row of a caption, added if it is new."""
        return self._rows.setdefault((candidate, tuple(references), image), len(self._rows))

    def labelled(
        self,
        name: str,
        first: list[int],
        second: list[int],
        values: Numbers,
        groups: list[str],
        given: list[list[int]],
        people: list[int],
    ) -> HumanLabels:
        """Labels of pairs of rows, with the captions split into words."""
        candidates = split_all(self._split, [text for text, _, _ in self._rows])
        known = {texts: split_all(self._split, texts) for _, texts, _ in self._rows}
        images = {image: index for index, image in enumerate(dict.fromkeys(one for *_, one in self._rows))}
        return HumanLabels(
            name,
            candidates,
            [known[texts] for _, texts, _ in self._rows],
            np.array([images[image] for *_, image in self._rows]),
            np.array(first, dtype=np.int64),
            np.array(second, dtype=np.int64),
            values,
            groups,
            given,
            people,
        )
