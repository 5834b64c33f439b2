"""Six kinds of questions about scenes, balanced so that neither question nor picture alone helps.

For two objects with uniform and independent attributes, at least three colours and three shapes, the best
guesses from the question alone, and from the scene and the kind alone, are at chance:
``1 / choices(config)[kind]``. The balance follows from symmetry (the two objects are exchangeable; a coin
decides between yes and no) and, for counting, from the thinning in ``_count``. Splits keep mirror images
together: in the default train split, guesses from questions are within 1.5 points of chance.

For other numbers of objects the same code uses two of the objects. With one to four objects, guesses are
within two points of chance, except those of a count (0.44 from the question and 0.40 from the picture, where
chance is 0.2) and, in a split, of existence (0.55 from the question).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import count

import torch
from torch import Tensor

from mm_envs.data.scenes.captions import RELATIONS
from mm_envs.data.scenes.layout import COLOURS, SHAPES, SceneConfig, SceneGraph
from mm_envs.random import fold, integers
from mm_envs.tokenizers import Vocabulary, blank, compact, pad_rows

TEMPLATES = {
    "existence": "is there a {} {}",
    "count": "how many {} {}",
    "colour": "what colour is the {} , {} or {}",
    "shape": "what shape is the {} object , {} or {}",
    "relation": "is the {} {} {} {} the {} {}",
    "comparison": "is the {} {} {} than the {} {}",
}
QUESTION_KINDS = tuple(TEMPLATES)
COMPARISONS = ("larger", "smaller")
YES, NO, ZERO = 0, 1, 2  # indices of answers

_SLOTS = 6
_FIRST = {"colour": COLOURS[0], "shape": SHAPES[0]}  # the word of value 0


@dataclass(frozen=True)
class Questions:
    """One question about each of n scenes.

    Attributes:
        tokens: The question, int64 of shape (n, question_length).
        answer: The index of its answer in ``answers(config)``, int64 of shape (n,).
        kind: The index of its kind in QUESTION_KINDS, int64 of shape (n,).
    """

    tokens: Tensor
    answer: Tensor
    kind: Tensor


def plural(shape: str) -> str:
    """Returns the plural of a shape: "circles", "crosses"."""
    return shape + ("es" if shape.endswith("s") else "s")


@lru_cache(maxsize=64)
def question_vocabulary(config: SceneConfig) -> Vocabulary:
    """Returns the words of questions; colours, shapes and their plurals have consecutive ids."""
    shapes = SHAPES[: config.shapes]
    names = (*COLOURS[: config.colours], *shapes, *map(plural, shapes), *RELATIONS, *COMPARISONS)
    fixed = [word for template in TEMPLATES.values() for word in template.split() if word != "{}"]
    return Vocabulary.of(dict.fromkeys([*names, "of", "objects", *fixed]))


def question_length(config: SceneConfig) -> int:
    """Returns the number of words of the longest question."""
    return max(len(template.split()) for template in TEMPLATES.values())


def answers(config: SceneConfig) -> tuple[str, ...]:
    """Returns all answers to any question: yes, no, numbers, colours, shapes."""
    numbers = map(str, range(config.maximum + 1))
    return ("yes", "no", *numbers, *COLOURS[: config.colours], *SHAPES[: config.shapes])


def askable(sound: str) -> tuple[str, ...]:
    """Returns the kinds of questions with an unambiguous answer that needs all modalities.

    With ``sound="complement"`` no two objects have the same shape, so that "how many red objects" would
    reveal its answer, and the sound alone would answer whether there is a red circle.
    """
    skipped = {"count", "existence"} if sound == "complement" else set()
    return tuple(kind for kind in QUESTION_KINDS if kind not in skipped)


def choices(config: SceneConfig) -> dict[str, int]:
    """Returns the number of possible answers to a question of each kind; chance is one divided by it."""
    return {kind: config.maximum + 1 if kind == "count" else 2 for kind in QUESTION_KINDS}


def ask(
    graph: SceneGraph,
    config: SceneConfig,
    hashes: Tensor,
    kind: Tensor | None = None,
    allowed: Collection[int] | None = None,
) -> Questions:
    """Returns one question about each scene, with an answer that the scene decides.

    Args:
        graph: n scenes.
        config: Their configuration.
        hashes: One hash for each scene, int64 of shape (n,).
        kind: The index in QUESTION_KINDS of the kind, int64 of shape (n,). None: drawn uniformly from those
            that are available for the scene. A scene without an unambiguous question of its kind gets one
            about existence instead.
        allowed: The indices of the kinds to draw from; None: all.

    Example:
        >>> from mm_envs.data.scenes.layout import decode
        >>> config = SceneConfig()
        >>> relation = torch.tensor([QUESTION_KINDS.index("relation")])
        >>> asked = ask(decode(config, torch.tensor([7])), config, torch.tensor([5]), kind=relation)
        >>> question_vocabulary(config).decode(asked.tokens[0]).split()[:2]
        ['is', 'the']
    """
    drafts = [make(graph, config, fold(hashes, number)) for number, make in enumerate(_MAKERS)]
    available = torch.stack([draft.available for draft in drafts], 1)
    if kind is None:
        if allowed is not None:
            available[:, [number not in allowed for number in range(len(drafts))]] = False
        kind = pick(available, fold(hashes, len(drafts)))
    asked = available.gather(1, kind[:, None])[:, 0]
    kind = torch.where(asked, kind, QUESTION_KINDS.index("existence"))
    answer = torch.stack([draft.answer for draft in drafts], 1).gather(1, kind[:, None])[:, 0]
    return Questions(_write(config, drafts, kind), answer, kind)


@dataclass(frozen=True)
class _Draft:
    """A question of one kind about each scene: words for its template, answer, and whether it is fair."""

    fill: list[Tensor]
    answer: Tensor
    available: Tensor


def _write(config: SceneConfig, drafts: list[_Draft], kind: Tensor) -> Tensor:
    """The words of the drafts of the chosen kinds."""
    empty = blank(kind.shape, kind.device)
    fills = [torch.stack(draft.fill + [empty] * (_SLOTS - len(draft.fill)), 1) for draft in drafts]
    fill = torch.stack(fills, 1)[torch.arange(len(kind), device=kind.device), kind]
    template = _templates(config, kind.device)[kind]
    words = torch.where(template >= 0, template, fill.gather(1, (-1 - template).clamp(min=0)))
    return compact(words, question_length(config))


@lru_cache(maxsize=64)
def _templates(config: SceneConfig, device: torch.device) -> Tensor:
    """Token ids of the templates, int64 of shape (kinds, question_length); gap i is -1 - i."""
    ids, rows = question_vocabulary(config).ids, []
    for template in TEMPLATES.values():
        gaps = count(-1, -1)
        rows.append([next(gaps) if word == "{}" else ids[word] for word in template.split()])
    return pad_rows(rows, question_length(config)).to(device)


# Drawing ----------------------------------------------------------------------------------------------------


def pick(possible: Tensor, hashes: Tensor) -> Tensor:
    """Returns the index of a random True of each row, all equally likely; the last index if there is none.

    ``possible`` is bool of shape (n, choices), ``hashes`` int64 of shape (n,).

    Example:
        >>> pick(torch.tensor([[False, True, False]]), torch.tensor([5])).tolist()
        [1]
    """
    rank = possible.cumsum(1)
    drawn = integers(hashes, rank[:, -1].clamp(min=1))
    return (rank <= drawn[:, None]).sum(1).clamp_(max=possible.shape[1] - 1)


def _coin(hashes: Tensor) -> Tensor:
    return integers(hashes, 2) == 1


def _two(possible: Tensor, hashes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The objects of a random possible pair (n, K, K), and whether there is one."""
    k, flat = possible.shape[1], possible.flatten(1)
    chosen = pick(flat, hashes)
    return chosen // k, chosen % k, flat.any(1)


def _unique(graph: SceneGraph, *attributes: Tensor) -> Tensor:
    """Whether an object is the only one with its values of some attributes, bool of shape (n, K)."""
    same = graph.present[:, :, None] & graph.present[:, None, :]
    for value in attributes:
        same = same & (value[:, :, None] == value[:, None, :])
    return same.sum(2) == 1


def _both(flag: Tensor) -> Tensor:
    return flag[:, :, None] & flag[:, None, :]


def _differ(value: Tensor) -> Tensor:
    return value[:, :, None] != value[:, None, :]


def _at(values: Tensor, index: Tensor) -> Tensor:
    return values.gather(1, index[:, None])[:, 0]


# Kinds ------------------------------------------------------------------------------------------------------


def _existence(graph: SceneGraph, config: SceneConfig, hashes: Tensor) -> _Draft:
    """Asks about colour and shape of a random object (yes), or a random absent pair (no)."""
    ids = question_vocabulary(config).ids
    pairs = torch.where(graph.present, graph.colour * config.shapes + graph.shape, -1)
    every = torch.arange(config.colours * config.shapes, device=hashes.device)
    here = (pairs[:, :, None] == every).any(1)
    yes = _coin(fold(hashes, 0)) | here.all(1)
    seen = _at(pairs, pick(graph.present, fold(hashes, 1)))
    pair = torch.where(yes, seen, pick(~here, fold(hashes, 2)))
    fill = [pair // config.shapes + ids[COLOURS[0]], pair % config.shapes + ids[SHAPES[0]]]
    return _Draft(fill, torch.where(yes, YES, NO), torch.ones_like(yes))


def _count(graph: SceneGraph, config: SceneConfig, hashes: Tensor) -> _Draft:
    """Draws the answer first, then whether to count a shape or a colour, then which one.

    Two objects allow the answers 0, 1 and 2 if they share exactly one of colour and shape: the shared value
    counts 2, and the two values of the other attribute count 1. So the answer to a question about a shape is
    2 in scenes that share the shape and 1 in those that share the colour, and both must be equally frequent.
    Their ratio is 1/shapes * (1 - 1/colours) to 1/colours * (1 - 1/shapes), or colours - 1 to shapes - 1: the
    more frequent ones are thinned by this ratio.
    """
    vocabulary, s, k = question_vocabulary(config), config.shapes, config.maximum
    ids = vocabulary.ids
    every = [torch.arange(number, device=hashes.device) for number in (s, config.colours, k + 1)]
    shapes, colours = (
        (value[:, :, None] == number).sum(1)
        for value, number in zip((graph.shape, graph.colour), every, strict=False)
    )
    counted = torch.cat([shapes, colours], 1)[:, None, :] == every[2][:, None]
    by_shape, by_colour = counted[..., :s].any(2), counted[..., s:].any(2)
    offered = by_shape | by_colour
    target = pick(offered, fold(hashes, 0))
    of_shape = _at(by_shape, target) & (~_at(by_colour, target) | _coin(fold(hashes, 1)))
    values = counted[torch.arange(len(hashes), device=hashes.device), target]
    is_shape = torch.arange(values.shape[1], device=hashes.device) < s
    value = pick(values & (is_shape == of_shape[:, None]), fold(hashes, 2))
    fill = [
        torch.where(of_shape, value + ids[plural(SHAPES[0])], value - s + ids[COLOURS[0]]),
        torch.where(of_shape, vocabulary.pad, ids["objects"]),
    ]
    enough = offered.sum(1) >= (graph.count + 1).clamp(max=3)
    return _Draft(fill, target + ZERO, enough & _kept(config, shapes, colours, fold(hashes, 3)))


def _kept(config: SceneConfig, shapes: Tensor, colours: Tensor, hashes: Tensor) -> Tensor:
    """Applies the thinning of ``_count`` to the counts of each shape and each colour."""
    s, c = config.shapes, config.colours
    shared = [(times >= 2).any(1) for times in (shapes, colours)]
    frequent, rare = shared if s <= c else reversed(shared)
    chance = integers(hashes, max(s, c, 2) - 1) < min(s, c) - 1
    return ~(frequent & ~rare) | chance


def _choice(graph: SceneGraph, config: SceneConfig, hashes: Tensor, asked: str, known: str) -> _Draft:
    """Asks for an attribute of an object that another attribute identifies; offers a wrong value, too."""
    asked_value, known_value = getattr(graph, asked), getattr(graph, known)
    possible = _both(_unique(graph, known_value)) & _differ(asked_value)
    a, b, available = _two(possible, fold(hashes, 0))
    true, other = _at(asked_value, a), _at(asked_value, b)
    first = _coin(fold(hashes, 1))
    options = torch.where(first, true, other), torch.where(first, other, true)
    ids = question_vocabulary(config).ids
    fill = [_at(known_value, a) + ids[_FIRST[known]], *(option + ids[_FIRST[asked]] for option in options)]
    return _Draft(fill, true + answers(config).index(_FIRST[asked]), available)


def _referred(graph: SceneGraph, config: SceneConfig, index: Tensor) -> list[Tensor]:
    """The words for an object: its colour and its shape."""
    ids = question_vocabulary(config).ids
    return [_at(graph.colour, index) + ids[COLOURS[0]], _at(graph.shape, index) + ids[SHAPES[0]]]


def _relation(graph: SceneGraph, config: SceneConfig, hashes: Tensor) -> _Draft:
    """Asks about the true relation or its opposite, along an axis on which the two objects differ."""
    vocabulary, k = question_vocabulary(config), config.maximum
    ids, left, above = vocabulary.ids, graph.left_of(), graph.above()
    objects = torch.arange(k, device=hashes.device)[None]
    possible = _both(_unique(graph, graph.colour, graph.shape)) & _differ(objects)
    a, b, available = _two(possible, fold(hashes, 0))
    left_of, right_of, over, under = (
        _at(holds.flatten(1), pair) for holds in (left, above) for pair in (a * k + b, b * k + a)
    )
    across = (left_of | right_of) & (~(over | under) | _coin(fold(hashes, 1)))
    true = torch.where(across, right_of.long(), 2 + under.long())
    yes = _coin(fold(hashes, 2))
    word = torch.where(yes, true, true ^ 1)
    relation = [word + ids[RELATIONS[0]], torch.where(across, ids["of"], vocabulary.pad)]
    fill = [*_referred(graph, config, a), *relation, *_referred(graph, config, b)]
    return _Draft(fill, torch.where(yes, YES, NO), available)


def _comparison(graph: SceneGraph, config: SceneConfig, hashes: Tensor) -> _Draft:
    """Asks whether one of two objects of different size is the larger, or the smaller, one."""
    ids = question_vocabulary(config).ids
    possible = _both(_unique(graph, graph.colour, graph.shape)) & _differ(graph.size)
    a, b, available = _two(possible, fold(hashes, 0))
    smaller = _coin(fold(hashes, 1))
    yes = (_at(graph.size, a) < _at(graph.size, b)) == smaller
    fill = [*_referred(graph, config, a), smaller + ids[COMPARISONS[0]], *_referred(graph, config, b)]
    return _Draft(fill, torch.where(yes, YES, NO), available)


# In the order of QUESTION_KINDS.
_MAKERS: tuple[Callable[[SceneGraph, SceneConfig, Tensor], _Draft], ...] = (
    _existence,
    _count,
    partial(_choice, asked="colour", known="shape"),
    partial(_choice, asked="shape", known="colour"),
    _relation,
    _comparison,
)
