"""Contrastive pretraining: the closed form of its loss, what is no negative, and that pairs are found."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from folders import write_rows
from PIL import Image
from torch import Tensor, nn

from agents.contrastive import JointEmbedding, content_hashes, info_nce, pretrain
from agents.encoders import make_encoder
from agents.policy import ResponsePolicy
from mm_envs.spaces import Vector
from mm_envs.tasks import Task, make_task


def unit(n: int, d: int = 5, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return nn.functional.normalize(torch.randn(n, d, generator=generator, dtype=torch.float64), dim=1)


def shown(task: Task, n: int) -> dict[str, Tensor]:
    """Contexts of held-out items."""
    items = torch.tensor(task.dataset.range("test"))[:n]
    fields = task.batch(items, list(task.context.values()))
    return {key: fields[field] for key, field in task.context.items()}


def joint_of_vectors(**arguments: Any) -> JointEmbedding:
    torch.manual_seed(0)
    return JointEmbedding({"one": make_encoder(Vector(2)), "other": make_encoder(Vector(3))}, **arguments)


def test_the_loss_is_a_cross_entropy_in_both_directions() -> None:
    one, other = unit(7), unit(7, seed=1)
    scores, own = one @ other.T / 0.2, torch.arange(7)
    both = [nn.functional.cross_entropy(given, own, reduction="none") for given in (scores, scores.T)]
    assert torch.allclose(info_nce(one, other, 0.2), (both[0] + both[1]) / 2)
    assert torch.allclose(info_nce(one, other, 0.2), info_nce(other, one, 0.2))


def test_without_information_the_loss_is_that_of_a_guess() -> None:
    same = torch.ones(6, 4) / 2
    assert torch.allclose(info_nce(same, same, 0.1), torch.full((6,), math.log(6)))


def test_rows_of_equal_content_are_no_negatives() -> None:
    one, other = unit(5), unit(5, seed=1)
    alike = torch.eye(5, dtype=torch.bool)
    alike[0, 1] = alike[1, 0] = True
    found = info_nce(one, other, 0.3, alike)
    # For row 0 the loss is that without row 1, for rows 2 to 4 nothing changes.
    rows = [0, 2, 3, 4]
    assert torch.allclose(found[0], info_nce(one[rows], other[rows], 0.3)[0])
    assert torch.allclose(found[2:], info_nce(one, other, 0.3)[2:])
    one.requires_grad_()
    info_nce(one, other, 0.3, torch.ones(5, 5, dtype=torch.bool)).sum().backward()
    assert one.grad is not None
    assert not one.grad.any()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32])
def test_content_hashes_tell_contents_apart(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    entries = torch.randint(0, 4, (300, 2, 2), generator=generator).to(dtype)
    hashes = content_hashes(entries)
    equal = (entries.flatten(1)[:, None] == entries.flatten(1)).all(2)
    assert torch.equal(hashes[:, None] == hashes, equal)
    assert torch.equal(content_hashes(entries[[5, 2]]), hashes[[5, 2]])
    assert (content_hashes(torch.tensor([0.0, -0.0, 1.0])).unique()).numel() == 2


def test_what_is_compared_has_both_entries_and_other_contents() -> None:
    joint = joint_of_vectors()
    context = {"one": torch.rand(6, 2), "other": torch.rand(6, 3)}
    context["one"][1] = context["one"][0]
    assert joint.alike(context).long().sum() == 6 + 2
    # Two rows are compared with 5, the others with 6, of which two have one content.
    assert joint.chance(context) == pytest.approx(((2 / 5 + 4 / 6) / 6 + 1 / 5) / 2)
    context["other_present"] = torch.tensor([[1], [1], [0], [1], [0], [1]])
    assert joint.loss(context).shape == (4,)
    assert [len(one) for one in joint.paired(context).values()] == [4, 4, 4]


def test_chance_counts_contents() -> None:
    """Of two texts and many pictures: 1 in 2 texts, and 1 in 1 + the pictures of the other text."""
    joint = joint_of_vectors()
    context = {"one": torch.rand(8, 2), "other": torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]).repeat(4, 1)}
    assert joint.chance(context) == pytest.approx((1 / 2 + 1 / 5) / 2)


def test_the_temperature_is_learned_and_bounded() -> None:
    joint = joint_of_vectors()
    assert joint.temperature.item() == pytest.approx(0.07)
    joint.loss({"one": torch.rand(6, 2), "other": torch.rand(6, 3)}).sum().backward()
    assert joint.log_scale.grad is not None
    assert joint.log_scale.grad.abs() > 0
    with torch.no_grad():
        joint.log_scale.fill_(100.0)
    assert joint.temperature.item() == pytest.approx(0.01)


def test_two_known_entries_are_needed() -> None:
    task = make_task("classify", items=64)
    policy = ResponsePolicy(task, 16, 16)
    with pytest.raises(ValueError, match="keys='pictures' is not one of image, text"):
        pretrain(task, policy, ("pictures", "text"), 8)
    with pytest.raises(ValueError, match="are 1 different entries: give two"):
        pretrain(task, policy, ("text", "text"), 8)
    with pytest.raises(ValueError, match="batch"):
        pretrain(task, policy, ("image", "text"), 8, batch=1)


def test_encoders_alone_are_trained() -> None:
    task = make_task("classify", items=64)
    policy = ResponsePolicy(task, 16, 16)
    before = {name: one.clone() for name, one in policy.state_dict().items()}
    pretrain(task, policy, ("image", "text"), 65, batch=32)
    changed = {name for name, one in policy.state_dict().items() if not torch.equal(one, before[name])}
    assert changed
    assert all(name.startswith("context_encoder.fused.encoders.") for name in changed)


COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220), "white": (230, 230, 230)}


def flags(folder: Path, items: int) -> Task:
    """Pictures of two colours, one above the other, with a text that names both."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(items):
        upper, lower = random.choice(list(COLOURS), 2)
        pixels = np.empty((40, 40, 3))
        pixels[:20], pixels[20:] = COLOURS[upper], COLOURS[lower]
        noisy = (pixels + random.normal(0, 15, pixels.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{number}.png")
        rows.append({"file_name": f"{number}.png", "text": f"{upper} over {lower}", "label": upper})
    write_rows(folder, rows)
    return make_task("classify", dataset="folder", path=str(folder), size=40)


def test_pictures_find_their_texts(tmp_path: Path) -> None:
    """Sixteen texts; of those that differ from its own a picture finds the right one."""
    task = flags(tmp_path, 600)
    policy, context = ResponsePolicy(task, 16, 16), shown(task, 60)
    joint = pretrain(task, policy, ("image", "text"), 3000, batch=32)
    found, chance = joint.accuracy(context), joint.chance(context)
    assert chance < 0.1
    # Matches of at most 60 rows both ways: a standard error of 0.05 at most.
    assert found > 0.5, (found, chance)
    encoders = policy.context_encoder.fused.encoders
    assert joint.encoders["image"] is encoders["image"]
    fresh = JointEmbedding(dict(ResponsePolicy(task, 16, 16).context_encoder.fused.encoders.items()))
    assert fresh.accuracy(context) < 0.25
