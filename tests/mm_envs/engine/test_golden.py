"""v0 is frozen: what the registered ids show and how they judge is pinned by digests.

A digest changes only together with the version of the id. To write digests for a new id, run this file as a
program: ``python tests/mm_envs/engine/test_golden.py``.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from trajectories import make, scripted_actions

from mm_envs import CONFIGURATIONS

STORED = Path(__file__).with_name("golden.json")
ROWS, STEPS, SEED = 8, 16, 20_000


def digests(name: str) -> dict[str, str]:
    """SHA-256 of spaces, observations, utility and reward over a few scripted steps."""
    envs = make(name, ROWS)
    hashes = {part: hashlib.sha256() for part in ("spaces", "observations", "utility", "reward")}
    hashes["spaces"].update(f"{envs.single_observation_space} {envs.single_action_space}".encode())
    observation, _ = envs.reset(seed=SEED)
    for step in range(STEPS):
        for key in sorted(observation):
            hashes["observations"].update(key.encode() + observation[key].numpy().tobytes())
        # Every other row follows the oracle, so that good answers are judged, too.
        oracle = envs.action_at(envs.task.oracle(envs.reference()))
        actions = scripted_actions(envs, step)
        actions[::2] = oracle[::2]
        observation, reward, _, _, info = envs.step(actions)
        hashes["reward"].update(reward.numpy().tobytes())
        if "final_info" in info:
            mask = info["_final_info"]
            hashes["utility"].update(info["final_info"]["utility"][mask].numpy().tobytes())
            for part, values in sorted(info["final_info"]["utility_parts"].items()):
                hashes["utility"].update(part.encode() + (values[mask] + 0.0).numpy().tobytes())
    return {part: digest.hexdigest()[:16] for part, digest in hashes.items()}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_registered_ids_are_what_they_were(name: str) -> None:
    assert digests(name) == json.loads(STORED.read_text())[name]


if __name__ == "__main__":
    STORED.write_text(json.dumps({name: digests(name) for name in CONFIGURATIONS}, indent=1) + "\n")
