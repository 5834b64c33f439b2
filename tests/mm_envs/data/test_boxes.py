"""Boxes of objects are where the pictures show the objects."""

from __future__ import annotations

import torch

from mm_envs.data.scenes import Scenes
from mm_envs.data.scenes.layout import boxes
from mm_envs.data.scenes.render import render


def test_boxes_enclose_what_is_drawn_within_a_pixel() -> None:
    scenes = Scenes(items=256, objects=(1, 4), textures=1, colours=8)
    graph = scenes.graph(torch.arange(256))
    found = boxes(graph, scenes.config)
    pictures = render(graph, scenes.config)
    side = scenes.config.pixels
    ink = (pictures.int() - pictures[:, :, :1, :1].int()).abs().sum(1) > 60
    for row in range(256):
        for one in range(scenes.config.maximum):
            if not graph.present[row, one]:
                assert not bool(found[row, one].any())
                continue
            quadrant = int(graph.quadrant[row, one])
            half = side // 2
            top, left = quadrant // 2 * half, quadrant % 2 * half
            drawn = ink[row, top : top + half, left : left + half].nonzero()
            first, last = drawn.amin(0), drawn.amax(0) + 1
            seen = torch.tensor([left + first[1], top + first[0], left + last[1], top + last[0]])
            assert (found[row, one] * side - seen).abs().max() <= 1.0, (row, one)


def test_the_field_of_the_dataset_is_that_of_the_graph() -> None:
    scenes = Scenes(items=16)
    items = torch.tensor([3, 9])
    batch = scenes.batch(items, ["boxes", "image"])
    assert torch.equal(batch["boxes"], boxes(scenes.graph(items), scenes.config))
    assert bool(((batch["boxes"] >= 0) & (batch["boxes"] <= 1)).all())
