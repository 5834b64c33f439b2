"""The utility of one caption in plain Python: as in a plain ``gym.Env``.

Speed and numbers of the tensor grader of ``mm_envs.data.scenes.captions`` are compared with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from typing import Any

from mm_envs.data.scenes.layout import COLOURS, SHAPES, SIZES, TEXTURES, SceneConfig, SceneGraph
from mm_envs.tokenizers import Vocabulary

_RELATIONS = ("left", "right", "above", "below")
_FACTS = frozenset(("shape", "colour", "size", "texture", "relation"))
_ORDER = ("a", "size", "colour", "texture", "shape")


@dataclass(frozen=True)
class PlainScene:
    """A scene as ordinary Python values.

    Attributes:
        objects: The attributes that captions speak of, by kind, of each object.
        relations: The relation words that hold for each ordered pair of objects.
        most: The largest number of objects that the configuration allows.
    """

    objects: list[dict[str, str]]
    relations: dict[tuple[int, int], tuple[str, ...]]
    most: int


def plain_scene(graph: SceneGraph, row: int, config: SceneConfig) -> PlainScene:
    """One row of a batch of scenes as a plain scene."""
    names: dict[str, tuple[str, ...]] = {"shape": SHAPES, "colour": COLOURS}
    if config.sizes > 1:
        names["size"] = SIZES
    if config.textures > 1:
        names["texture"] = TEXTURES
    count = int(graph.present[row].sum())
    values: dict[str, Any] = {kind: getattr(graph, kind)[row].tolist() for kind in names}
    objects = [{kind: names[kind][values[kind][i]] for kind in names} for i in range(count)]
    positions = [(quadrant % 2, quadrant // 2) for quadrant in graph.quadrant[row].tolist()]
    relations: dict[tuple[int, int], tuple[str, ...]] = {}
    for i, j in permutations(range(count), 2):
        (x, y), (other_x, other_y) = positions[i], positions[j]
        holds = {"left": x < other_x, "right": x > other_x, "above": y < other_y, "below": y > other_y}
        relations[i, j] = tuple(word for word, true in holds.items() if true)
    return PlainScene(objects, relations, config.maximum)


@lru_cache(maxsize=16)
def _tables(vocabulary: Vocabulary, single: bool) -> tuple[list[tuple[str, str]], set[tuple[int, int]]]:
    """The word and kind of each token id, and the pairs of ids that the grammar allows."""
    known = {"shape": SHAPES, "colour": COLOURS, "size": SIZES, "texture": TEXTURES, "relation": _RELATIONS}
    kind_of = {word: kind for kind, words in known.items() for word in words}
    kinds = [(word, kind_of.get(word, word)) for word in vocabulary.words]
    numbered = list(enumerate(kinds))
    return kinds, {(i, j) for i, one in numbered for j, two in numbered if _legal(one, two[1], single)}


def _legal(first: tuple[str, str], successor: str, single: bool) -> bool:
    word, kind = first
    if kind == "<eos>":
        return successor in ("a", "<eos>")
    if kind in ("size", "colour", "texture", "a"):
        return successor in _ORDER[_ORDER.index(kind) + 1 :]
    if kind == "shape":
        return successor == "<eos>" or (successor == "relation" and not single)
    if word in ("left", "right"):
        return successor == "of"
    return word in ("above", "below", "of") and successor == "a"


def plain_utility(
    words: list[int], scene: PlainScene, vocabulary: Vocabulary
) -> tuple[float, dict[str, float]]:
    """The true utility of one caption, as ``CaptionGrader`` defines it.

    Args:
        words: Token ids; what follows ``<eos>`` is ignored.
        scene: The scene.
        vocabulary: The vocabulary of captions.

    Returns:
        The utility, in [0, 1], and its named parts.
    """
    kinds, legal = _tables(vocabulary, scene.most == 1)
    eos = vocabulary.eos
    previous, faults, mentioned = eos, 0, 0
    mentions: list[dict[str, list[str]]] = []
    mention: dict[str, list[str]] = {}
    for token in words:
        if token == eos:
            break
        faults += (previous, token) not in legal
        previous = token
        word, kind = kinds[token]
        if kind in _FACTS:
            mentioned += 1
            mention.setdefault(kind, []).append(word)
        if kind == "shape":
            mentions.append(mention)
            mention = {}
    faults += (previous, eos) not in legal
    right = _best(mentions[: scene.most], scene)
    whole = 20 * ((len(scene.objects[0]) + 1) * len(scene.objects) - 1)
    invented = mentioned - sum(right.values())
    parts = {kind: 20 * number / whole for kind, number in right.items()}
    parts["invented"], parts["grammar"] = -5 * invented / whole, -2 * faults / whole
    utility = max(20 * sum(right.values()) - 5 * invented - 2 * faults, 0) / whole
    return utility, parts


def _best(mentions: list[dict[str, list[str]]], scene: PlainScene) -> dict[str, int]:
    """The counts of right facts of the best one-to-one assignment of mentions to objects."""
    kinds = (*scene.objects[0], "relation")
    best: dict[str, int] = {}
    best_key: tuple[int, tuple[int, ...]] = (-1, ())
    for chosen in permutations(range(scene.most), len(mentions)):
        right = dict.fromkeys(kinds, 0)
        for number, (mention, i) in enumerate(zip(mentions, chosen, strict=True)):
            if i >= len(scene.objects):
                continue
            for kind, value in scene.objects[i].items():
                right[kind] += mention.get(kind) == [value]
            relation = mention.get("relation", ())
            if number and len(relation) == 1:
                right["relation"] += relation[0] in scene.relations.get((chosen[number - 1], i), ())
        key = (sum(right.values()), tuple(-right[kind] for kind in reversed(kinds)))
        if key > best_key:
            best, best_key = right, key
    return best
