"""Captions with human judgements: readers of four public sets.

Two forms: ratings (a number for one caption) and preferences (which of two captions is better). Readers take
the folder of a set and leave captions as they were written: a metric splits them into words.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

References = list[str]


@dataclass(frozen=True)
class Ratings:
    """Captions with the number that people gave them.

    Attributes:
        candidates: The captions.
        references: What people wrote of the same picture, for each candidate.
        scores: The ratings, (n,) float64; more is better.
        groups: The author of each candidate; empty if unknown.
        images: The picture that each candidate is about.
        people: The number of people of each rating; empty for one each.
    """

    candidates: list[str]
    references: list[References]
    scores: NDArray[np.float64]
    groups: list[str]
    images: list[str] = field(default_factory=list)
    people: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Preferences:
    """Pairs of captions, and which of the two people preferred.

    Attributes:
        first: One caption of each pair.
        second: The other one.
        references: What people wrote of the same picture or sound, for each pair.
        votes: Votes for the first caption minus votes for the second, (n,) int64; 0 only where a reader is
            asked to keep such pairs.
        groups: The category of each pair, such as HC: both by people and correct; HI: one of another
            picture; HM: a person and a machine; MM: two machines.
        images: The picture or sound of each pair.
        given: Every vote as it was given: 1 for the first caption, -1 for the second, 0 for neither. It is
            unknown whether a position in the list is a person.
    """

    first: list[str]
    second: list[str]
    references: list[References]
    votes: NDArray[np.int64]
    groups: list[str]
    images: list[str] = field(default_factory=list)
    given: list[list[int]] = field(default_factory=list)


@dataclass(frozen=True)
class AuthorScores:
    """What the authors of CIDEr computed with their own program, v0.1.

    Attributes:
        candidates: 4,000 captions.
        images: The picture of each.
        references: 50 captions of every picture.
        scores: CIDEr of 1-grams, 2-grams, 3-grams, 4-grams, and their mean, (4000, 5).
    """

    candidates: list[str]
    images: list[str]
    references: dict[str, References]
    scores: NDArray[np.float64]


def flickr8k_expert(folder: Path) -> Ratings:
    """Flickr8k, three experts (Hodosh, Young and Hockenmaier, JAIR 47, 2013): scores 1 to 4.

    Pairs whose caption is among the five of the picture are left out; each of the three scores is a rating
    of its own (the protocol of SPICE, 2016, arXiv:1607.08822).
    """
    captions = flickr8k_captions(folder)
    candidates, references, scores, images = [], [], [], []
    for image, caption, *given in _columns(folder / "ExpertAnnotations.txt", 5):
        own = [captions[f"{image}#{i}"] for i in range(5)]
        if captions[caption] not in own:
            candidates += [captions[caption]] * len(given)
            references += [own] * len(given)
            scores += [float(score) for score in given]
            images += [image] * len(given)
    return Ratings(candidates, references, np.array(scores), [], images)


def flickr8k_crowd(folder: Path) -> Ratings:
    """Flickr8k, crowd workers: the share of those who say that a caption describes a picture.

    A caption that was judged is taken out of the references of its picture, for all its pairs.
    """
    captions = flickr8k_captions(folder)
    rows = list(_columns(folder / "CrowdFlowerAnnotations.txt", 5))
    rated: dict[str, set[str]] = defaultdict(set)
    for image, caption, *_ in rows:
        rated[image].add(captions[caption])
    candidates = [captions[caption] for _, caption, *_ in rows]
    kept = {
        image: [text for text in (captions[f"{image}#{i}"] for i in range(5)) if text not in texts]
        for image, texts in rated.items()
    }
    references = [kept[image] for image, *_ in rows]
    shares = np.array([float(share) for _, _, share, *_ in rows])
    people = [int(yes) + int(no) for *_, yes, no in rows]
    return Ratings(candidates, references, shares, [], [image for image, *_ in rows], people)


def thumb(folder: Path) -> Ratings:
    """THumB 1.0 (Kasai et al., 2022, arXiv:2111.08940): precision, recall and penalties of COCO captions."""
    known = {row["seg_id"]: row["refs"] for row in _json_lines(folder / "mscoco_references.json")}
    rows = list(_json_lines(folder / "mscoco_THumB-1.0.jsonl"))
    return Ratings(
        [row["hyp"] for row in rows],
        [known[row["seg_id"]] for row in rows],
        np.array([row["human_score"] for row in rows]),
        [row["SYS"] for row in rows],
        [row["seg_id"] for row in rows],
    )


def pascal50s(folder: Path, references: int = 5) -> Preferences:
    """PASCAL-50S (Vedantam, Zitnick and Parikh, "CIDEr", 2015, arXiv:1411.5726).

    Args:
        folder: The folder of the set.
        references: How many of the 50 references of each picture, the first ones.
    """
    known = _pascal_references(folder)
    rows = list(_json_lines(folder / "pairs.jsonl"))
    names = {1: "HC", 2: "HI", 3: "HM", 4: "MM"}
    return Preferences(
        [row["sent1"] for row in rows],
        [row["sent2"] for row in rows],
        [known[row["image"]][:references] for row in rows],
        np.array([sum(row["votes"]) for row in rows]),
        [names[row["category"]] for row in rows],
        [row["image"] for row in rows],
        [row["votes"] for row in rows],
    )


def fense(folder: Path, ties: bool = False) -> Preferences:
    """AudioCaps-Eval (Zhou et al., "FENSE", 2022, arXiv:2110.04684): captions of sounds.

    A caption of the pair is taken out of the references.

    Args:
        folder: The folder of the set.
        ties: Whether to keep pairs with as many votes for one as for the other.
    """
    found = Preferences([], [], [], np.empty(0, dtype=np.int64), [])
    votes = []
    for clip in json.loads((folder / "audiocaps_eval.json").read_text(encoding="utf-8")):
        for key, pair in clip.items():
            if key[:2] not in ("HC", "HI", "HM", "MM") or not pair or not (ties or sum(pair[-1])):
                continue
            found.first.append(pair[0])
            found.second.append(pair[1])
            found.references.append([text for text in clip["references"] if text not in pair[:2]])
            votes.append(sum(pair[-1]))
            found.groups.append(key[:2])
            found.images.append(clip["audio_id"])
            found.given.append(pair[-1])
    return replace(found, votes=np.array(votes, dtype=np.int64))


def author_scores(folder: Path) -> AuthorScores:
    """The 4,000 x 5 scores of the authors of CIDEr, and what they are scores of."""
    candidates = _matlab(folder / "pascal_single.mat", "cands")
    scores = np.stack(
        [np.asarray(column, dtype=np.float64) for column in _matlab(folder / "cider_pascal.mat", "scr")]
    )
    return AuthorScores(
        [str(one.sent) for one in candidates],
        [str(one.image) for one in candidates],
        _pascal_references(folder),
        scores.T,
    )


def _pascal_references(folder: Path) -> dict[str, References]:
    return {
        str(one.image): [str(text) for text in one.sent] for one in _matlab(folder / "pascal50S.mat", "refs")
    }


def _matlab(path: Path, name: str) -> Any:
    from scipy.io import loadmat

    return loadmat(path, squeeze_me=True, struct_as_record=False)[name]


def flickr8k_captions(folder: Path) -> dict[str, str]:
    """All captions of Flickr8k by their id, ``<picture>#<0 to 4>``."""
    return dict(_columns(folder / "Flickr8k.token.txt", 2))  # type: ignore[arg-type]


def _columns(path: Path, number: int) -> Iterator[Sequence[str]]:
    """The lines of a file of columns with tabs between them."""
    with path.open(encoding="utf-8") as lines:
        for count, line in enumerate(lines, 1):
            row = line.rstrip("\n").split("\t")
            if len(row) != number:
                raise ValueError(f"{path}:{count} has {len(row)} columns, not {number}: get the file again")
            yield row


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)
