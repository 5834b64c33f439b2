"""The page: everything in it, nothing outside it, no text that could run."""

import base64
import io

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image as pillow

from agents.playing import Played
from mm_envs.engine.render import Result
from mm_envs.pages import png_uri, wav_uri
from mm_envs.pages.episodes import page
from mm_envs.spaces import Image, Tokens, Video
from mm_envs.tokenizers import Vocabulary

EVIL = '<script>alert("&")</script>'


def _data(uri: str) -> io.BytesIO:
    return io.BytesIO(base64.b64decode(uri.partition(",")[2]))


def _played(answer: str = "red", good: tuple[str, ...] = ("red",), reward: float = 0.5) -> Played:
    words = Vocabulary.of([EVIL.replace(" ", "")])
    spaces = {"image": Image(36, 36), "video": Video(2, 36, 36), "question": Tokens(2, words)}
    context = {
        "image": torch.zeros(3, 36, 36, dtype=torch.uint8),
        "video": torch.zeros(2, 3, 36, 36, dtype=torch.uint8),
        "question": torch.tensor([3, 1]),
    }
    return Played(spaces, context, Result(answer, good, reward, 1.0), 7)


def test_every_text_is_escaped() -> None:
    text = page([_played(EVIL, (EVIL, EVIL))], EVIL, EVIL)
    assert "<script" not in text
    assert (
        text.count("&lt;script&gt;") == 7
    )  # title and heading, subtitle, question, answer, two good answers


@pytest.mark.parametrize("reward", [-3.0, 0.0, 0.25, 7.0, float("nan")])
def test_bars_stay_within_their_cell(reward: float) -> None:
    text = page([_played(reward=reward)], "title", "subtitle")
    widths = [float(part.partition("%")[0]) for part in text.split('style="width:')[1:]]
    assert len(widths) == 2
    assert all(0 <= width <= 100 for width in widths)


def test_pictures_and_sounds_survive() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 40, 50), dtype=np.uint8)
    with pillow.open(_data(png_uri(pixels))) as picture:
        assert (np.asarray(picture).transpose(2, 0, 1) == pixels).all()
    with pillow.open(_data(png_uri(pixels[:1]))) as picture:
        assert (np.asarray(picture) == pixels[0]).all()
    sound = np.linspace(-1, 0.99, 500, dtype=np.float32)
    heard, rate = soundfile.read(_data(wav_uri(sound, 8000)), dtype="float32")
    assert rate == 8000
    assert np.abs(heard - sound).max() < 2**-14


def test_every_episode_that_was_played_can_be_replayed() -> None:
    import mm_envs
    from agents.playing import gallery
    from mm_envs.cli.settings import setting_of

    played = gallery(setting_of("MMVQA-tokens-v0"), "random", 3, seed=8)
    text = page(played, "title", "subtitle")
    for one in played:
        assert one.ticket in text
        again = mm_envs.replay(one.ticket)
        assert torch.equal(torch.from_numpy(again.observation["image"]), one.context["image"])
        assert again.info["item"] == one.item


def test_a_page_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        page([], "title", "subtitle")
