"""Pictures of scenes: every quadrant is a coloured patch from a table of shapes.

Integer arithmetic on tables from the CPU gives the same pixels on every device and at every batch size.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mm_envs.data.scenes.layout import RGB, SHAPES, SIZES, TEXTURES, SceneConfig, SceneGraph, radii, reaches
from mm_envs.random import fold, integers, purpose

GREY = (200, 200, 200)

_CHUNK = 128  # pictures whose intermediate results stay in the cache of a CPU core
_FINE = 8  # samples per pixel and axis for smooth edges
_EMPTY = len(SIZES) * len(SHAPES) * len(TEXTURES)  # the number of the sprite of an empty quadrant
_DARKEST, _DARK_LEVELS = 14, 24
_MAX_GRADIENT = 12  # levels that a background changes from edge to edge, along each axis


def render(graph: SceneGraph, config: SceneConfig, hashes: Tensor | None = None) -> Tensor:
    """Returns the pictures of some scenes, uint8 of shape (n, 3, pixels, pixels).

    Args:
        graph: n scenes.
        config: Their configuration.
        hashes: One hash for each scene, int64 of shape (n,), for its background: a dark tone with a faint
            gradient. None: every background is the same plain one.
    """
    side = config.pixels
    pictures = torch.empty((len(graph), 3, side, side), dtype=torch.uint8, device=graph.x.device)
    chunk = _CHUNK if graph.x.device.type == "cpu" else max(len(graph), 1)
    for start in range(0, len(graph), chunk):
        rows = slice(start, start + chunk)
        _draw(graph.select(rows), config, None if hashes is None else hashes[rows], pictures[rows])
    return pictures


def _draw(graph: SceneGraph, config: SceneConfig, hashes: Tensor | None, out: Tensor) -> None:
    n, half = len(graph), config.pixels // 2
    slot, sprite = _quadrants(graph)
    cover = _patches(graph, config, slot, sprite).view(n, 1, 2, 2, half, half).transpose(3, 4)
    palette = _palette(config.hide_colour, out.device)
    colour = palette[graph.colour.gather(1, slot)].view(n, 2, 1, 2, 1, 3).permute(0, 5, 1, 2, 3, 4)
    ground = _background(config, hashes, n, out.device).view(n, 3, 2, half, 2, half)
    # Coverage is at most 128, so that the products fit into 16 bits.
    blend = (colour - ground).mul_(cover).bitwise_right_shift_(7).add_(ground)
    out.view(n, 3, 2, half, 2, half).copy_(blend)


def _quadrants(graph: SceneGraph) -> tuple[Tensor, Tensor]:
    """The object in each quadrant, and the number of its sprite: two int64 of shape (n, 4)."""
    here = graph.quadrant[:, None, :] == torch.arange(4, device=graph.x.device)[:, None]
    slot = here.to(torch.uint8).argmax(2)
    sprites = (graph.size * len(SHAPES) + graph.shape) * len(TEXTURES) + graph.texture
    return slot, torch.where(here.any(2), sprites.gather(1, slot), _EMPTY)


def _patches(graph: SceneGraph, config: SceneConfig, slot: Tensor, sprite: Tensor) -> Tensor:
    """The coverage of every pixel of all quadrants, int16 of shape (n * 4 * half, half), 0 to 128."""
    half = config.pixels // 2
    reach = reaches(config)[0]
    empty = sprite == _EMPTY
    across, down = (
        torch.where(empty, 0, centre.gather(1, slot) % half - half // 2) + reach
        for centre in (graph.x, graph.y)
    )
    height = half + 2 * reach
    first = (sprite * (2 * reach + 1) + across) * height + 2 * reach - down
    rows = first[:, :, None] + torch.arange(half, device=first.device)
    return _sprites(config.pixels, first.device).index_select(0, rows.flatten())


@lru_cache(maxsize=8)
def _sprites(pixels: int, device: torch.device) -> Tensor:
    """The coverage of all sprites at all horizontal shifts, int16 rows of shape (.., half).

    A sprite at one shift is a tall picture; a quadrant is a window of it that begins at the vertical shift.
    The last sprite is the empty one.
    """
    config = SceneConfig(pixels=pixels)
    half, reach = pixels // 2, reaches(config)[0]
    shifts, height = 2 * reach + 1, half + 2 * reach
    table = np.zeros((_EMPTY + 1, shifts, height, half + 2 * reach), np.int16)
    for number, (radius, shape, texture) in enumerate(product(radii(config), SHAPES, TEXTURES)):
        middle = slice(reach + half // 2 - radius - 1, reach + half // 2 + radius + 1)
        table[number, :, middle, middle] = _coverage(shape, texture, radius, pixels)
    windows = [table[:, shift, :, 2 * reach - shift :][..., :half] for shift in range(shifts)]
    rows = np.stack(windows, axis=1).reshape(-1, half)
    return torch.from_numpy(rows).to(device)


def _coverage(shape: str, texture: str, radius: int, pixels: int) -> NDArray[np.int16]:
    """The coverage of the pixels around the centre, 0 to 128, of side 2 * radius + 2."""
    count = (2 * radius + 2) * _FINE
    axis = (2 * np.arange(count) + 1 - count) / (2 * _FINE)  # in pixels from the centre
    y, x = np.meshgrid(axis / radius, axis / radius, indexing="ij")
    fine = _inside(shape, x, y) * _ink(texture, axis / pixels)
    pixel = fine.reshape(count // _FINE, _FINE, count // _FINE, _FINE).mean((1, 3))
    return np.asarray(np.rint(128 * pixel), np.int16)


def _inside(shape: str, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Returns whether points are inside a shape of radius 1; y points down."""
    if shape == "circle":
        return x * x + y * y <= 1
    if shape == "square":
        return np.maximum(abs(x), abs(y)) <= 0.85
    if shape == "triangle":
        return (abs(x) * 1.8 <= y + 0.95) & (y <= 0.85)
    assert shape == "cross"
    return (np.minimum(abs(x), abs(y)) <= 0.33) & (np.maximum(abs(x), abs(y)) <= 1)


def _ink(texture: str, axis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the share of the colour of a texture at points (row, column): 1 where it is plain."""
    turns = axis * 64 / 5  # five pixels from stripe to stripe, or dot to dot, in a picture of 64
    if texture == "striped":
        return np.where((turns + 0.25) % 1 < 0.5, 1.0, 0.2)[:, None] * np.ones_like(axis)
    if texture == "dotted":
        square = (turns - np.rint(turns)) ** 2
        return np.where(square[:, None] + square < 0.28**2, 0.0, 1.0)
    return np.ones((len(axis), len(axis)))


@lru_cache(maxsize=8)
def _palette(hide: bool, device: torch.device) -> Tensor:
    colours = [GREY] * len(RGB) if hide else RGB
    return torch.tensor(colours, dtype=torch.int16).to(device)


def _background(config: SceneConfig, hashes: Tensor | None, n: int, device: torch.device) -> Tensor:
    """Returns dark tones with a faint gradient, int16 of shape (n, 3, pixels, pixels)."""
    side = config.pixels
    if hashes is None:
        return torch.full((), _DARKEST, dtype=torch.int16, device=device).expand(n, 3, side, side)
    state = fold(hashes, purpose("background"))
    level = _DARKEST + integers(fold(state[:, None], torch.arange(3, device=device)), _DARK_LEVELS)
    steepest = 128 * _MAX_GRADIENT // side  # in 128ths of a level per pixel
    slope = integers(fold(state[:, None], torch.arange(3, 5, device=device)), 2 * steepest + 1) - steepest
    ramp = torch.arange(side, device=device) - side // 2
    across, down = ((slope[:, axis, None] * ramp).to(torch.int16) for axis in range(2))
    gradient = (across[:, None, :] + down[:, :, None]).bitwise_right_shift_(7)
    return level.to(torch.int16)[:, :, None, None] + gradient[:, None]
