"""What the README says is so: its code runs, its table is that of the registered ids."""

from __future__ import annotations

import re
from pathlib import Path

import gymnasium as gym
import pytest
import torch

from mm_envs import CONFIGURATIONS

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
# Enough to show that the code runs.
SMALLER = {"40_000": "512", "10_000": "64", "learn(64)": "learn(64)", "num_envs=256": "num_envs=16"}


def test_code_runs() -> None:
    space = {
        "actions": torch.zeros(1024, dtype=torch.int64),
        "my_make": lambda num_envs: gym.make_vec("MMClassify-digits-v0", num_envs=num_envs),
    }
    assert len(BLOCKS) >= 6
    for block in BLOCKS:
        for large, small in SMALLER.items():
            block = block.replace(large, small)
        if "PPO(" in block:
            block = block.replace(
                "policy_kwargs=policy_arguments()", "n_steps=8, policy_kwargs=policy_arguments()"
            )
        if "check_vector_env" in block:
            space["envs"] = space["my_make"](3)
        exec(compile(block, "README.md", "exec"), space)
    assert space["report"].ok


def test_the_table_lists_every_id() -> None:
    assert re.findall(r"^\| `(MM[\w-]+-v\d+)`", README, re.MULTILINE) == list(CONFIGURATIONS)


@pytest.mark.parametrize("name", ["make demo", "make test", "mm-envs check", "mm-envs play"])
def test_it_names_the_commands(name: str) -> None:
    assert name in README
