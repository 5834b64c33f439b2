"""On an accelerator a step copies nothing to the host and waits for nothing.

No accelerator is needed to show it: torch's fake tensors claim to be on one, go through the same operations,
and refuse whatever would need a value. A counter notes every copy between devices.
"""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_device import DEVICE, FAKE, HostCopies, keep, needs_fake_tensors, one_worker_each
from folders import everything
from trajectories import make

from mm_envs import CONFIGURATIONS
from mm_envs.data.folder import Folder
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.tasks import make_task


def actions_for(envs: MultimodalVectorEnv, device: str) -> torch.Tensor:
    shape = (envs.num_envs, *(envs.single_action_space.shape or ()))
    return torch.zeros(
        shape, dtype=torch.int64 if envs._choices is not None else torch.float32, device=device
    )


def copies_of_steps(arguments: dict[str, Any], steps: int = 4) -> Counter[str]:
    MultimodalVectorEnv(2, **arguments).reset(seed=0)  # tables that are read from files are read now
    with warnings.catch_warnings(), FAKE:
        envs = MultimodalVectorEnv(8, device=DEVICE, **arguments)
        envs.reset(seed=0)
        actions = actions_for(envs, DEVICE)
        envs.step(actions)  # tables go to the device once
        with HostCopies() as copies:
            for _ in range(steps):
                observation, reward, *_ = envs.step(actions)
        assert reward.device.type == "cuda"
        assert {value.device.type for value in observation.values()} == {"cuda"}
    return copies.found


@needs_fake_tensors
@pytest.mark.parametrize("mode", ["SameStep", "NextStep", "Disabled"])
@pytest.mark.parametrize("name", one_worker_each(CONFIGURATIONS))
def test_a_step_copies_nothing_to_the_host(name: str, mode: str) -> None:
    keep(name)
    assert not copies_of_steps({**CONFIGURATIONS[name], "autoreset_mode": mode})


@needs_fake_tensors
@pytest.mark.parametrize(
    "arguments",
    [
        {"reward": "dense", "feedback": "truth"},
        {"feedback": "accuracy"},
        {"feedback": "token_f1"},
        {"feedback": "exact_match", "items": 256},
        {"feedback": "bleu", "items": 256},
        {"feedback": "bleu", "feedback_arguments": {"references": None}, "reward": "dense", "items": 256},
        {"feedback": "rouge_l", "items": 256},
        {"feedback": "rouge_l_coco", "items": 256},
        {"feedback": "cider", "items": 256},
        {"feedback": "cider_d", "feedback_arguments": {"references": None}, "items": 256},
        {
            "feedback": "weighted_sum",
            "feedback_arguments": {"parts": {"cider_d": 0.7, "bleu": 0.3}},
            "items": 256,
        },
        {"max_episode_steps": 3},
        {"copy": False},
    ],
)
def test_nor_does_it_with_other_rewards_and_limits(arguments: dict[str, Any]) -> None:
    assert not copies_of_steps({"task": "caption", **arguments})


@needs_fake_tensors
@pytest.mark.parametrize(
    ("task", "columns"), [("classify", {}), ("vqa", {}), ("caption", {}), ("caption", {"facts": "label"})]
)
def test_nor_does_it_on_folders(tmp_path: Path, task: str, columns: dict[str, str]) -> None:
    folder = Folder(everything(tmp_path, 12), size=40, frames=2, columns=columns)
    made = make_task(task, dataset=folder)
    # What the grader looks up is computed on the host, once an item.
    fields = made.batch(torch.arange(12), made.reference)
    made.oracle(fields)
    assert not copies_of_steps({"task": made})


@needs_fake_tensors
def test_the_counter_counts() -> None:
    with FAKE, HostCopies() as copies:
        values = torch.arange(4, device=DEVICE)
        values.cpu()
        values + torch.ones(4).to(DEVICE).long()
    assert sum(copies.found.values()) == 2
    with HostCopies() as copies:
        real = torch.arange(4)
        int(real[1])
        real[real > 2]
        real.nonzero()
    assert copies.found["_local_scalar_dense"] == 1
    assert copies.found["index"] == 1
    assert copies.found["nonzero"] >= 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator: torch sees none here")
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_real_accelerator_gives_what_the_cpu_gives(name: str) -> None:
    on_cpu, on_device = make(name, 64), make(name, 64, device="cuda")
    (a, _), (b, _) = on_cpu.reset(seed=1), on_device.reset(seed=1)
    for _ in range(4):
        for key, value in a.items():
            difference = (value.double() - b[key].cpu().double()).abs().max()
            assert difference <= {torch.uint8: 1, torch.float32: 1e-6, torch.int64: 0}[value.dtype]
        actions = actions_for(on_cpu, "cpu")
        a, reward, *_ = on_cpu.step(actions)
        torch.cuda.set_sync_debug_mode("error")
        try:
            b, other, *_ = on_device.step(actions_for(on_device, "cuda"))
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert (reward - other.cpu()).abs().max() < 1e-5
