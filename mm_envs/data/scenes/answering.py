"""Answers to given questions about given scenes, and the objects that the words of questions name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mm_envs.data.scenes.captions import RELATIONS
from mm_envs.data.scenes.layout import COLOURS, SHAPES, SceneConfig, SceneGraph
from mm_envs.data.scenes.questions import (
    COMPARISONS,
    NO,
    QUESTION_KINDS,
    YES,
    ZERO,
    answers,
    plural,
    question_vocabulary,
)


@dataclass(frozen=True)
class _Read:
    """The words of n questions (n, L): indices of values, -1 for other words; what precedes a comma."""

    colour: Tensor
    shape: Tensor
    plural: Tensor
    relation: Tensor
    comparison: Tensor
    before: Tensor

    @property
    def phrase(self) -> Tensor:
        """Which words are a colour that a shape follows, (n, L) bool."""
        follows = torch.nn.functional.pad(self.shape[:, 1:] >= 0, (0, 1))
        return (self.colour >= 0) & follows


def _read(tokens: Tensor, config: SceneConfig) -> _Read:
    ids = question_vocabulary(config).ids

    def values(first: str, count: int) -> Tensor:
        index = tokens - ids[first]
        return torch.where((index >= 0) & (index < count), index, -1)

    return _Read(
        values(COLOURS[0], config.colours),
        values(SHAPES[0], config.shapes),
        values(plural(SHAPES[0]), config.shapes),
        values(RELATIONS[0], len(RELATIONS)),
        values(COMPARISONS[0], len(COMPARISONS)),
        (tokens == ids[","]).cumsum(1) == 0,
    )


def answer_to(tokens: Tensor, kind: Tensor, graph: SceneGraph, config: SceneConfig) -> tuple[Tensor, Tensor]:
    """The answers of scenes to given questions, and which questions can be asked of their scene.

    A question cannot be asked of a scene where what it takes for granted does not hold: an object that it
    refers to is missing or not the only one, the true value is not among those that it offers, or two objects
    do not differ in what is compared.

    Args:
        tokens: Questions, int64 of shape (n, L).
        kind: The index of the kind of each in QUESTION_KINDS, (n,) int64.
        graph: n scenes.
        config: Their configuration.

    Returns:
        The index of each answer in ``answers(config)``, (n,) int64, and (n,) bool.

    Example:
        >>> from mm_envs.data.scenes.layout import decode
        >>> from mm_envs.data.scenes.questions import ask
        >>> config, graph = SceneConfig(), decode(SceneConfig(), torch.arange(0, 9000, 300))
        >>> asked = ask(graph, config, torch.arange(30))
        >>> answer, fits = answer_to(asked.tokens, asked.kind, graph, config)
        >>> bool(fits.all()), torch.equal(answer, asked.answer)
        (True, True)
    """
    read = _read(tokens, config)
    found = [answer(read, graph, config) for answer in _ANSWERS]
    answer, fits = (torch.stack(part, 1).gather(1, kind[:, None])[:, 0] for part in zip(*found, strict=True))
    return answer, fits


def mentioned(tokens: Tensor, graph: SceneGraph, config: SceneConfig) -> Tensor:
    """Which object each word of a question names, (n, L, K) bool; words that name several name none.

    "Red" and "circle" of "red circle" name the red circle; "circle" alone names the only circle, and "red" of
    "red objects" the only red object. The values that a question offers as answers name nothing.
    """
    read = _read(tokens, config)
    colour = read.colour[:, :, None] == graph.colour[:, None]
    shape = torch.maximum(read.shape, read.plural)[:, :, None] == graph.shape[:, None]
    first = read.phrase
    second = torch.nn.functional.pad(first[:, :-1], (1, 0))
    both = colour & torch.nn.functional.pad(shape[:, 1:], (0, 0, 0, 1))
    both_before = torch.nn.functional.pad(both[:, :-1], (0, 0, 1, 0))
    alone = read.before[:, :, None] & ((colour & ~first[:, :, None]) | (shape & ~second[:, :, None]))
    named = torch.where(first[:, :, None], both, torch.where(second[:, :, None], both_before, alone))
    named = named & graph.present[:, None]
    return named & (named.sum(2, keepdim=True) == 1)


# Kinds ------------------------------------------------------------------------------------------------------


def _first(values: Tensor) -> Tensor:
    """The first value (n, L) of each row that is there; -1 without one."""
    return values.gather(1, (values >= 0).int().argmax(1)[:, None])[:, 0]


def _last(values: Tensor) -> Tensor:
    return _first(values.flip(1))


def _yes(holds: Tensor) -> Tensor:
    return torch.where(holds, YES, NO)


def _existence(read: _Read, graph: SceneGraph, config: SceneConfig) -> tuple[Tensor, Tensor]:
    colour, shape = _first(read.colour), _first(read.shape)
    here = (graph.colour == colour[:, None]) & (graph.shape == shape[:, None]) & graph.present
    return _yes(here.any(1)), torch.ones_like(here[:, 0])


def _count(read: _Read, graph: SceneGraph, config: SceneConfig) -> tuple[Tensor, Tensor]:
    colour, shape = _first(read.colour), _first(read.plural)
    here = torch.where(shape[:, None] >= 0, graph.shape == shape[:, None], graph.colour == colour[:, None])
    return (here & graph.present).sum(1) + ZERO, torch.ones_like(here[:, 0])


def _value(offered: Tensor, asked: Tensor, known: Tensor, graph: SceneGraph) -> tuple[Tensor, Tensor]:
    """The value of the only object with a known one, and whether it is among those offered (n, L)."""
    here = known & graph.present
    value = asked.gather(1, here.int().argmax(1)[:, None])[:, 0]
    return value, (here.sum(1) == 1) & (offered == value[:, None]).any(1)


def _colour(read: _Read, graph: SceneGraph, config: SceneConfig) -> tuple[Tensor, Tensor]:
    known = graph.shape == _first(read.shape)[:, None]
    value, fits = _value(read.colour.masked_fill(read.before, -2), graph.colour, known, graph)
    return value + answers(config).index(COLOURS[0]), fits


def _shape(read: _Read, graph: SceneGraph, config: SceneConfig) -> tuple[Tensor, Tensor]:
    known = graph.colour == _first(read.colour)[:, None]
    value, fits = _value(read.shape.masked_fill(read.before, -2), graph.shape, known, graph)
    return value + answers(config).index(SHAPES[0]), fits


def _two(read: _Read, graph: SceneGraph) -> tuple[Tensor, Tensor, Tensor]:
    """The two objects that phrases refer to, (n,) each, and whether each is the only one of its kind."""
    colour = read.colour.masked_fill(~read.phrase, -1)
    shape = torch.nn.functional.pad(read.shape[:, 1:], (0, 1), value=-1).masked_fill(~read.phrase, -1)
    index, fits = [], torch.ones_like(colour[:, 0], dtype=torch.bool)
    for of in (_first, _last):
        here = (graph.colour == of(colour)[:, None]) & (graph.shape == of(shape)[:, None]) & graph.present
        index.append(here.int().argmax(1))
        fits = fits & (here.sum(1) == 1)
    return index[0], index[1], fits & (index[0] != index[1])


def _relation(read: _Read, graph: SceneGraph, config: SceneConfig) -> tuple[Tensor, Tensor]:
    a, b, fits = _two(read, graph)
    word, rows = _first(read.relation), torch.arange(len(a), device=a.device)
    left, above = graph.left_of(), graph.above()
    holds = torch.stack([left[rows, a, b], left[rows, b, a], above[rows, a, b], above[rows, b, a]], 1)
    index = word.clamp(min=0)
    true, opposite = (holds.gather(1, one[:, None])[:, 0] for one in (index, index ^ 1))
    return _yes(true), fits & (true | opposite)


def _comparison(read: _Read, graph: SceneGraph, config: SceneConfig) -> tuple[Tensor, Tensor]:
    a, b, fits = _two(read, graph)
    size, other = (graph.size.gather(1, one[:, None])[:, 0] for one in (a, b))
    smaller = _first(read.comparison) == COMPARISONS.index("smaller")
    return _yes((size < other) == smaller), fits & (size != other)


# In the order of QUESTION_KINDS.
_ANSWERS: tuple[Callable[[_Read, SceneGraph, SceneConfig], tuple[Tensor, Tensor]], ...] = (
    _existence,
    _count,
    _colour,
    _shape,
    _relation,
    _comparison,
)
assert len(_ANSWERS) == len(QUESTION_KINDS)
