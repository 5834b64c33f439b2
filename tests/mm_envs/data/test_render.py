"""Pictures: exactness, and that everything which is asked about can be seen."""

from itertools import combinations

import pytest
import torch
from torch import Tensor

from mm_envs.data.scenes.layout import RGB, SceneConfig, SceneGraph, decode, scene
from mm_envs.data.scenes.render import GREY, render
from mm_envs.random import fold

ONE = SceneConfig(objects=(1, 1), textures=3)
MIXED = SceneConfig(objects=(1, 4), textures=3)
COUNT = ONE.graphs  # 4 places, 4 shapes, 8 colours, 2 sizes, 3 textures


def draw_hashes(n: int) -> Tensor:
    return fold(torch.arange(n), 1)


def centres(pictures: Tensor, graph: SceneGraph) -> Tensor:
    """The colour at the centre of each object, of shape (n, K, 3)."""
    rows = torch.arange(len(graph))[:, None]
    return pictures.permute(0, 2, 3, 1)[rows, graph.y, graph.x]


@pytest.mark.parametrize("config", [MIXED, SceneConfig(pixels=36), SceneConfig(pixels=50, hide_colour=True)])
def test_a_picture_depends_on_its_own_row_only(config: SceneConfig) -> None:
    hashes = draw_hashes(300)
    graph = scene(config, 0, hashes)
    together = render(graph, config, hashes)
    assert together.shape == (300, 3, config.pixels, config.pixels)
    assert together.dtype == torch.uint8
    order = torch.randperm(300, generator=torch.Generator().manual_seed(0))
    assert torch.equal(render(graph.select(order), config, hashes[order]), together[order])
    for row in range(0, 300, 37):
        alone = slice(row, row + 1)
        assert torch.equal(render(graph.select(alone), config, hashes[alone]), together[alone])


def test_no_scenes_are_no_pictures() -> None:
    assert render(decode(ONE, torch.arange(0)), ONE).shape == (0, 3, 64, 64)


@pytest.mark.parametrize("pixels", [48, 64, 128])
def test_every_graph_of_one_object_looks_different(pixels: int) -> None:
    config = SceneConfig(objects=(1, 1), textures=3, pixels=pixels)
    pictures = render(decode(config, torch.arange(COUNT)), config).numpy()
    assert len({picture.tobytes() for picture in pictures}) == COUNT


def test_shapes_sizes_and_textures_differ_in_many_pixels() -> None:
    graph = decode(ONE, torch.arange(COUNT))
    rows = (graph.quadrant[:, 0] == 0) & (graph.colour[:, 0] == 6)
    pictures = render(graph.select(rows), ONE)[:, 0]
    assert len(pictures) == 4 * 2 * 3
    for one, two in combinations(pictures.int(), 2):
        assert int(((one - two).abs() > 60).sum()) >= 12


@pytest.mark.parametrize("config", [SceneConfig(), SceneConfig(objects=(1, 4))])
def test_the_centre_of_an_object_has_its_colour(config: SceneConfig) -> None:
    hashes = draw_hashes(500)
    graph = scene(config, 0, hashes)
    seen = centres(render(graph, config, hashes), graph)
    expected = torch.tensor(RGB)[graph.colour]
    assert ((seen.int() - expected).abs().amax(2)[graph.present] <= 1).all()


def test_hidden_colours_are_grey_and_shapes_stay() -> None:
    hidden, shown = SceneConfig(hide_colour=True), SceneConfig()
    graph = scene(shown, 0, draw_hashes(200))
    pictures = render(graph, hidden)
    assert (centres(pictures, graph).int() == torch.tensor(GREY)).all()
    assert torch.equal((pictures > 14).any(1), (render(graph, shown) > 14).any(1))


def test_hidden_colours_are_not_in_the_picture() -> None:
    config = SceneConfig(objects=(1, 1), hide_colour=True)
    graph = decode(config, torch.arange(config.graphs))
    assert render(graph, config).flatten(1).unique(dim=0).shape[0] == config.graphs // 8


def test_moving_an_object_moves_its_pixels() -> None:
    config = SceneConfig(objects=(1, 1))
    graph = scene(config, 0, draw_hashes(300))
    ground = render(graph, config)[:, :, 0, 0].int()  # the plain background
    mask = (render(graph, config).int() - ground[:, :, None, None]).abs().sum(1) > 30
    axis = torch.arange(64)
    middle = [(mask.any(dim) * axis).amax(1) + 63 - (mask.any(dim) * (63 - axis)).amax(1) for dim in (1, 2)]
    exact = (graph.shape != 2)[:, 0]  # a triangle is not symmetric from top to bottom
    assert ((middle[0] - 2 * graph.x[:, 0]).abs() <= 1).all()
    assert ((middle[1] - 2 * graph.y[:, 0]).abs() <= 1)[exact].all()


def test_backgrounds_are_dark_and_vary() -> None:
    config = SceneConfig(objects=(1, 1))
    hashes = draw_hashes(400)
    pictures = render(scene(config, 0, hashes), config, hashes).int()
    empty = pictures.unflatten(3, (2, 32)).unflatten(2, (2, 32)).amax((1, 3, 5)).flatten(1).amin(1)
    assert empty.max() < 60
    assert pictures[:, :, 0, 0].unique(dim=0).shape[0] > 300


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_pictures_are_the_same_on_an_accelerator() -> None:
    hashes = draw_hashes(300)
    expected = render(scene(MIXED, 0, hashes), MIXED, hashes)
    there = hashes.to("cuda")
    assert torch.equal(render(scene(MIXED, 0, there), MIXED, there).cpu(), expected)
