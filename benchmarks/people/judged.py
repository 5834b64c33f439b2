"""Five sets of judged captions in one form: answers to pictures, and what people said of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks import human_judgements as human
from benchmarks.caption_words import simple_words, treebank_words
from benchmarks.human_agreement import Split, split_all
from benchmarks.reports import Options

Numbers: TypeAlias = "NDArray[np.float64]"
Places: TypeAlias = "NDArray[np.int64]"
QUICK = 240


@dataclass(frozen=True)
class Judged:
    """Captions of pictures (or sounds), each with references, and judgements that name their rows.

    Attributes:
        name: The set.
        candidates: The captions, one space between words.
        references: What people wrote of the same picture, for each caption.
        image: The picture of each caption, (captions,) int64 from 0 on.
        first: The caption of each judgement, (n,) int64.
        second: What it was compared with, (n,) int64; empty for ratings.
        said: Ratings from 0 to 1, or votes for ``first`` minus votes for ``second``, (n,).
        groups: The category of each judgement; empty without categories.
        given: The single votes of every pair.
        people: How many people stand behind each rating.
    """

    name: str
    candidates: list[str]
    references: list[list[str]]
    image: Places
    first: Places
    second: Places
    said: Numbers
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


def flickr8k_expert(options: Options) -> Judged:
    """Flickr8k, three experts' scores from 1 to 4, each a judgement of its own."""
    ratings = human.flickr8k_expert(options.folder("flickr8k_human_judgements"))
    return _rated("Flickr8k experts", ratings, treebank_words, 1, 4, options.quick)


def flickr8k_crowd(options: Options) -> Judged:
    """Flickr8k, the share of three or more workers who say that a caption describes a picture."""
    ratings = human.flickr8k_crowd(options.folder("flickr8k_human_judgements"))
    return _rated("Flickr8k crowd", ratings, treebank_words, 0, 1, options.quick)


def thumb(options: Options, people_too: bool) -> Judged:
    """THumB, scores from 1 to 5 of captions by machines, and by people if they are wanted, too."""
    ratings = human.thumb(options.folder("thumb_mscoco_ratings"))
    kept = [i for i, system in enumerate(ratings.groups) if people_too or system != "Human"]
    chosen = human.Ratings(
        [ratings.candidates[i] for i in kept],
        [ratings.references[i] for i in kept],
        ratings.scores[kept],
        [ratings.groups[i] for i in kept],
        [ratings.images[i] for i in kept],
    )
    name = "THumB" if people_too else "THumB without people's captions"
    return _rated(name, chosen, simple_words, 1, 5, options.quick)


def pascal50s(options: Options) -> Judged:
    """PASCAL-50S with five references."""
    pairs = human.pascal50s(options.folder("pascal50s_human_pairs"), 5)
    return _compared("PASCAL-50S", pairs, options.quick)


def audiocaps(options: Options) -> Judged:
    """AudioCaps-Eval, without the pairs whose votes are balanced."""
    return _compared("AudioCaps-Eval", human.fense(options.folder("fense_audiocaps_eval")), options.quick)


def _rated(name: str, ratings: human.Ratings, split: Split, low: float, high: float, quick: bool) -> Judged:
    most = QUICK if quick else None
    table = _Table(split)
    known, images = ratings.references[:most], ratings.images[:most]
    rows = list(map(table.row, ratings.candidates[:most], known, images))
    said = (ratings.scores[:most] - low) / (high - low)
    return table.judged(name, rows, [], said, ratings.groups[:most], [], ratings.people[:most])


def _compared(name: str, pairs: human.Preferences, quick: bool) -> Judged:
    most = QUICK if quick else None
    table = _Table(simple_words)
    known, images = pairs.references[:most], pairs.images[:most]
    first, second = (
        list(map(table.row, texts[:most], known, images)) for texts in (pairs.first, pairs.second)
    )
    said = pairs.votes[:most].astype(np.float64)
    return table.judged(name, first, second, said, pairs.groups[:most], pairs.given[:most], [])


class _Table:
    """Captions with their references, each once, in the order in which they are first named."""

    def __init__(self, split: Split) -> None:
        self._split = split
        self._rows: dict[tuple[str, tuple[str, ...], str], int] = {}

    def row(self, candidate: str, references: Sequence[str], image: str) -> int:
        return self._rows.setdefault((candidate, tuple(references), image), len(self._rows))

    def judged(
        self,
        name: str,
        first: list[int],
        second: list[int],
        said: Numbers,
        groups: list[str],
        given: list[list[int]],
        people: list[int],
    ) -> Judged:
        candidates = split_all(self._split, [text for text, _, _ in self._rows])
        known = {texts: split_all(self._split, texts) for _, texts, _ in self._rows}
        images = {image: place for place, image in enumerate(dict.fromkeys(one for *_, one in self._rows))}
        return Judged(
            name,
            candidates,
            [known[texts] for _, texts, _ in self._rows],
            np.array([images[image] for *_, image in self._rows]),
            np.array(first, dtype=np.int64),
            np.array(second, dtype=np.int64),
            said,
            groups,
            given,
            people,
        )
