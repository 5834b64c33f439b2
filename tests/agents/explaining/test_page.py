"""The page: everything of an explanation in one file, and no text that could run."""

import json
import re
from dataclasses import replace

import pytest
import torch

from agents.explaining import explain, page
from agents.explaining.drawing import canvas, overlay
from agents.policy import ResponsePolicy
from mm_envs.spaces import Audio, Image, Vector, Video
from mm_envs.tasks import make_task
from mm_envs.tasks.vqa import VQA

EVIL = '<script>alert("&")</script>'


@pytest.mark.parametrize(
    ("name", "arguments", "fusion"),
    [
        ("vqa", {"sound": "agree"}, "word_patch"),
        ("caption", {"sound": "complement"}, "attention"),
        ("classify", {"dataset": "digits"}, "concat"),
        ("classify", {"dataset": "digits", "answer": "distribution"}, "concat"),
        ("retrieve", {}, "concat"),
        ("ground", {}, "concat"),
    ],
)
def test_every_task_has_a_page(name: str, arguments: dict[str, str], fusion: str) -> None:
    task = make_task(name, **arguments)
    policy = ResponsePolicy(task, features=16, hidden=16, fusion=fusion)
    found = explain(policy, task, torch.arange(4), examples=2)
    json.dumps(found.to_dict())
    text = page(found, f"{name} {EVIL}", EVIL)
    assert "<script" not in text
    assert not re.findall(r"(?:src|href)=\"(?!data:)", text)
    assert text.count("<article>") == 2
    for key in task.modalities:
        assert key in text
    scenes = name in ("vqa", "caption")
    assert ("Counterfactual swaps" in text) == scenes == (found.swaps is not None)
    assert ("times chance" in text) == (name == "vqa") == (found.grounding is not None)
    assert ("attention, " in text) == scenes
    assert ("spectrogram" in text) == scenes


def test_one_item_has_no_interval() -> None:
    task = VQA(items=64)
    found = explain(ResponsePolicy(task, features=16, hidden=16), task, torch.arange(1))
    text = page(found, "title", "subtitle")
    numbers = [float(one) for one in re.findall(r'(?:x1|x2|width|x)="([-\d.einfa]+)"', text)]
    assert all(-0.01 <= one <= 100.01 for one in numbers)


def test_what_cannot_be_explained_is_refused() -> None:
    task = make_task("guess")
    with pytest.raises(ValueError, match="answers of kind 'turns' depend on replies"):
        explain(ResponsePolicy(task, features=16, hidden=16), task, torch.arange(2))
    vqa = VQA(items=64)
    policy = ResponsePolicy(vqa, features=16, hidden=16)
    with pytest.raises(ValueError, match="items=0 is below 1"):
        explain(policy, vqa, torch.arange(0))
    with pytest.raises(ValueError, match="contexts=1 is below 2"):
        explain(policy, vqa, torch.arange(1), absent="swap")


def test_words_are_escaped() -> None:
    task = VQA(items=64)
    found = explain(ResponsePolicy(task, features=16, hidden=16), task, torch.arange(2), examples=1)
    evil = replace(found.examples[0], answer=EVIL, good=(EVIL,), valued=EVIL, score=(EVIL, 0.0))
    text = page(replace(found, examples=[evil]), EVIL, EVIL)
    assert "<script" not in text


def test_heat_is_where_the_weight_is() -> None:
    space = Image(40, 40)
    drawn = canvas(space, torch.zeros(3, 40, 40, dtype=torch.uint8))
    assert drawn is not None
    weights = torch.zeros(16)
    weights[3] = 0.2  # top right
    hot = overlay(drawn, weights, (4, 4), space)
    side = drawn.shape[1] // 4
    assert int(hot[0, :side, 3 * side :].min()) > 100
    assert int(hot.sum()) == int(hot[:, :side, 3 * side :].sum())


def test_low_pitch_is_at_the_bottom() -> None:
    space = Audio(4096, 8000)
    tone = torch.sin(torch.arange(4096) * 2 * torch.pi * 200 / 8000)
    drawn = canvas(space, tone)
    assert drawn is not None
    assert int(drawn[0].mean(1).argmax()) > drawn.shape[1] * 0.6
    weights = torch.zeros(20)
    weights[:4] = 0.25  # the lowest band of pitch
    hot = overlay(drawn, weights, (5, 4), space)
    assert int(hot[0, -1].min()) > int(hot[0, 0].max()) + 50


def test_clips_are_drawn_frame_by_frame() -> None:
    space = Video(3, 40, 40)
    drawn = canvas(space, torch.zeros(3, 3, 40, 40, dtype=torch.uint8))
    assert drawn is not None
    weights = torch.zeros(12)
    weights[4:8] = 0.25  # the second frame
    hot = overlay(drawn, weights, (3, 2, 2), space)
    frames = hot[0].reshape(hot.shape[1], 3, -1).mean((0, 2))
    assert frames[0] == frames[2] == 0 < frames[1]
    assert canvas(Vector(3), torch.zeros(3)) is None
