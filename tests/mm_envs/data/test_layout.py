"""The numbering of graphs, the splits, and where objects lie."""

from dataclasses import asdict, fields

import pytest
import torch
from torch import Tensor

from mm_envs.data.dataset import SPLITS
from mm_envs.data.scenes.layout import (
    SceneConfig,
    SceneGraph,
    combination_range,
    decode,
    permute,
    radii,
    scene,
)
from mm_envs.random import fold

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


def bits(n: int, seed: int = 0) -> Tensor:
    return fold(torch.arange(n), seed)


@pytest.mark.parametrize("config", CONFIGS)
def test_every_number_is_another_graph(config: SceneConfig) -> None:
    graphs = identity(decode(config, torch.arange(config.graphs)))
    assert graphs.unique().numel() == config.graphs


@pytest.mark.parametrize("config", CONFIGS)
def test_the_permutation_is_a_bijection_that_shuffles(config: SceneConfig) -> None:
    for count in range(config.objects[0], config.objects[1] + 1):
        numbers = torch.arange(config.graphs_of(count))
        shuffled = permute(config, torch.full_like(numbers, count), numbers)
        assert torch.equal(shuffled.sort().values, numbers)
        if len(numbers) > 1000:
            pair = torch.stack([numbers, shuffled]).double()
            assert torch.corrcoef(pair)[0, 1].abs() < 0.1


def test_another_split_seed_is_another_permutation() -> None:
    numbers = torch.arange(16384)
    count = torch.full_like(numbers, 2)
    one, two = (permute(SceneConfig(split_seed=seed), count, numbers) for seed in (0, 1))
    assert (one == two).double().mean() < 0.01


@pytest.mark.parametrize("config", CONFIGS)
def test_no_graph_is_in_two_splits_and_all_are_reached(config: SceneConfig) -> None:
    seen = [set(identity(scene(config, split, bits(60_000, split))).unique().tolist()) for split in range(3)]
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]
    if config.graphs < 3000:
        assert sum(map(len, seen)) == config.graphs


@pytest.mark.parametrize("config", [*CONFIGS, LARGE])
def test_ranges_cover_every_count_once(config: SceneConfig) -> None:
    for count in range(config.objects[0], config.objects[1] + 1):
        ranges = [combination_range(config, split, count) for split in SPLITS]
        assert ranges[0][0] == 0
        assert ranges[2][1] == config.graphs_of(count)
        assert ranges[0][1] == ranges[1][0] < ranges[1][1] == ranges[2][0] < ranges[2][1]


def test_large_permutation_stays_within_its_numbers() -> None:
    graphs = LARGE.graphs_of(4)
    numbers = torch.arange(graphs - 1000, graphs)
    shuffled = permute(LARGE, torch.full_like(numbers, 4), numbers)
    assert shuffled.unique().numel() == 1000
    assert shuffled.min() >= 0
    assert shuffled.max() < graphs


@pytest.mark.parametrize("config", [CONFIGS[0], LARGE])
def test_a_scene_depends_on_its_own_row_only(config: SceneConfig) -> None:
    hashes = bits(257)
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
    graph = scene(config, 0, bits(4000))
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
    graph = scene(SceneConfig(), 0, bits(2000))
    left, above = graph.left_of(), graph.above()
    assert (left.sum((1, 2)) + above.sum((1, 2)) == 1).all()
    assert 0.4 < left.any(2).any(1).double().mean() < 0.6
    assert torch.equal(left[:, 0, 1], graph.quadrant[:, 1] - graph.quadrant[:, 0] == 1)


def test_relations_follow_positions_and_spare_absent_objects() -> None:
    graph = scene(LARGE, 0, bits(3000))
    half = LARGE.pixels // 2
    both = graph.present[:, :, None] & graph.present[:, None, :]
    for relation, centre in ((graph.left_of(), graph.x), (graph.above(), graph.y)):
        far = (centre[:, :, None] < half) & (centre[:, None, :] > half)
        assert torch.equal(relation, far & both)


@pytest.mark.parametrize("objects", [(2, 2), (1, 4)])
def test_distinct_shapes_are_distinct_and_equally_frequent(objects: tuple[int, int]) -> None:
    graph = scene(SceneConfig(objects=objects, distinct_shapes=True), 0, bits(20_000))
    same = (graph.shape[:, :, None] == graph.shape[:, None, :]) & graph.present[:, :, None]
    assert torch.equal(same.sum((1, 2)), graph.count)
    share = torch.bincount(graph.shape[graph.present]) / graph.present.sum()
    assert torch.allclose(share, torch.full((4,), 0.25), atol=0.015)


def test_counts_are_equally_frequent() -> None:
    counts = torch.bincount(scene(LARGE, 0, bits(40_000)).count, minlength=5) / 40_000
    assert torch.allclose(counts, torch.tensor([0, 0.25, 0.25, 0.25, 0.25]), atol=0.015)


def test_every_attribute_is_equally_frequent() -> None:
    graph = scene(SceneConfig(textures=3), 0, bits(40_000))
    for values, number in ((graph.shape, 4), (graph.colour, 8), (graph.size, 2), (graph.texture, 3)):
        share = torch.bincount(values.flatten(), minlength=number) / values.numel()
        assert torch.allclose(share, torch.full((number,), 1 / number), atol=0.015)


def test_select_takes_rows() -> None:
    graph = scene(LARGE, 0, bits(10))
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
        ({"objects": (1, 1), "colours": 1, "shapes": 1, "sizes": 1}, "cannot be split"),
    ],
)
def test_wrong_configurations_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SceneConfig(**arguments)
