"""``final_obs`` is gathered when it is read: right however late, pickled or copied."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from mm_envs.engine.vector import MultimodalVectorEnv


def run(envs: MultimodalVectorEnv, steps: int) -> list[tuple[dict[str, Any], Any, torch.Tensor]]:
    """The observation before each step that ended an episode, its ``final_obs``, and its mask."""
    generator, found = torch.Generator().manual_seed(1), []
    seen = envs.reset(seed=3)[0]
    for _ in range(steps):
        before = {key: value.clone() for key, value in seen.items()}
        assert envs._choices is not None
        actions = torch.randint(envs._choices, (envs.num_envs,), generator=generator)
        seen, *_, info = envs.step(actions)
        if "final_obs" in info:
            found.append((before, info["final_obs"], info["_final_obs"]))
    return found


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("task", ["caption", "vqa", "retrieve"])
def test_it_is_right_however_late_it_is_read(task: str, fresh: bool) -> None:
    envs = MultimodalVectorEnv(8, task, items=64, copy=fresh)
    found = run(envs, 40)
    assert len(found) > 5
    for before, final, mask in found:
        for key in envs.context_keys:
            assert torch.equal(final[key][mask], before[key][mask])
            if not bool(mask.all()):
                assert not final[key][~mask].any()
            # Read again: the same tensor.
            assert final[key] is final[key]
        assert tuple(final) == tuple(envs.single_observation_space)
        assert len(final) == len(envs.single_observation_space)


def test_entries_of_steps_share_no_memory() -> None:
    envs = MultimodalVectorEnv(4, "caption", items=64)
    kept = [(final["image"], final["image"].clone()) for _, final, _ in run(envs, 60)]
    assert len(kept) > 4
    for image, then in kept:
        assert torch.equal(image, then)
    pointers = [image.untyped_storage().data_ptr() for image, _ in kept]
    assert len(set(pointers)) == len(pointers)


def test_a_writer_changes_no_other_final_obs() -> None:
    envs = MultimodalVectorEnv(4, "caption", items=64)
    for before, final, mask in run(envs, 60):
        assert torch.equal(final["image"][mask], before["image"][mask])
        assert not final["image"][~mask].any()
        final["image"].fill_(7)
        del final


@pytest.mark.parametrize("through", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_are_dicts_of_tensors(through: Any) -> None:
    before, final, mask = run(MultimodalVectorEnv(4, "caption", items=64), 30)[0]
    copied = through(final)
    assert type(copied) is dict
    assert torch.equal(copied["image"][mask], before["image"][mask])
    assert {key: value.shape for key, value in copied.items()} == {k: v.shape for k, v in final.items()}


def test_it_reads_like_a_dict() -> None:
    _, final, _ = run(MultimodalVectorEnv(4, "caption", items=64), 30)[0]
    assert isinstance(final, Mapping)
    assert "image" in final
    assert "sound" not in final
    with pytest.raises(KeyError, match="'sound' is no entry of final_obs: it has image, tokens"):
        final["sound"]
    assert repr(final).startswith("{'image': tensor(")


def test_reading_within_inference_mode_gives_ordinary_tensors() -> None:
    _, final, _ = run(MultimodalVectorEnv(4, "caption", items=64), 30)[0]
    with torch.inference_mode():
        image = final["image"]
    assert not image.is_inference()


def test_numpy_output_is_an_array_of_single_observations() -> None:
    envs = MultimodalVectorEnv(4, "caption", items=64, output="numpy")
    torch_envs = MultimodalVectorEnv(4, "caption", items=64)
    expected = run(torch_envs, 30)[0]
    generator = torch.Generator().manual_seed(1)
    envs.reset(seed=3)
    while True:
        info = envs.step(torch.randint(envs._choices or 1, (4,), generator=generator))[4]
        if "final_obs" in info:
            break
    for row, one in enumerate(info["final_obs"]):
        assert (one is not None) == bool(expected[2][row])
        if one is not None:
            assert np.array_equal(one["image"], expected[1]["image"][row].numpy())


def test_only_rows_with_a_new_item_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the waves of episodes that end together after a common reset."""
    n = 256
    envs = MultimodalVectorEnv(n, "caption", items=256)
    written: list[int] = []
    write = type(envs._pool).write

    def counted(pool: Any, field: str, items: Any, target: Any, rows: Any) -> None:
        written.append(len(items))
        write(pool, field, items, target, rows)

    monkeypatch.setattr(type(envs._pool), "write", counted)
    generator = torch.Generator().manual_seed(1)
    kept = envs.reset(seed=0)[0]
    ended: list[int] = []
    for step in range(80):
        written.clear()
        result = envs.step(torch.randint(envs._choices or 1, (n,), generator=generator))
        kept = result[0]
        ended.append(int(result[2].sum()))
        # Two buffers alternate: one misses the new items of two steps, and is rewritten whole at three
        # quarters of the rows.
        if step > 2:
            assert sum(written) <= 4 / 3 * sum(ended[-2:])
    assert kept["image"].shape[0] == n
    assert max(ended) > n / 8
