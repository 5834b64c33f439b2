"""How many kernels a step launches on an accelerator, and that their shapes never change.

A step of few rows takes on an accelerator about as long as its kernels take to launch, so their number is
kept. It is counted on fake tensors (``kernels.Kernels``): it tells nothing about time.
"""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from fake_device import DEVICE, FAKE, keep, needs_fake_tensors, one_worker_each
from kernels import Kernels

from mm_envs import CONFIGURATIONS
from mm_envs.engine.vector import MultimodalVectorEnv

# The kernels of one step with the simulated annotator and with the truth as feedback. If a number grows, find
# the new operation (compare what ``kernels_of`` returns before and after) and do without it: one operation
# for several columns, masked_fill for torch.where with a number, no copy of what is never changed. Raise the
# number only for something that a step has to do; lower it when a step does with less.
MAX_KERNELS = {
    "MMClassify-v0": (76, 49),
    "MMClassify-digits-v0": (74, 47),
    "MMClassify-distribution-v0": (82, 55),
    "MMClassify-sound-v0": (77, 50),
    "MMCaption-v0": (117, 90),
    "MMCaption-sound-v0": (118, 91),
    "MMCaption-many-v0": (117, 90),
    "MMVQA-v0": (77, 50),
    "MMVQA-sound-v0": (78, 51),
    "MMVQA-tokens-v0": (110, 83),
    "MMRetrieve-v0": (79, 52),
    "MMGround-v0": (102, 75),
    "MMGuess-v0": (97, 70),
}
Found = list[tuple[str, tuple[tuple[int, ...], ...]]]


def kernels_of(name: str, num_envs: int = 8, steps: int = 1, **arguments: Any) -> list[Found]:
    """The operations that launch a kernel, and the shapes of their results, of some steps."""
    arguments = {**CONFIGURATIONS[name], **arguments}
    keep(name)
    with warnings.catch_warnings(), FAKE:
        envs = MultimodalVectorEnv(num_envs, device=DEVICE, **arguments)
        envs.reset(seed=0)
        shape = (num_envs, *(envs.single_action_space.shape or ()))
        dtype = torch.int64 if envs._choices is not None else torch.float32
        actions = torch.zeros(shape, dtype=dtype, device=DEVICE)
        found: list[Found] = []
        for _ in range(2 + steps):
            with Kernels() as kernels:
                last = envs.step(actions)  # held, as by a caller: the next step writes another buffer
            found.append(kernels.found)
    del last
    return found[2:]  # in the first steps tables go to the device, and buffers are made


@needs_fake_tensors
@pytest.mark.parametrize("name", one_worker_each(CONFIGURATIONS))
def test_a_step_launches_no_more_kernels_than_it_did(name: str) -> None:
    for feedback, most in zip(("annotator", "truth"), MAX_KERNELS[name], strict=True):
        few, many = kernels_of(name, 4, steps=3, feedback=feedback), kernels_of(name, 64, feedback=feedback)
        operations = [operation for operation, _ in few[0]]
        assert len(operations) <= most, operations
        # The number of rows changes none, and all steps make tensors of the same shapes.
        assert operations == [operation for operation, _ in many[0]]
        assert all(step == few[0] for step in few)


@needs_fake_tensors
@pytest.mark.parametrize("mode", ["NextStep", "Disabled"])
@pytest.mark.parametrize(
    "arguments", [{}, {"max_episode_steps": 3}, {"feedback": "truth", "reward": "dense"}, {"copy": False}]
)
def test_all_shapes_of_a_step_are_fixed(arguments: dict[str, Any], mode: str) -> None:
    found = kernels_of("MMCaption-v0", 4, steps=4, autoreset_mode=mode, **arguments)
    assert all(step == found[0] for step in found)


@needs_fake_tensors
def test_the_counter_counts() -> None:
    with FAKE, Kernels() as kernels:
        values = torch.empty((4, 2), device=DEVICE)
        values[:, 0].view(2, 2).t().unsqueeze(0).expand(3, 2, 2).detach()
        values.new_empty(3)
        assert not kernels.found
        _ = values + 1
        torch.where(values > 0, values, 0.0)
        values.zero_()
        values[0] = 1.0
    operations = [operation for operation, _ in kernels.found]
    # A number becomes a tensor on the device first.
    assert operations == ["add", "gt", "scalar_tensor", "where", "zero_", "fill_"]
    assert kernels.found[0][1] == ((4, 2),)
