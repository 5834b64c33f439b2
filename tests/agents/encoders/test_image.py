"""The default picture network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from agents.encoders.image import Pictures


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("sides", "cells"),
    [
        ((8, 8), (1, 1)),
        ((36, 36), (5, 5)),
        ((40, 40), (5, 5)),
        ((64, 64), (8, 8)),
        ((96, 200), (8, 8)),
        ((4, 64), (1, 8)),
    ],
)
def test_grids_of_all_sizes(channels: int, sides: tuple[int, int], cells: tuple[int, int]) -> None:
    net = Pictures(channels, *sides)
    pictures = torch.randint(0, 256, (3, channels, *sides), dtype=torch.uint8)
    made = net(pictures)
    assert net.shape == cells
    assert made.shape == (3, cells[0] * cells[1], net.width)
    assert made.is_contiguous()
    made.sum().backward()
    assert all(one.grad is not None and one.grad.any() for one in net.parameters())


def test_pictures_below_one_patch_are_refused() -> None:
    with pytest.raises(ValueError, match="height=3 is below 4: enlarge the pictures"):
        Pictures(3, 3, 64)


def test_scaled_pixels_and_position_embeddings_are_what_the_stem_sees() -> None:
    """Scaling after the convolution equals scaling before it."""
    torch.manual_seed(0)
    net = Pictures(3, 72, 64)
    with torch.no_grad():
        net.stem.positions.normal_()
    pictures = torch.randint(0, 256, (2, 3, 72, 64), dtype=torch.uint8)
    patches = nn.functional.conv2d(pictures / 64.0, net.stem.pixels.weight, stride=4)
    patches = torch.relu(net.stem.norm(patches + net.stem.positions.permute(0, 3, 1, 2)))
    cells = net.cells(patches)
    cells = cells + net.around(cells)
    plain = nn.functional.adaptive_avg_pool2d(cells, (8, 8)).flatten(2).transpose(1, 2)
    torch.testing.assert_close(net(pictures), plain, atol=1e-4, rtol=1e-4)


def test_position_embeddings_tell_where_a_spot_is() -> None:
    torch.manual_seed(0)
    net = Pictures(1, 120, 120, largest=1)
    spot = torch.zeros(2, 1, 120, 120)
    spot[0, :, 36:42, 36:42] = spot[1, :, 68:74, 68:74] = 255.0
    # At first the embeddings are 0, and strides move both spots by whole cells: they are one and the same.
    assert (net(spot)[0] - net(spot)[1]).abs().max() < 1e-5
    with torch.no_grad():
        net.stem.positions.normal_()
    assert (net(spot)[0] - net(spot)[1]).abs().max() > 1e-3


def test_a_cell_is_the_part_of_the_picture_at_its_position() -> None:
    torch.manual_seed(0)
    net = Pictures(3, 64, 64)
    pictures = torch.zeros(2, 3, 64, 64)
    pictures[1, :, 20:22, 44:46] = 255.0
    first, second = net(pictures)
    changed = (first != second).any(1).view(8, 8).nonzero()
    assert ((changed * 8 + 4 - torch.tensor([21, 45])).abs() <= 20).all()
    assert len(changed) > 0
