"""Scenes that differ from given ones in one fact: the colour, the shape or the position of one object."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from mm_envs.data.scenes.layout import SceneConfig, SceneGraph
from mm_envs.names import check_one_of

FACTS = ("colour", "shape", "position")
_QUADRANTS = 4
_OPPOSITE = 3  # a quadrant xor the one across the diagonal


@dataclass(frozen=True)
class Changes:
    """m changed scenes.

    Attributes:
        graph: The changed scenes. Objects keep their index, so positions need not be in reading order.
        source: The row of the scene that each was made of, (m,) int64.
        fact: The index in FACTS of what was changed, (m,) int64.
        object: The index of the changed object, (m,) int64.
        value: Its new colour, shape or quadrant, (m,) int64.
    """

    graph: SceneGraph
    source: Tensor
    fact: Tensor
    object: Tensor
    value: Tensor

    def __len__(self) -> int:
        return len(self.source)

    def select(self, rows: Tensor) -> Changes:
        """Some of them: indices or a mask."""
        parts = (self.source, self.fact, self.object, self.value)
        return Changes(self.graph.select(rows), *(part[rows] for part in parts))


def changes(graph: SceneGraph, config: SceneConfig, facts: tuple[str, ...] = FACTS) -> Changes:
    """All scenes that differ from each of n scenes in one fact about one object.

    A position is another quadrant; an object that is there changes places with the moved one, which counts
    once for both. Scenes that
    the configuration does not have are left out: two objects of one shape where shapes are distinct, and two
    objects across a diagonal, of which two relations hold.

    Args:
        graph: n scenes.
        config: Their configuration.
        facts: What is changed, some of FACTS.

    Raises:
        ValueError: A fact is unknown.

    Example:
        >>> from mm_envs.data.scenes.layout import decode
        >>> config = SceneConfig()
        >>> changes(decode(config, torch.tensor([7])), config).fact.bincount().tolist()
        [14, 6, 3]
    """
    for fact in facts:
        check_one_of("facts", fact, FACTS)
    counts = {"colour": config.colours, "shape": config.shapes, "position": _QUADRANTS}
    grids = []
    for fact in facts:
        axes = (torch.arange(one) for one in (len(graph), config.maximum, counts[fact]))
        grid = torch.cartesian_prod(*axes).to(graph.x.device)
        grids.append(torch.cat([torch.full_like(grid[:, :1], FACTS.index(fact)), grid], 1))
    fact, source, index, value = torch.cat(grids).T
    old = graph.select(source)
    new = _changed(old, fact, index, value, config)
    before = torch.stack([_at(one, index) for one in (old.colour, old.shape, old.quadrant)], 1)
    differs = before.gather(1, fact[:, None])[:, 0] != value
    kept = _at(old.present, index) & differs & _exists(new, config) & _first_of_two(old, fact, index, value)
    return Changes(new, source, fact, index, value).select(kept)


def sorted_graph(graph: SceneGraph) -> SceneGraph:
    """The same scenes with objects in reading order of their quadrants."""
    order = torch.where(graph.present, graph.quadrant, _QUADRANTS).argsort(dim=1, stable=True)
    return SceneGraph(*(getattr(graph, one.name).gather(1, order) for one in fields(graph)))


def _at(values: Tensor, index: Tensor) -> Tensor:
    return values.gather(1, index[:, None])[:, 0]


def _changed(
    graph: SceneGraph, fact: Tensor, index: Tensor, value: Tensor, config: SceneConfig
) -> SceneGraph:
    here = torch.arange(config.maximum, device=index.device) == index[:, None]
    colour, shape, position = (fact[:, None] == FACTS.index(one) for one in FACTS)
    value = value[:, None]
    # Whatever is at the new position changes places with the object.
    there = position & (graph.quadrant == value) & graph.present
    quadrant = torch.where(
        position & here, value, torch.where(there, _at(graph.quadrant, index)[:, None], -2)
    )
    quadrant = torch.where(quadrant == -2, graph.quadrant, quadrant)
    half = config.pixels // 2
    # An object keeps its distance from the middle of its quadrant, which fits its size.
    x = graph.x + ((quadrant & 1) - (graph.quadrant & 1)) * half
    y = graph.y + ((quadrant >> 1) - (graph.quadrant >> 1)) * half
    return replace(
        graph,
        colour=torch.where(colour & here, value, graph.colour),
        shape=torch.where(shape & here, value, graph.shape),
        quadrant=quadrant,
        x=torch.where(graph.present, x, -1),
        y=torch.where(graph.present, y, -1),
    )


def _first_of_two(graph: SceneGraph, fact: Tensor, index: Tensor, value: Tensor) -> Tensor:
    """Whether an object is the first of two that change places; True where it does not."""
    there = (graph.quadrant == value[:, None]) & graph.present
    swaps = (fact == FACTS.index("position")) & there.any(1)
    return ~swaps | (index < there.int().argmax(1))


def _exists(graph: SceneGraph, config: SceneConfig) -> Tensor:
    """Which scenes the configuration has, (n,) bool, splits aside."""
    both = graph.present[:, :, None] & graph.present[:, None, :]
    other = both & ~torch.eye(config.maximum, dtype=torch.bool, device=both.device)
    across = other & ((graph.quadrant[:, :, None] ^ graph.quadrant[:, None, :]) == _OPPOSITE)
    fine = (graph.count != 2) | ~across.flatten(1).any(1)
    if config.distinct_shapes:
        alike = other & (graph.shape[:, :, None] == graph.shape[:, None, :])
        fine = fine & ~alike.flatten(1).any(1)
    return fine
