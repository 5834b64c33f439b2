"""The numbering of graphs, the splits, and where objects lie."""

from __future__ import annotations

from dataclasses import asdict, fields, replace

import pytest
import torch
from torch import Tensor

from mm_envs.data.dataset import SPLITS
from mm_envs.data.scenes.layout import SceneConfig, SceneGraph, decode, radii, scene, split_of
from mm_envs.random import fold, integers

CONFIGS = [
    SceneConfig(),
    SceneConfig(objects=(1, 2), colours=3, shapes=2, textures=3),
    SceneConfig(objects=(1, 4), colours=3, shapes=1, sizes=1),
    SceneConfig(objects=(3, 3), colours=2, shapes=3, split_seed=-7),
    SceneConfig(objects=(1, 1), colours=7, shapes=3, sizes=1),
    SceneConfig(objects=(1, 3), colours=2, shapes=4, sizes=1, distinct_shapes=True),
]
LARGE = SceneConfig(objects=(1, 4), textures=3)


def identity(graph: SceneGraph) -> Tensor:
    """One number for what makes two graphs equal, everything but the jitter: int64 of shape (n,)."""
    parts = [graph.shape, graph.colour, graph.size, graph.texture, graph.quadrant]
    digits = torch.stack(parts, 1).flatten(1) + 1  # 0 to 8, at most 20 of them: below 9**20 < 2**64
    return (digits * 9 ** torch.arange(digits.shape[1])).sum(1)


def draw_hashes(n: int, seed: int = 0) -> Tensor:
    return fold(torch.arange(n), seed)


@pytest.mark.parametrize("config", CONFIGS)
def test_every_number_is_another_graph(config: SceneConfig) -> None:
    graphs = identity(decode(config, torch.arange(config.graphs)))
    assert graphs.unique().numel() == config.graphs


@pytest.mark.parametrize("config", CONFIGS)
def test_no_graph_is_in_two_splits_and_all_are_reached(config: SceneConfig) -> None:
    seen = []
    for split in range(3):
        graph = scene(config, split, draw_hashes(60_000, split))
        assert (split_of(config, graph) == split).all()
        seen.append(set(identity(graph).unique().tolist()))
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]
    if config.graphs < 3000:
        assert sum(map(len, seen)) == config.graphs


@pytest.mark.parametrize("config", [SceneConfig(), LARGE, SceneConfig(objects=(2, 4), distinct_shapes=True)])
def test_a_split_has_three_quarters_or_an_eighth_of_each_count(config: SceneConfig) -> None:
    graph = decode(config, integers(draw_hashes(200_000), config.graphs))
    for count in range(config.objects[0], config.objects[1] + 1):
        split = split_of(config, graph.select(graph.count == count))
        if len(split) > 5000:
            share = split.bincount(minlength=len(SPLITS)) / len(split)
            assert torch.allclose(share, torch.tensor([0.75, 0.125, 0.125]), atol=0.02)


@pytest.mark.parametrize("config", [SceneConfig(), LARGE, SceneConfig(distinct_shapes=True)])
def test_mirror_images_share_a_split(config: SceneConfig) -> None:
    graph = scene(config, torch.arange(3000) % 3, draw_hashes(3000))
    split = split_of(config, graph)

    def reordered(value: Tensor, seed: int) -> Tensor:
        """The values of present objects in another order, each row in its own."""
        draws = torch.rand(value.shape, generator=torch.Generator().manual_seed(seed))
        return value.gather(1, torch.where(graph.present, draws, 2.0).argsort(1))

    for name in ("size", "texture", "quadrant"):
        changed = replace(graph, **{name: torch.where(graph.present, 0, -1)})
        assert torch.equal(split_of(config, changed), split)
    for seed in range(4):
        changed = replace(graph, shape=reordered(graph.shape, seed), colour=reordered(graph.colour, seed + 4))
        assert torch.equal(split_of(config, changed), split)
    other = replace(graph, colour=torch.where(graph.present, (graph.colour + 1) % config.colours, -1))
    assert not torch.equal(split_of(config, other), split)


@pytest.mark.parametrize("split", range(3))
def test_every_graph_of_a_split_is_equally_frequent(split: int) -> None:
    config = SceneConfig(colours=3, shapes=2, sizes=1)
    every = decode(config, torch.arange(config.graphs))
    numbers = identity(every)[split_of(config, every) == split]
    drawn = identity(scene(config, split, draw_hashes(1000 * len(numbers))))
    found, counts = drawn.unique(return_counts=True)
    assert torch.equal(found, numbers.sort().values)
    assert (counts - 1000).abs().max() < 160  # five standard deviations


@pytest.mark.parametrize("split", range(3))
def test_objects_of_every_split_are_alike(split: int) -> None:
    graph = scene(SceneConfig(), split, draw_hashes(60_000))
    kinds = (graph.colour * 4 + graph.shape).flatten()
    assert torch.allclose(kinds.bincount() / len(kinds), torch.full((32,), 1 / 32), atol=0.003)
    colour, shape = graph.colour[:, 0] == graph.colour[:, 1], graph.shape[:, 0] == graph.shape[:, 1]
    for same, share in ((colour, 1 / 8), (shape, 1 / 4), (colour & shape, 1 / 32)):
        assert same.double().mean().item() == pytest.approx(share, abs=0.009)


def test_another_split_seed_is_another_split() -> None:
    graph = decode(SceneConfig(), torch.arange(16384))
    one, two = (split_of(SceneConfig(split_seed=seed), graph) for seed in (0, 1))
    assert 0.2 < (one != two).double().mean() < 0.6


@pytest.mark.parametrize("config", [CONFIGS[0], LARGE])
def test_a_scene_depends_on_its_own_row_only(config: SceneConfig) -> None:
    hashes = draw_hashes(257)
    split = torch.arange(257) % 3
    together = scene(config, split, hashes)
    order = torch.randperm(257, generator=torch.Generator().manual_seed(0))
    shuffled = scene(config, split[order], hashes[order])
    alone = [scene(config, int(split[row]), hashes[row : row + 1]) for row in range(0, 257, 16)]
    for field in fields(SceneGraph):
        whole = getattr(together, field.name)
        assert torch.equal(getattr(shuffled, field.name), whole[order])
        assert torch.equal(torch.cat([getattr(one, field.name) for one in alone]), whole[::16])


@pytest.mark.parametrize("config", [SceneConfig(), LARGE, SceneConfig(pixels=36), SceneConfig(pixels=100)])
def test_objects_are_in_canonical_order_within_their_quadrants(config: SceneConfig) -> None:
    graph = scene(config, 0, draw_hashes(4000))
    present = graph.present
    assert (present[:, :-1] | ~present[:, 1:]).all()  # present objects come first
    ordered = graph.quadrant[:, :-1] < graph.quadrant[:, 1:]
    assert (ordered | ~present[:, 1:]).all()
    radius = torch.tensor(radii(config))[graph.size.clamp(min=0)]
    half = config.pixels // 2
    for centre, cell in ((graph.x, graph.quadrant & 1), (graph.y, graph.quadrant >> 1)):
        inside = (centre - radius > cell * half) & (centre + radius < (cell + 1) * half)
        assert (inside | ~present).all()
    for field in fields(SceneGraph)[1:]:
        assert torch.equal(getattr(graph, field.name) >= 0, present)


def test_exactly_one_relation_holds_between_two_objects() -> None:
    graph = scene(SceneConfig(), 0, draw_hashes(2000))
    left, above = graph.left_of(), graph.above()
    assert (left.sum((1, 2)) + above.sum((1, 2)) == 1).all()
    assert 0.4 < left.any(2).any(1).double().mean() < 0.6
    assert torch.equal(left[:, 0, 1], graph.quadrant[:, 1] - graph.quadrant[:, 0] == 1)


def test_relations_follow_positions_and_spare_absent_objects() -> None:
    graph = scene(LARGE, 0, draw_hashes(3000))
    half = LARGE.pixels // 2
    both = graph.present[:, :, None] & graph.present[:, None, :]
    for relation, centre in ((graph.left_of(), graph.x), (graph.above(), graph.y)):
        far = (centre[:, :, None] < half) & (centre[:, None, :] > half)
        assert torch.equal(relation, far & both)


@pytest.mark.parametrize("objects", [(2, 2), (1, 4)])
def test_distinct_shapes_are_distinct_and_equally_frequent(objects: tuple[int, int]) -> None:
    graph = scene(SceneConfig(objects=objects, distinct_shapes=True), 0, draw_hashes(20_000))
    same = (graph.shape[:, :, None] == graph.shape[:, None, :]) & graph.present[:, :, None]
    assert torch.equal(same.sum((1, 2)), graph.count)
    share = torch.bincount(graph.shape[graph.present]) / graph.present.sum()
    assert torch.allclose(share, torch.full((4,), 0.25), atol=0.015)


def test_counts_are_equally_frequent() -> None:
    counts = torch.bincount(scene(LARGE, 0, draw_hashes(40_000)).count, minlength=5) / 40_000
    assert torch.allclose(counts, torch.tensor([0, 0.25, 0.25, 0.25, 0.25]), atol=0.015)


def test_every_attribute_is_equally_frequent() -> None:
    graph = scene(SceneConfig(textures=3), 0, draw_hashes(40_000))
    for values, number in ((graph.shape, 4), (graph.colour, 8), (graph.size, 2), (graph.texture, 3)):
        share = torch.bincount(values.flatten(), minlength=number) / values.numel()
        assert torch.allclose(share, torch.full((number,), 1 / number), atol=0.015)


def test_select_takes_rows() -> None:
    graph = scene(LARGE, 0, draw_hashes(10))
    assert torch.equal(graph.select(torch.tensor([3, 1])).x, graph.x[[3, 1]])
    assert len(graph.select(graph.count > 2)) == int((graph.count > 2).sum())


def test_configuration_survives_plain_values() -> None:
    config = SceneConfig(objects=(1, 3), noise=0.05)
    assert SceneConfig(**{**asdict(config), "objects": list(config.objects)}) == config


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"objects": (0, 2)}, r"objects=\(0, 2\)"),
        ({"objects": (3, 2)}, r"objects=\(3, 2\)"),
        ({"objects": (1, 5)}, r"objects=\(1, 5\)"),
        ({"colours": 9}, "colours=9 is not within 1 to 8"),
        ({"textures": 0}, "textures=0"),
        ({"pixels": 65}, "pixels=65"),
        ({"noise": 0.5}, "noise=0.5"),
        ({"objects": (1, 4), "shapes": 3, "distinct_shapes": True}, "shapes=3 is too few for 4 objects"),
        ({"colours": 1, "shapes": 2}, "colours=1 and shapes=2 of 2 objects cannot be split"),
        ({"objects": (1, 4), "colours": 2, "distinct_shapes": True}, "of 4 objects cannot be split"),
    ],
)
def test_wrong_configurations_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SceneConfig(**arguments)
