"""Clips: which frames are shown, and that each is shown as a viewer shows it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from media_files import clip, picture, pixels
from PIL import Image
from shared_data import shared

from mm_envs.data.media import MediaInfo, probe, read_video
from mm_envs.data.media.video import sampled


@given(count=st.integers(1, 500), frames=st.integers(1, 50))
def test_frames_are_taken_evenly_from_the_first_to_the_last(count: int, frames: int) -> None:
    numbers = sampled(count, frames)
    assert len(numbers) == frames
    assert numbers == sorted(numbers)
    if frames > 1:
        assert (numbers[0], numbers[-1]) == (0, count - 1)
    steps = {b - a for a, b in pairwise(numbers)}
    if count > frames:
        assert max(steps, default=1) - min(steps, default=1) <= 1
        assert len(set(numbers)) == frames
    else:
        assert numbers == [min(i, count - 1) for i in range(frames)] or frames == 1


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_lossless_clips_give_the_very_frames_and_hold_the_last(tmp_path: Path, format: str) -> None:
    path = tmp_path / "clip"
    path.write_bytes(clip(format, frames=3))
    expected = [torch.from_numpy(pixels(seed=min(i, 2)).transpose(2, 0, 1).copy()) for i in range(5)]
    assert torch.equal(read_video(path, 5, 12, 16), torch.stack(expected))
    assert probe(path) == MediaInfo("video", width=16, height=12, frames=3)


def test_frames_of_a_gif_lie_on_top_of_those_before(tmp_path: Path) -> None:
    shown = []
    for i in range(4):
        array = np.zeros((8, 8, 3), np.uint8)
        array[:, : 2 * i] = [200, 100, 50]  # grows from frame to frame: only the difference is stored
        shown.append(Image.fromarray(array))
    shown[0].save(tmp_path / "a.gif", save_all=True, append_images=shown[1:])
    found = read_video(tmp_path / "a.gif", 4, 8, 8)
    assert torch.equal(
        found, torch.stack([torch.from_numpy(np.array(one)).permute(2, 0, 1) for one in shown])
    )


def test_a_still_picture_is_a_clip_that_does_not_move(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(picture("JPEG"))
    found = read_video(tmp_path / "a.jpg", 3, 6, 8, channels=1)
    assert found.shape == (3, 1, 6, 8)
    assert torch.equal(found[0], found[2])


def test_an_animated_png_does_not_show_the_picture_for_old_viewers(tmp_path: Path) -> None:
    first, *others = [Image.fromarray(pixels(seed=i)) for i in range(3)]
    first.save(tmp_path / "a.png", save_all=True, append_images=others, default_image=True)
    found = read_video(tmp_path / "a.png", 2, 12, 16)
    assert torch.equal(found[0], torch.from_numpy(pixels(seed=1).transpose(2, 0, 1).copy()))
    assert probe(tmp_path / "a.png").frames == 2


def test_no_frames_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frames=0 is below 1"):
        read_video(tmp_path / "a.gif", 0, 8, 8)


def test_real_clips_are_read() -> None:
    path = sorted(shared("minigrid_video_gifs").rglob("*.gif"))[0]
    found = read_video(path, 4, 32, 32)
    assert probe(path).kind == "video"
    assert (found[0] != found[-1]).any()
