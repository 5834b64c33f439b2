"""What is in a scene: its configuration, its graph, and the numbering of all graphs that keeps splits apart.

A picture is a 2x2 grid of quadrants with at most one object in each. The distinct graphs of a configuration
are numbered from 0, first by their number of objects. A seeded permutation shuffles the numbers of each
count, and the shuffled numbers are cut into splits: the first eight tenths are for training, one tenth for
validation and one for the test. Hence no graph is ever in two splits. Where in its quadrant an object lies is
chance, and not part of its graph's number.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import combinations, permutations, product
from math import isqrt

import torch
from torch import Tensor

from mm_envs.data.dataset import SPLITS
from mm_envs.random import fold, integers, purpose, stream

COLOURS = ("red", "green", "blue", "yellow", "purple", "cyan", "white", "orange")
RGB = (
    (230, 40, 45),
    (40, 185, 70),
    (50, 100, 255),
    (250, 225, 40),
    (165, 60, 205),
    (60, 215, 230),
    (245, 245, 245),
    (250, 135, 25),
)
SHAPES = ("circle", "square", "triangle", "cross")
SIZES = ("small", "large")
TEXTURES = ("plain", "striped", "dotted")

MAXIMUM_OBJECTS = 4
_TENTHS = (0, 8, 9, 10)
_ROUNDS = 6

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
    """What scenes may hold. All fields are plain values, as JSON can say them.

    Attributes:
        objects: The smallest and the largest number of objects, 1 to 4; each count is equally frequent.
        colours: How many of COLOURS are used, 1 to 8.
        shapes: How many of SHAPES are used, 1 to 4.
        sizes: How many of SIZES are used, 1 or 2; with one, every object is large.
        textures: How many of TEXTURES are used, 1 to 3.
        pixels: The side of the picture, even, 36 to 256.
        hide_colour: Whether pictures show every object in grey, so that the sound alone says its colour.
        distinct_shapes: Whether no two objects of a scene have the same shape, so that a shape, seen or
            heard, says which object is meant.
        noise: The largest deviation of the noise added to sounds, 0 to 0.1.
        split_seed: The seed of the permutation that cuts the splits.

    Raises:
        ValueError: A field is outside its range, or too few graphs exist to be split.

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
        object.__setattr__(self, "objects", tuple(self.objects))  # JSON knows lists only
        low, high = self.objects
        if not 1 <= low <= high <= MAXIMUM_OBJECTS:
            raise ValueError(
                f"objects={self.objects} is not an increasing pair within 1 to {MAXIMUM_OBJECTS}"
            )
        names = {"colours": COLOURS, "shapes": SHAPES, "sizes": SIZES, "textures": TEXTURES}
        for name, known in names.items():
            if not 1 <= getattr(self, name) <= len(known):
                raise ValueError(f"{name}={getattr(self, name)} is not within 1 to {len(known)}")
        if not 36 <= self.pixels <= 256 or self.pixels % 2:
            raise ValueError(f"pixels={self.pixels} is not an even number within 36 to 256")
        if not 0 <= self.noise <= 0.1:
            raise ValueError(f"noise={self.noise} is not within 0 to 0.1")
        if self.distinct_shapes and high > self.shapes:
            raise ValueError(f"shapes={self.shapes} is too few for {high} objects of distinct shapes")
        if self.graphs_of(low) < 10:
            raise ValueError(
                f"{self.graphs_of(low)} graphs of {low} objects cannot be split: allow more colours"
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
        """All ways to give that many objects their shapes."""
        shapes = range(self.shapes)
        return tuple(permutations(shapes, count) if self.distinct_shapes else product(shapes, repeat=count))

    def graphs_of(self, count: int) -> int:
        """The number of distinct graphs with that many objects."""
        return len(_PLACEMENTS[count]) * len(self.arrangements(count)) * int(self.looks**count)

    @property
    def graphs(self) -> int:
        """The number of distinct graphs."""
        return sum(self.graphs_of(count) for count in range(self.objects[0], self.objects[1] + 1))


@dataclass(frozen=True)
class SceneGraph:
    """What is in some scenes: n scenes of up to K objects, in reading order of their quadrants.

    Objects that are present come first. Every attribute is int64 of shape (n, K), -1 where no object is.

    Attributes:
        present: Whether there is an object, bool of shape (n, K).
        shape: Its number in SHAPES.
        colour: Its number in COLOURS.
        size: Its number in SIZES.
        texture: Its number in TEXTURES.
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
        """Whether object i is in a column to the left of object j's, bool of shape (n, K, K) at [:, i, j]."""
        return self._before(self.quadrant & 1)

    def above(self) -> Tensor:
        """Whether object i is in a row above object j's, bool of shape (n, K, K) at [:, i, j]."""
        return self._before(self.quadrant >> 1)

    def _before(self, place: Tensor) -> Tensor:
        both = self.present[:, :, None] & self.present[:, None, :]
        return (place[:, :, None] < place[:, None, :]) & both

    def select(self, rows: Tensor | slice) -> SceneGraph:
        """The graphs of some rows: numbers, a mask or a slice."""
        return SceneGraph(*(getattr(self, field.name)[rows] for field in fields(self)))

    def to(self, device: torch.device | str) -> SceneGraph:
        """The same graphs on another device."""
        return SceneGraph(*(getattr(self, field.name).to(device) for field in fields(self)))


@dataclass(frozen=True)
class _Tables:
    """The numbers of a configuration on a device; rows are counts 0 to 4 where there are five."""

    first: Tensor  # (counts + 1,): the first combination of each count, then the number of all
    graphs: Tensor  # (5,)
    factors: Tensor  # (5, 2): two factors of the number of graphs, as equal as can be
    placements: Tensor  # (5,): how many ways there are to place that many objects
    quadrants: Tensor  # (5, 4, K): the quadrants of a placement, -1 behind the last
    arrangements: Tensor  # (5,): how many ways there are to give that many objects their shapes
    shapes: Tensor  # (5, most arrangements, K): the shapes of an arrangement, -1 behind the last
    bounds: Tensor  # (4, 5): where splits begin and end among the graphs of a count
    weights: Tensor  # (K,): powers of the number of looks
    radius: Tensor  # (2,): the radius of each size
    state: Tensor  # (): the stream of the permutation


def _factors(number: int) -> tuple[int, int]:
    divisor = next(d for d in range(isqrt(number), 0, -1) if number % d == 0)
    return divisor, number // divisor


def _padded(choices: dict[int, tuple[tuple[int, ...], ...]], width: int) -> tuple[Tensor, Tensor]:
    """How many choices each count has, (5,), and the choices, (5, most choices, width), padded with -1."""
    sizes = torch.ones(5, dtype=torch.int64)
    table = torch.full((5, max(map(len, choices.values())), width), -1)
    for count, rows in choices.items():
        sizes[count] = len(rows)
        table[count, : len(rows), :count] = torch.tensor(rows)
    return sizes, table


@lru_cache(maxsize=64)
def _tables(config: SceneConfig, device: torch.device) -> _Tables:
    low, high = config.objects
    used = range(low, high + 1)
    graphs = [config.graphs_of(count) if count in used else 1 for count in range(5)]
    placements, quadrants = _padded({count: _PLACEMENTS[count] for count in used}, high)
    arrangements, shapes = _padded({count: config.arrangements(count) for count in used}, high)
    columns = {
        "first": torch.tensor([sum(graphs[low:count]) for count in range(low, high + 2)]),
        "graphs": torch.tensor(graphs),
        "factors": torch.tensor([_factors(number) for number in graphs]),
        "placements": placements,
        "quadrants": quadrants,
        "arrangements": arrangements,
        "shapes": shapes,
        "bounds": torch.tensor([[number * tenth // 10 for number in graphs] for tenth in _TENTHS]),
        "weights": torch.tensor([config.looks**k for k in range(high)]),
        "radius": torch.tensor(radii(config)),
        "state": stream(config.split_seed, "scene permutation"),
    }
    return _Tables(**{name: table.to(device) for name, table in columns.items()})


def radii(config: SceneConfig) -> tuple[int, int]:
    """The radius in pixels of a small and of a large object."""
    return config.pixels * 7 // 64, config.pixels * 12 // 64


def combination_range(config: SceneConfig, split: str, count: int) -> tuple[int, int]:
    """The shuffled numbers, of the graphs with that many objects, that belong to a split: [low, high).

    Example:
        >>> combination_range(SceneConfig(), "validation", 2)
        (13107, 14745)
    """
    number = SPLITS.index(split)
    graphs = config.graphs_of(count)
    return graphs * _TENTHS[number] // 10, graphs * _TENTHS[number + 1] // 10


def permute(config: SceneConfig, count: Tensor, number: Tensor) -> Tensor:
    """Shuffle the numbers of the graphs of each count: a bijection of [0, graphs_of(count)) onto itself.

    A Feistel network over two digits whose bases multiply to the number of graphs, so that no number ever
    falls outside (the generalised Feistel cipher of Black and Rogaway, "Ciphers with arbitrary finite
    domains", 2002, without the need for cycle walking).

    Args:
        config: The configuration.
        count: The number of objects, int64 of shape (n,).
        number: Numbers below ``config.graphs_of(count)``, int64 of shape (n,).

    Returns:
        The shuffled numbers, int64 of shape (n,).
    """
    tables = _tables(config, number.device)
    base, other = tables.factors[count].unbind(1)
    left, right = number % base, number // base
    state = fold(tables.state, count)
    for turn in range(_ROUNDS):
        if turn % 2 == 0:
            left = (left + integers(fold(state, turn, right), base)) % base
        else:
            right = (right + integers(fold(state, turn, left), other)) % other
    return right * base + left


def decode(config: SceneConfig, combination: Tensor) -> SceneGraph:
    """The graphs of some combination numbers, with every object in the middle of its quadrant.

    Args:
        config: The configuration.
        combination: Numbers in [0, ``config.graphs``), int64 of shape (n,); equal numbers mean equal graphs
            and different numbers mean different graphs.
    """
    tables = _tables(config, combination.device)
    block = (combination[:, None] >= tables.first[1:]).sum(1)
    return _graph(config, block + config.objects[0], combination - tables.first[block])


def _graph(config: SceneConfig, count: Tensor, number: Tensor) -> SceneGraph:
    tables = _tables(config, number.device)
    placements, arrangements = tables.placements[count], tables.arrangements[count]
    quadrant = tables.quadrants[count, number % placements]
    number = number // placements
    shape = tables.shapes[count, number % arrangements]
    present = quadrant >= 0
    digit = (number // arrangements)[:, None] // tables.weights % config.looks
    looks = []
    for base in (config.colours, config.sizes, config.textures):
        looks.append(torch.where(present, digit % base, -1))
        digit = digit // base
    colour, size, texture = looks
    if config.sizes == 1:
        size = torch.where(present, 1, -1)
    half = config.pixels // 2
    x = torch.where(present, (quadrant & 1) * half + half // 2, -1)
    y = torch.where(present, (quadrant >> 1) * half + half // 2, -1)
    return SceneGraph(present, shape, colour, size, texture, quadrant, x, y)


def scene(config: SceneConfig, split: Tensor | int, bits: Tensor) -> SceneGraph:
    """Random graphs of a split: every count is equally likely, and every graph of a count.

    Args:
        config: The configuration.
        split: The number of the split in SPLITS (0 train, 1 validation, 2 test), or int64 of shape (n,).
        bits: One hash for each scene, int64 of shape (n,); the graph is a function of it.

    Example:
        >>> graph = scene(SceneConfig(), 0, torch.tensor([1, 2, 3]))
        >>> graph.shape.shape
        torch.Size([3, 2])
    """
    tables = _tables(config, bits.device)
    low, high = config.objects
    count = low + integers(fold(bits, purpose("count")), high - low + 1)
    begin, end = tables.bounds[split, count], tables.bounds[split + 1, count]
    number = begin + integers(fold(bits, purpose("graph")), end - begin)
    return _jitter(config, _graph(config, count, permute(config, count, number)), bits)


def _jitter(config: SceneConfig, graph: SceneGraph, bits: Tensor) -> SceneGraph:
    """Move objects within their quadrants, leaving a margin of one pixel."""
    reach = reaches(config)
    slots = torch.arange(config.maximum, device=bits.device)
    state = fold(bits, purpose("jitter"))[:, None]
    room = torch.where(graph.size == 0, reach[0], reach[1])
    moves = [integers(fold(state, slots, axis), 2 * room + 1) - room for axis in range(2)]
    x, y = (
        torch.where(graph.present, centre + move, -1)
        for centre, move in zip((graph.x, graph.y), moves, strict=True)
    )
    return SceneGraph(
        graph.present, graph.shape, graph.colour, graph.size, graph.texture, graph.quadrant, x, y
    )


def reaches(config: SceneConfig) -> tuple[int, int]:
    """How far from the middle of its quadrant the centre of a small and of a large object may lie."""
    small, large = (config.pixels // 4 - radius - 1 for radius in radii(config))
    return small, large
