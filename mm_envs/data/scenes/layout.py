"""Scene graphs: configuration, numbering, random graphs, and splits.

A picture is a 2x2 grid of quadrants with at most one object in each. The distinct graphs of a configuration
are numbered from 0, first by their number of objects, regardless of positions within quadrants.

The split of a graph depends on two sums over its objects: the ranks of the colours, modulo the number of
colours, and the ranks of the shapes, modulo the number of shapes (ranks are seeded permutations). So graphs
that differ only in order, placement, sizes, textures, or the assignment of colours to objects share a split,
and the held-out set is independent of the answer to a question. As any object can be solved for, given the
others and a sum, every colour and shape is equally frequent in every split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from itertools import combinations, permutations, product
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mm_envs.data.dataset import SPLITS
from mm_envs.names import whole
from mm_envs.random import fold, integers, purpose, stream

COLOURS = ("red", "green", "blue", "yellow", "purple", "cyan", "white", "pink")
RGB = (
    (230, 40, 45),
    (40, 185, 70),
    (50, 100, 255),
    (250, 225, 40),
    (165, 60, 205),
    (60, 215, 230),
    (245, 245, 245),
    (255, 150, 195),
)
SHAPES = ("circle", "square", "triangle", "cross")
SIZES = ("small", "large")
TEXTURES = ("plain", "striped", "dotted")

MAX_OBJECTS = 4
_HELD_OUT = 8  # one of 8 pairs of sums is for validation, one for the test

# The quadrants are numbered in reading order, so that sorted tuples are in canonical order. With two objects
# only the pairs along an axis are used: exactly one relation, left of or above, holds between them.
_PLACEMENTS: dict[int, tuple[tuple[int, ...], ...]] = {
    1: ((0,), (1,), (2,), (3,)),
    2: ((0, 1), (2, 3), (0, 2), (1, 3)),
    3: tuple(combinations(range(4), 3)),
    4: ((0, 1, 2, 3),),
}


@dataclass(frozen=True)
class SceneConfig:
    """The configuration of scenes; all fields are JSON values.

    Attributes:
        objects: The smallest and the largest number of objects, 1 to 4; each count is equally frequent.
        colours: The number of COLOURS that are used, 1 to 8.
        shapes: The number of SHAPES that are used, 1 to 4.
        sizes: The number of SIZES that are used, 1 or 2; with one, every object is large.
        textures: The number of TEXTURES that are used, 1 to 3.
        pixels: The side of the picture, even, 36 to 256.
        hide_colour: Whether all objects are grey, so that only the sound tells the colour.
        distinct_shapes: Whether no two objects of a scene have the same shape.
        noise: The largest deviation of the noise added to sounds, 0 to 0.1.
        split_seed: The seed of the ranks of colours and shapes, which define the splits.

    Raises:
        ValueError: A field is outside its range, or there are too few colours and shapes to be split.

    Example:
        >>> SceneConfig().graphs
        16384
    """

    objects: tuple[int, int] = (2, 2)
    colours: int = 8
    shapes: int = 4
    sizes: int = 2
    textures: int = 1
    pixels: int = 64
    hide_colour: bool = False
    distinct_shapes: bool = False
    noise: float = 0.01
    split_seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "objects", _pair(self.objects))  # a list in JSON
        low, high = self.objects
        if not 1 <= low <= high <= MAX_OBJECTS:
            raise ValueError(f"objects={self.objects} is not an increasing pair within 1 to {MAX_OBJECTS}")
        names = {"colours": COLOURS, "shapes": SHAPES, "sizes": SIZES, "textures": TEXTURES}
        for name, known in names.items():
            whole(name, getattr(self, name))
            if not 1 <= getattr(self, name) <= len(known):
                raise ValueError(f"{name}={getattr(self, name)} is not within 1 to {len(known)}")
        whole("pixels", self.pixels)
        if not 36 <= self.pixels <= 256 or self.pixels % 2:
            raise ValueError(f"pixels={self.pixels} is not an even number within 36 to 256")
        if not isinstance(self.noise, (int, float)) or not 0 <= self.noise <= 0.1:
            raise ValueError(f"noise={self.noise!r} is not within 0 to 0.1")
        if self.distinct_shapes and high > self.shapes:
            raise ValueError(f"shapes={self.shapes} is too few for {high} objects of distinct shapes")
        for count in range(low, high + 1):
            if not all(_cells(self, count)):
                raise ValueError(
                    f"colours={self.colours} and shapes={self.shapes} of {count} objects cannot be split: "
                    "allow more colours"
                )

    @property
    def maximum(self) -> int:
        """The largest number of objects, K."""
        return self.objects[1]

    @property
    def looks(self) -> int:
        """The number of different objects of one shape: colours times sizes times textures."""
        return self.colours * self.sizes * self.textures

    def arrangements(self, count: int) -> tuple[tuple[int, ...], ...]:
        """Returns all assignments of shapes to ``count`` objects."""
        shapes = range(self.shapes)
        return tuple(permutations(shapes, count) if self.distinct_shapes else product(shapes, repeat=count))

    def graphs_of(self, count: int) -> int:
        """Returns the number of distinct graphs with ``count`` objects."""
        return len(_PLACEMENTS[count]) * len(self.arrangements(count)) * int(self.looks**count)

    @property
    def graphs(self) -> int:
        """The number of distinct graphs."""
        return sum(self.graphs_of(count) for count in range(self.objects[0], self.objects[1] + 1))


def _pair(objects: object) -> tuple[int, int]:
    if not isinstance(objects, (tuple, list)) or len(objects) != 2:
        raise ValueError(f"objects={objects!r} is not a pair of numbers: write for instance objects=(1, 4)")
    for count in objects:
        whole("objects", count)
    return objects[0], objects[1]


@dataclass(frozen=True)
class SceneGraph:
    """The graphs of n scenes of up to K objects, in reading order of their quadrants.

    Objects that are present come first. Every attribute is int64 of shape (n, K), -1 for absent objects.

    Attributes:
        present: Whether there is an object, bool of shape (n, K).
        shape: Its index in SHAPES.
        colour: Its index in COLOURS.
        size: Its index in SIZES.
        texture: Its index in TEXTURES.
        quadrant: Its quadrant: 0 top left, 1 top right, 2 bottom left, 3 bottom right.
        x: The column of its centre, in pixels from the left.
        y: The row of its centre, in pixels from the top.
    """

    present: Tensor
    shape: Tensor
    colour: Tensor
    size: Tensor
    texture: Tensor
    quadrant: Tensor
    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return int(self.present.shape[0])

    @property
    def count(self) -> Tensor:
        """The number of objects, int64 of shape (n,)."""
        return self.present.sum(1)

    def left_of(self) -> Tensor:
        """Returns whether object i is in a column left of object j, bool of shape (n, K, K) at [:, i, j]."""
        return self._before(self.quadrant & 1)

    def above(self) -> Tensor:
        """Returns whether object i is in a row above object j, bool of shape (n, K, K) at [:, i, j]."""
        return self._before(self.quadrant >> 1)

    def _before(self, position: Tensor) -> Tensor:
        both = self.present[:, :, None] & self.present[:, None, :]
        return (position[:, :, None] < position[:, None, :]) & both

    def select(self, rows: Tensor | slice) -> SceneGraph:
        """Returns the graphs of some rows: indices, a mask or a slice."""
        return SceneGraph(*(getattr(self, field.name)[rows] for field in fields(self)))


@lru_cache(maxsize=256)
def _ranks(config: SceneConfig, name: str, number: int) -> tuple[int, ...]:
    """A seeded permutation of the values of an attribute."""
    draws = fold(stream(config.split_seed, f"rank of {name}"), torch.arange(number))
    return tuple(draws.argsort().argsort().tolist())


def _splits(config: SceneConfig) -> list[list[int]]:
    """The split of each sum of ranks of shapes and, therein, of ranks of colours.

    Held-out pairs form a staircase, so that every sum, even or odd, loses the same share (two equal ranks
    have an even sum). Validation and test alternate in Thue-Morse order, for the same reason.
    """
    colours, shapes = config.colours, config.shapes
    splits = [[0] * colours for _ in range(shapes)]
    for step in range(2 * max(1, colours * shapes // _HELD_OUT)):
        colour = step % colours
        splits[(colour // 2 + step // colours) % shapes][colour] = 1 + bin(step).count("1") % 2
    return splits


@lru_cache(maxsize=256)
def _cells(config: SceneConfig, count: int) -> tuple[list[int], ...]:
    """The cells of each split, ``arrangement * colours + sum of ranks of colours``."""
    splits, ranks = _splits(config), _ranks(config, "shape", config.shapes)
    cells: tuple[list[int], ...] = tuple([] for _ in SPLITS)
    for number, arrangement in enumerate(config.arrangements(count)):
        row = splits[sum(ranks[shape] for shape in arrangement) % config.shapes]
        for total, split in enumerate(row):
            cells[split].append(number * config.colours + total)
    return cells


@dataclass(frozen=True)
class _Tables:
    """The tables of a configuration on a device; a dimension of five is the number of objects, 0 to 4."""

    first: Tensor  # (counts + 1,): the first number of each count, then the number of all graphs
    placements: Tensor  # (5,): the number of placements
    quadrants: Tensor  # (5, 4, K): the quadrants of a placement, padded with -1
    arrangements: Tensor  # (5,): the number of assignments of shapes
    shapes: Tensor  # (5, max arrangements, K): the shapes of an arrangement, padded with -1
    cell_counts: Tensor  # (3, 5): the number of cells of a split
    cells: Tensor  # (3, 5, max cells): arrangement * colours + sum of ranks of colours
    splits: Tensor  # (shapes, colours): the split of each pair of sums
    colour_rank: Tensor  # (colours,)
    colour_of_rank: Tensor  # (colours,)
    shape_rank: Tensor  # (shapes,)
    weights: Tensor  # (K,): powers of the number of looks


def _padded(rows: Iterable[Sequence[Any]], fill: int) -> tuple[Tensor, Tensor]:
    """The lengths of some rows, and the rows as one tensor."""
    tensors = [torch.tensor(row) for row in rows]
    return torch.tensor([len(row) for row in tensors]), pad_sequence(tensors, True, fill)


@lru_cache(maxsize=64)
def _tables(config: SceneConfig, device: torch.device) -> _Tables:
    low, high = config.objects
    used = range(low, high + 1)

    def choices(of: Callable[[int], Iterable[tuple[int, ...]]]) -> tuple[Tensor, Tensor]:
        rows = {count: [(*one, *[-1] * (high - count)) for one in of(count)] for count in used}
        return _padded((rows.get(count, [[-1] * high]) for count in range(5)), -1)

    cells = [_cells(config, count) if count in used else ([0],) * len(SPLITS) for count in range(5)]
    cell_counts, cell_table = _padded((row for split in zip(*cells, strict=True) for row in split), 0)
    colour_rank = torch.tensor(_ranks(config, "colour", config.colours))
    tables = (
        torch.tensor([sum(map(config.graphs_of, range(low, end))) for end in range(low, high + 2)]),
        *choices(_PLACEMENTS.__getitem__),
        *choices(config.arrangements),
        cell_counts.view(len(SPLITS), 5),
        cell_table.view(len(SPLITS), 5, -1),
        torch.tensor(_splits(config)),
        colour_rank,
        colour_rank.argsort(),
        torch.tensor(_ranks(config, "shape", config.shapes)),
        torch.tensor([config.looks**k for k in range(high)]),
    )
    return _Tables(*(table.to(device) for table in tables))


def radii(config: SceneConfig) -> tuple[int, int]:
    """Returns the radius in pixels of a small and of a large object."""
    return config.pixels * 7 // 64, config.pixels * 12 // 64


_BOX_STEPS = 4096
# The distances from the centre of a shape to its left, top, right and bottom, in radii.
_EXTENTS = {
    "circle": (1.0, 1.0, 1.0, 1.0),
    "square": (0.85, 0.85, 0.85, 0.85),
    "triangle": (1.0, 0.95, 1.0, 0.85),
    "cross": (1.0, 1.0, 1.0, 1.0),
}


def boxes(graph: SceneGraph, config: SceneConfig) -> Tensor:
    """Returns the boxes around the objects of some scenes, relative to the size of the picture.

    Returns:
        (left, top, right, bottom), float32 of shape (n, K, 4) in [0, 1], in steps of 1/4096; 0 for absent
        objects.
    """
    extents, sizes = _measures(config.pixels, graph.x.device)
    radius = sizes[graph.size.clamp(min=0)]
    centre = torch.stack([graph.x, graph.y, graph.x, graph.y], 2).to(torch.float32)
    corners = (centre + extents[graph.shape.clamp(min=0)] * radius[..., None]) / config.pixels
    corners = (corners * _BOX_STEPS).round() / _BOX_STEPS
    return corners.masked_fill(~graph.present[..., None], 0.0)


@lru_cache(maxsize=16)
def _measures(pixels: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Signed extents of all shapes (shapes, 4), and the radii in pixels (sizes,)."""
    signed = [[-left, -up, right, down] for left, up, right, down in _EXTENTS.values()]
    radius = torch.tensor(radii(SceneConfig(pixels=pixels)), dtype=torch.float32)
    return torch.tensor(signed).to(device), radius.to(device)


def decode(config: SceneConfig, number: Tensor) -> SceneGraph:
    """Returns the graphs of some numbers, one to one, with every object in the middle of its quadrant.

    Args:
        config: The configuration.
        number: Numbers in [0, ``config.graphs``), int64 of shape (n,).
    """
    tables = _tables(config, number.device)
    block = (number[:, None] >= tables.first[1:]).sum(1)
    count, number = block + config.objects[0], number - tables.first[block]
    placements, arrangements = tables.placements[count], tables.arrangements[count]
    quadrant = tables.quadrants[count, number % placements]
    number = number // placements
    shape = tables.shapes[count, number % arrangements]
    digit = (number // arrangements)[:, None] // tables.weights % config.looks
    colour, size = digit % config.colours, digit // config.colours % config.sizes
    return _graph(config, quadrant, shape, colour, size, digit // (config.colours * config.sizes))


def _graph(
    config: SceneConfig, quadrant: Tensor, shape: Tensor, colour: Tensor, size: Tensor, texture: Tensor
) -> SceneGraph:
    """Graphs; colour, size and texture of absent objects are replaced by -1."""
    present, half = quadrant >= 0, config.pixels // 2
    if config.sizes == 1:
        size = torch.ones_like(size)
    x, y = ((cell * half) + half // 2 for cell in (quadrant & 1, quadrant >> 1))
    colour, size, texture, x, y = (torch.where(present, value, -1) for value in (colour, size, texture, x, y))
    return SceneGraph(present, shape, colour, size, texture, quadrant, x, y)


def split_of(config: SceneConfig, graph: SceneGraph) -> Tensor:
    """Returns the split of graphs: its index in SPLITS, int64 of shape (n,).

    Example:
        >>> graph = decode(SceneConfig(), torch.arange(16384))
        >>> split_of(SceneConfig(), graph).bincount().tolist()
        [12288, 2048, 2048]
    """
    tables = _tables(config, graph.shape.device)
    sums = []
    for value, ranks in ((graph.shape, tables.shape_rank), (graph.colour, tables.colour_rank)):
        rank = torch.where(graph.present, ranks[value.clamp(min=0)], 0)
        sums.append(rank.sum(1) % len(ranks))
    return tables.splits[sums[0], sums[1]]


def scene(config: SceneConfig, split: Tensor | int, hashes: Tensor) -> SceneGraph:
    """Returns random graphs of a split; every count, and every graph of a count, is equally likely.

    Shapes and the sum of the ranks of colours are drawn from a table of those of the split; all colours but
    the first are drawn freely, and the first follows from the sum.

    Args:
        config: The configuration.
        split: The index of the split in SPLITS (0 train, 1 validation, 2 test), or int64 of shape (n,).
        hashes: One hash for each scene, int64 of shape (n,); the graph is a function of it.
    """
    tables = _tables(config, hashes.device)
    low, high = config.objects
    count = low + integers(fold(hashes, purpose("count")), high - low + 1)
    state = fold(hashes, purpose("graph"))
    quadrant = tables.quadrants[count, integers(fold(state, 0), tables.placements[count])]
    cell = tables.cells[split, count, integers(fold(state, 1), tables.cell_counts[split, count])]
    slots = fold(state[:, None], 2, torch.arange(high, device=hashes.device))
    rank = integers(fold(slots, 0), config.colours)
    others = torch.where(quadrant >= 0, rank, 0)[:, 1:].sum(1)
    rank[:, 0] = (cell - others) % config.colours
    graph = _graph(
        config,
        quadrant,
        tables.shapes[count, cell // config.colours],
        tables.colour_of_rank[rank],
        integers(fold(slots, 1), config.sizes),
        integers(fold(slots, 2), config.textures),
    )
    return _jitter(config, graph, hashes)


def _jitter(config: SceneConfig, graph: SceneGraph, hashes: Tensor) -> SceneGraph:
    """Moves objects within their quadrants, leaving a margin of one pixel."""
    reach = reaches(config)
    slots = torch.arange(config.maximum, device=hashes.device)
    state = fold(hashes, purpose("jitter"))[:, None]
    room = torch.where(graph.size == 0, reach[0], reach[1])
    moves = [integers(fold(state, slots, axis), 2 * room + 1) - room for axis in range(2)]
    x, y = (
        torch.where(graph.present, centre + move, -1)
        for centre, move in zip((graph.x, graph.y), moves, strict=True)
    )
    return replace(graph, x=x, y=y)


def reaches(config: SceneConfig) -> tuple[int, int]:
    """Returns the largest distance of a small and of a large object from the centre of its quadrant."""
    small, large = (config.pixels // 4 - radius - 1 for radius in radii(config))
    return small, large
