"""Pictures: every mode, every fit, and what the header says about light and direction."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from media_files import clip, picture, pixels
from PIL import Image
from shared_data import shared

from mm_envs.data.media import MediaError, MediaInfo, probe, read_image

Put = Callable[..., Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    def write(data: bytes, name: str = "picture") -> Path:
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


def chw(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.reshape(*array.shape[:2], -1).transpose(2, 0, 1).copy())


@pytest.mark.parametrize("format", ["PNG", "BMP", "WEBP"])
def test_lossless_formats_give_the_very_pixels(put: Put, format: str) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    path = put(picture(format, **options))
    assert torch.equal(read_image(path, 12, 16), chw(pixels()))
    assert probe(path) == MediaInfo("image", width=16, height=12)


def test_grey_palettes_masks_and_arrays_are_the_same_picture(put: Put) -> None:
    grey = pixels(channels=1)[..., 0] // 128 * 255
    expected = chw(grey)
    for mode in ("L", "1", "P", "LA", "RGB"):
        path = put(picture("PNG", grey, mode=mode), mode)
        assert torch.equal(read_image(path, 12, 16, channels=1), expected)
        assert torch.equal(read_image(path, 12, 16), expected.expand(3, -1, -1))
    assert torch.equal(read_image(grey, 12, 16, channels=1), expected)
    assert torch.equal(read_image(grey[..., None], 12, 16, channels=1), expected)


def test_sixteen_bit_pixels_are_not_cut_off_but_scaled(put: Put) -> None:
    grey = pixels(channels=1)[..., 0]
    path = put(picture("PNG", grey.astype(np.uint16) * 256 + 77))
    assert torch.equal(read_image(path, 12, 16, channels=1), chw(grey))


def test_what_is_transparent_shows_white(put: Put) -> None:
    array = pixels(channels=4)
    array[..., 3] = 255
    array[:6, :, 3] = 0
    found = read_image(put(picture("PNG", array)), 12, 16)
    assert (found[:, :6] == 255).all()
    assert torch.equal(found[:, 6:], chw(array[6:, :, :3]))


def test_cmyk_is_turned_into_light(put: Put) -> None:
    red = np.zeros((8, 8, 3), np.uint8) + np.array([255, 0, 0], np.uint8)
    found = read_image(put(picture("JPEG", red, mode="CMYK")), 8, 8).float().mean((1, 2))
    assert found[0] > 240
    assert found[1:].max() < 15


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright_whatever_the_camera_did(put: Put, orientation: int) -> None:
    upright = Image.fromarray(pixels(8, 16))
    turn = Image.Transpose
    # What a camera stores for each orientation: the inverse of what a viewer does.
    stored = {
        2: turn.FLIP_LEFT_RIGHT, 3: turn.ROTATE_180, 4: turn.FLIP_TOP_BOTTOM, 5: turn.TRANSPOSE,
        6: turn.ROTATE_90, 7: turn.TRANSVERSE, 8: turn.ROTATE_270,
    }  # fmt: skip
    image = upright.transpose(stored[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    image.save(out, "PNG", exif=exif)
    path = put(out.getvalue())
    assert torch.equal(read_image(path, 8, 16), chw(np.asarray(upright)))
    assert probe(path) == MediaInfo("image", width=16, height=8)


@settings(max_examples=40, deadline=None)
@given(
    high=st.integers(1, 40), wide=st.integers(1, 40), height=st.integers(1, 40), width=st.integers(1, 40),
    fit=st.sampled_from(["pad", "stretch", "crop"]), channels=st.sampled_from([1, 3]),
)  # fmt: skip
@example(28, 38, 41, 20, "crop", 3)  # proportions that rounding must not carry beyond the edge
def test_every_size_fits_every_size(
    high: int, wide: int, height: int, width: int, fit: str, channels: int
) -> None:
    white = read_image(np.full((high, wide), 255, np.uint8), height, width, channels, fit)
    assert white.shape == (channels, height, width)
    assert white.dtype == torch.uint8
    lit = (white[0] == 255).sum(dim=(0, 1)).item()
    if fit == "pad":
        # What is lit keeps the proportions within the rounding of its shorter side.
        scale = min(width / wide, height / high)
        assert lit == max(1, round(wide * scale)) * max(1, round(high * scale))
        assert int((white[0] == 0).sum()) == height * width - lit
    else:
        assert lit == height * width


def test_pad_is_centred_and_crop_cuts_both_sides() -> None:
    stripes = np.repeat(np.array([[10, 20, 30, 40]], np.uint8), 2, axis=0)
    assert read_image(stripes, 2, 2, 1, "crop")[0].tolist() == [[20, 30], [20, 30]]
    assert read_image(stripes, 4, 4, 1, "pad")[0].tolist() == [[0] * 4, *[[10, 20, 30, 40]] * 2, [0] * 4]


def test_the_first_frame_of_a_clip_is_a_picture(put: Put) -> None:
    path = put(clip("GIF"))
    assert read_image(path, 12, 16).float().sub(chw(pixels()).float()).abs().mean() < 20


def test_a_jpeg_that_is_decoded_small_looks_as_if_it_were_decoded_large(put: Put) -> None:
    large = pixels(16, 24).repeat(32, 0).repeat(32, 1)
    small = read_image(put(picture("JPEG", large, quality=95)), 16, 24)
    assert (small.float() - read_image(large, 16, 24).float()).abs().mean() < 6


def test_reading_changes_no_setting_of_the_decoder(put: Put) -> None:
    before = Image.MAX_IMAGE_PIXELS
    read_image(put(picture("PNG")), 4, 4)
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2), np.float32),
        np.zeros((2, 2, 2), np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros(3, np.uint8),
    ],
)
def test_arrays_that_are_no_picture_are_refused(array: np.ndarray) -> None:
    with pytest.raises(MediaError, match="is no picture: give"):
        read_image(array, 4, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 4), "height=0"),
        ((4, 4, 2), "channels=2 is not one of"),
        ((4, 4, 3, "squeeze"), "pad, stretch, crop"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_image(np.zeros((2, 2), np.uint8), *arguments)


def test_real_pictures_are_read(tmp_path: Path) -> None:
    for path in sorted(shared("country_flags").glob("png250px/*.png"))[:5]:
        info = probe(path)
        assert read_image(path, 64, 64).float().std() > 10
        assert info.kind == "image"
        assert info.width == 250
