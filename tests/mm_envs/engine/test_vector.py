"""The promises of the vector environment, one by one."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from trajectories import make, same, scripted_actions

from mm_envs import CONFIGURATIONS, MultimodalVectorEnv
from mm_envs.engine import buffers
from mm_envs.episodes import Episodes, Judgement


class Recorder:
    """Feedback that keeps the episodes it gets."""

    deterministic = True
    scores_prefix = True

    def __init__(self, sees_reference: bool) -> None:
        self.sees_reference = sees_reference
        self.handed: list[Episodes] = []

    def score(self, episodes: Episodes) -> Judgement:
        self.handed.append(episodes)
        return Judgement(torch.ones(len(episodes)))


def step_n(envs: MultimodalVectorEnv, n: int, first: int = 0) -> list[tuple]:
    return [envs.step(scripted_actions(envs, first + i)) for i in range(n)]


def test_feedback_that_may_not_see_the_truth_does_not_get_it() -> None:
    for sees in (False, True):
        feedback = Recorder(sees)
        envs = make("MMVQA-v0", 4, feedback=feedback)
        envs.reset(seed=0)
        envs.step(torch.zeros(4, dtype=torch.int64))
        episodes = feedback.handed[0]
        hidden = (episodes.reference, episodes.key, episodes.truth)
        assert all((part is not None) == sees for part in hidden)
        assert set(episodes.context) == {"image", "question", "question_length"}
        assert episodes.context["image"].shape == (4, 3, 64, 64)


def test_what_was_returned_is_never_changed_afterwards() -> None:
    envs = make("MMCaption-sound-v0", 16)
    kept, copies = [], []
    results: tuple = envs.reset(seed=1)
    for step in range(60):
        observation, *rest = results
        final = rest[-1].get("final_obs", {})
        kept.append({**observation, **{f"final {key}": value for key, value in final.items()}})
        copies.append({key: value.clone() for key, value in kept[-1].items()})
        results = envs.step(scripted_actions(envs, step))
    for entry, copy in zip(kept, copies, strict=True):
        for key in entry:
            assert torch.equal(entry[key], copy[key]), key


def test_buffers_are_used_again_when_no_view_exists() -> None:
    envs = make("MMCaption-v0", 64)
    envs.reset(seed=1)
    addresses = set()
    for step in range(50):
        observation, *_ = envs.step(scripted_actions(envs, step))
        addresses.add(observation["image"].data_ptr())
    assert len(addresses) <= 4


@pytest.mark.parametrize("output", ["torch", "numpy"])
def test_writing_into_what_was_returned_does_no_harm(output: str) -> None:
    quiet, disturbed = make("MMCaption-v0", 8, output=output), make("MMCaption-v0", 8, output=output)
    (a, _), (b, _) = quiet.reset(seed=4), disturbed.reset(seed=4)
    for step in range(40):
        for key in a:
            assert same(a[key], b[key]), (step, key)
        for value in b.values():
            value[:] = 1
        actions = scripted_actions(quiet, step)
        a, *rest, info = quiet.step(actions)
        b, *others, other = disturbed.step(actions)
        for x, y in zip(rest, others, strict=True):
            assert same(x, y)
        if output == "torch" and "final_obs" in info:
            mask = info["_final_obs"]
            for key, value in info["final_obs"].items():
                assert torch.equal(value[mask], other["final_obs"][key][mask]), key


def test_without_a_use_count_nothing_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "_ALONE", None)
    envs = make("MMCaption-v0", 8)
    observation, _ = envs.reset(seed=1)
    kept, copies = [observation["image"]], [observation["image"].clone()]
    for step in range(20):
        observation, *_ = envs.step(scripted_actions(envs, step))
        kept.append(observation["image"])
        copies.append(observation["image"].clone())
    assert len({image.data_ptr() for image in kept}) == len(kept)
    assert all(torch.equal(image, copy) for image, copy in zip(kept, copies, strict=True))


def test_live_buffers_are_one_and_current() -> None:
    fresh, live = make("MMCaption-v0", 32), make("MMCaption-v0", 32, copy=False)
    (a, _), (b, _) = fresh.reset(seed=4), live.reset(seed=4)
    addresses = set()
    for step in range(30):
        addresses.add(b["image"].data_ptr())
        for key in a:
            assert torch.equal(a[key], b[key]), (step, key)
        actions = scripted_actions(fresh, step)
        a, *_, info = fresh.step(actions)
        b, *_, other = live.step(actions)
        if "final_obs" in info:
            mask = info["_final_obs"]
            for key, value in info["final_obs"].items():
                assert torch.equal(value[mask], other["final_obs"][key][mask]), key
    assert len(addresses) == 1


def test_groups_share_their_items_and_nothing_else() -> None:
    envs = make("MMCaption-v0", 12, group_size=4)
    _, info = envs.reset(seed=2)
    assert (info["item"].view(3, 4) == info["item"].view(3, 4)[:, :1]).all()
    assert len(set(info["item"].tolist())) == 3
    rewards: dict[tuple[int, int], set[float]] = {}
    items: dict[tuple[int, int], set[int]] = {}
    for step in range(60):
        *_, info = envs.step(scripted_actions(envs, step))
        if "final_info" in info:
            final = info["final_info"]
            for row in info["_final_info"].nonzero()[:, 0].tolist():
                group = (row // 4, int(final["episode_index"][row]))
                items.setdefault(group, set()).add(int(final["item"][row]))
                rewards.setdefault(group, set()).add(float(final["episode"]["r"][row]))
    assert all(len(found) == 1 for found in items.values())
    assert any(len(found) > 1 for found in rewards.values())


def test_items_apply_to_the_next_episode_only() -> None:
    envs = make("MMClassify-digits-v0", 4)
    wanted = np.array([3, 1, 4, 1])
    options = {"items": wanted}
    _, info = envs.reset(seed=0, options=options)
    assert info["item"].tolist() == wanted.tolist()
    assert list(options) == ["items"]
    *_, info = envs.step(torch.zeros(4, dtype=torch.int64))
    _, plain = make("MMClassify-digits-v0", 4).reset(seed=0)
    assert info["final_info"]["item"].tolist() == wanted.tolist()
    assert info["item"].tolist() != wanted.tolist()
    assert plain["item"].tolist() != wanted.tolist()


def test_items_may_be_named_by_group_and_must_be_in_the_split() -> None:
    envs = make("MMClassify-digits-v0", 4, group_size=2, split="test")
    first = envs.task.dataset.range("test").start
    _, info = envs.reset(seed=0, options={"items": [first, first + 1]})
    assert info["item"].tolist() == [first, first, first + 1, first + 1]
    with pytest.raises(ValueError, match="item 0 is not in split 'test'"):
        envs.reset(options={"items": [0, first]})
    with pytest.raises(ValueError, match="give one a row or one a group"):
        envs.reset(options={"items": [first]})


@pytest.mark.parametrize("name", ["MMCaption-v0", "MMVQA-tokens-v0"])
def test_dense_reward_sums_to_the_terminal_reward(name: str) -> None:
    envs = make(name, 64, reward="dense", feedback="truth")
    envs.reset(seed=6)
    ended, best = 0, 0.0
    for step in range(40):
        actions = scripted_actions(envs, step)
        actions[::2] = envs.action_at(envs.task.oracle(envs.reference()))[::2]
        *_, info = envs.step(actions)
        if "final_info" in info:
            mask = info["_final_info"]
            difference = info["final_info"]["episode"]["r"] - info["final_info"]["utility"]
            assert difference[mask].abs().max() < 1e-6
            ended, best = ended + int(mask.sum()), max(best, float(info["final_info"]["utility"].max()))
    assert ended > 64
    assert best == 1.0


def test_dense_reward_needs_feedback_that_scores_prefixes() -> None:
    with pytest.raises(ValueError, match="AnnotatorFeedback is not: use feedback='truth'"):
        make("MMCaption-v0", 1, reward="dense")


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_truncated_episodes_have_no_judgement(mode: AutoresetMode) -> None:
    envs = make("MMCaption-v0", 8, max_episode_steps=3, autoreset_mode=mode)
    envs.reset(seed=0)
    words = torch.full((8,), 5)
    for step in range(3):
        _, reward, terminated, truncated, info = envs.step(words)
        assert not terminated.any()
        assert truncated.all() == (step == 2)
        assert (reward == 0).all()
    assert info["final_info"]["episode"]["l"].tolist() == [3] * 8
    assert not info["final_info"]["judged"].any()


def test_dense_reward_stops_where_an_answer_is_cut_off() -> None:
    envs = make("MMCaption-v0", 4, max_episode_steps=4, reward="dense", feedback="truth")
    envs.reset(seed=0)
    for step in range(4):
        _, reward, _, truncated, _ = envs.step(envs.action_at(envs.task.oracle(envs.reference())))
        assert truncated.all() == (step == 3)
    # The fourth word of the oracle is a shape: a fact that would have been paid for.
    assert (reward == 0).all()


def test_max_tokens_is_termination() -> None:
    envs = make("MMCaption-v0", 2, feedback="truth")
    envs.reset(seed=0)
    for step in range(12):
        _, _, terminated, truncated, _ = envs.step(torch.full((2,), 5))
        assert terminated.all() == (step == 11)
        assert not truncated.any()


def test_statistics_count_what_was_handed_out() -> None:
    envs = make("MMCaption-v0", 16, reward="dense", feedback="truth", max_episode_steps=9)
    envs.reset(seed=0)
    total, length = torch.zeros(16), torch.zeros(16, dtype=torch.int64)
    for step in range(40):
        _, reward, terminated, truncated, info = envs.step(scripted_actions(envs, step))
        total, length = total + reward, length + 1
        ended = terminated | truncated
        if ended.any():
            episode = info["final_info"]["episode"]
            assert torch.allclose(episode["r"][ended], total[ended])
            assert torch.equal(episode["l"][ended], length[ended])
        total, length = total.masked_fill(ended, 0), length.masked_fill(ended, 0)


def test_finished_rows_rest_until_they_are_reset() -> None:
    envs = make("MMCaption-v0", 4, autoreset_mode="Disabled", feedback="truth")
    envs.reset(seed=0)
    observation, *_ = envs.step(torch.tensor([1, 5, 5, 1]))
    again, reward, terminated, _truncated, info = envs.step(torch.tensor([7, 6, 6, 7]))
    assert info["_active"].tolist() == [False, True, True, False]
    for row in (0, 3):
        for key in observation:
            assert torch.equal(again[key][row], observation[key][row])
    assert reward[[0, 3]].tolist() == [0, 0]
    assert not terminated[[0, 3]].any()
    mask = np.array([True, False, False, False])
    fresh, info = envs.reset(options={"reset_mask": mask})
    assert fresh["tokens_length"][:, 0].tolist() == [0, 2, 2, 1]
    assert info["episode_index"].tolist() == [1, 0, 0, 0]


def test_seeding() -> None:
    envs = make("MMCaption-v0", 8)
    _, first = envs.reset(seed=1)
    _, second = envs.reset()
    _, again = envs.reset(seed=1)
    _, per_row = envs.reset(seed=[1] * 8)
    _, mixed = envs.reset(seed=[1, 2, 1, 2, 1, 2, 1, 2])
    _, following = envs.reset(seed=2)
    assert torch.equal(first["item"], again["item"])
    assert torch.equal(first["item"], per_row["item"])
    assert not torch.equal(first["item"], second["item"])
    assert torch.equal(mixed["item"][::2], first["item"][::2])
    assert torch.equal(mixed["item"][1::2], following["item"][1::2])
    assert not set(first["item"][1:].tolist()) & set(following["item"][:-1].tolist())


def test_environments_without_a_seed_differ() -> None:
    items = [tuple(make("MMCaption-v0", 8).reset()[1]["item"].tolist()) for _ in range(2)]
    assert items[0] != items[1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"feedback": "human"}, "feedback='human' is not one of truth"),
        ({"task": "captoin"}, "task='captoin' is not one of classify"),
        ({"dataset": "mnist"}, "dataset='mnist' is not one of scenes"),
        ({"split": "dev"}, "split='dev' is not one of train, validation, test"),
        ({"reward": "sparse"}, "reward='sparse' is not one of terminal, dense"),
        ({"output": "jax"}, "output='jax' is not one of torch, numpy"),
        ({"autoreset_mode": "never"}, "autoreset_mode='never' is not one of"),
        ({"num_envs": 0}, "num_envs=0 is not a whole number of at least 1"),
        ({"num_envs": "4"}, "num_envs='4' is not a whole number"),
        ({"device": "gpu"}, "device='gpu' is no device of torch: use 'cpu' or 'cuda'"),
        ({"first_row": -1}, "first_row=-1 is not a whole number of at least 0"),
        ({"feedback": "truth", "feedback_arguments": {"seed": 1}}, "feedback='truth' does not take"),
        ({"feedback": "os:fspath"}, "feedback='os:fspath' cannot be made for a task"),
        ({"num_envs": 3, "group_size": 2}, "group_size=2 does not divide num_envs=3"),
        ({"max_episode_steps": 0}, "max_episode_steps=0 is below 1"),
        ({"max_tokens": -1}, "max_tokens=-1 is below 1"),
        ({"render_mode": "human"}, "render_mode='human' is not one of"),
        ({"feedback": object()}, "is no feedback: it needs score"),
    ],
)
def test_wrong_arguments_are_refused_with_the_cure(arguments: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        MultimodalVectorEnv(**{"num_envs": 2, **arguments})


@pytest.mark.parametrize(
    ("actions", "sentence"),
    [
        (torch.zeros(3, dtype=torch.int64), r"give \(2,\) integers"),
        (torch.zeros(2), r"give \(2,\) integers"),
        (torch.zeros(2, 1, dtype=torch.int64), r"give \(2,\) integers"),
        (torch.tensor([0, 23]), "they must lie in 0 to 22"),
        (torch.tensor([-1, 0]), "they must lie in 0 to 22"),
    ],
)
def test_wrong_actions_are_refused(actions: torch.Tensor, sentence: str) -> None:
    envs = make("MMCaption-v0", 2)
    envs.reset(seed=0)
    with pytest.raises(ValueError, match=sentence):
        envs.step(actions)


def test_stepping_and_rendering_need_a_reset() -> None:
    envs = make("MMCaption-v0", 2, render_mode="ansi")
    with pytest.raises(gym.error.ResetNeeded):
        envs.step(torch.zeros(2, dtype=torch.int64))
    with pytest.raises(gym.error.ResetNeeded):
        envs.render()


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_cards_show_what_a_person_needs(name: str) -> None:
    envs = make(name, 2, render_mode="rgb_array")
    text = make(name, 2, render_mode="ansi")
    for one in (envs, text):
        one.reset(seed=0)
        for _ in range(envs.task.horizon):
            one.step(one.action_at(one.task.oracle(one.reference())))
    for picture, words in zip(envs.render(), text.render(), strict=True):
        assert picture.dtype == np.uint8
        assert picture.ndim == 3
        assert picture.std() > 10
        for part in ("last answer", "last good answers", "last reward", "last utility"):
            assert part in words


def test_a_refused_reset_changes_nothing() -> None:
    quiet, tried = make("MMCaption-v0", 4), make("MMCaption-v0", 4)
    for envs in (quiet, tried):
        envs.reset(seed=3)
    for options in (
        {"items": [0, 1, 2, 10**9]},
        {"items": [0.5] * 4},
        {"reset_mask": [1, 0, 0, 0]},
        {"x": 1},
    ):
        with pytest.raises(ValueError, match=r"options|item"):
            tried.reset(options=options)
    with pytest.raises(ValueError, match="is not one number for each of 4 rows"):
        tried.reset(seed=[1, 2])
    for a, b in zip(step_n(quiet, 15), step_n(tried, 15), strict=True):
        assert same(a[1], b[1])
        assert same(a[-1]["item"], b[-1]["item"])


def test_items_of_rows_that_are_not_reset_are_not_looked_at() -> None:
    envs = make("MMClassify-digits-v0", 3, autoreset_mode="Disabled")
    envs.reset(seed=0)
    mask = torch.tensor([False, True, False])
    _, info = envs.reset(options={"items": [-1, 7, -1], "reset_mask": mask})
    assert info["item"][1] == 7


def test_a_group_has_one_seed() -> None:
    envs = make("MMCaption-v0", 4, group_size=2)
    with pytest.raises(ValueError, match="seed differs within a group of 2 rows"):
        envs.reset(seed=[1, 2, 3, 4])
    _, info = envs.reset(seed=[1, 1, 3, 3])
    assert info["item"][0] == info["item"][1]
    with pytest.raises(ValueError, match="with a seed differs within a group"):
        envs.reset(seed=9, options={"reset_mask": [True, False, False, False]})


def test_collecting_observations_costs_nothing_afterwards() -> None:
    envs = make("MMCaption-v0", 8)
    collected = [envs.reset(seed=0)[0]]
    copies = [collected[0]["image"].clone()]
    for step in range(60):
        collected.append(envs.step(scripted_actions(envs, step))[0])
        copies.append(collected[-1]["image"].clone())
    assert all(torch.equal(one["image"], copy) for one, copy in zip(collected, copies, strict=True))
    assert len(envs._buffers._buffers) <= 4
    assert sum(len(buffer.stale) for buffer in envs._buffers._buffers) < 50


def test_with_and_without_inference_mode() -> None:
    plain = make("MMCaption-v0", 8)
    expected = [plain.reset(seed=2)[0], *(result[0] for result in step_n(plain, 20))]
    with torch.inference_mode():
        inside = make("MMCaption-v0", 8)
        found = [inside.reset(seed=2)[0], *(result[0] for result in step_n(inside, 10))]
    found += [result[0] for result in step_n(inside, 10, first=10)]
    for a, b in zip(expected, found, strict=True):
        assert all(torch.equal(a[key], b[key]) for key in a)
        assert not any(value.is_inference() for value in b.values())


@pytest.mark.parametrize(
    ("judgement", "sentence"),
    [
        (lambda n: torch.ones(n), "returned a Tensor: return mm_envs.Judgement"),
        (lambda n: Judgement(torch.ones(n + 1)), "returned reward as"),
        (lambda n: Judgement(torch.ones(n, dtype=torch.float64)), "returned reward as"),
        (lambda n: Judgement(torch.ones(n), {"x": torch.ones(n, 1)}), "returned x as"),
        (lambda n: Judgement(torch.ones(n), {}, torch.ones(1, dtype=torch.bool)), "returned judged as"),
    ],
)
def test_judgements_are_checked(judgement: object, sentence: str) -> None:
    feedback = Recorder(sees_reference=True)
    feedback.score = lambda episodes: judgement(len(episodes))
    envs = make("MMVQA-v0", 4, feedback=feedback)
    envs.reset(seed=0)
    with pytest.raises(ValueError, match=sentence):
        envs.step(torch.zeros(4, dtype=torch.int64))


def test_an_episode_without_judgement_has_no_reward() -> None:
    feedback = Recorder(sees_reference=False)
    nan, none = torch.full((4,), torch.nan), torch.zeros(4, dtype=torch.bool)
    feedback.score = lambda episodes: Judgement(nan, {"x": nan}, none)
    envs = make("MMVQA-v0", 4, feedback=feedback)
    envs.reset(seed=0)
    _, reward, _, _, info = envs.step(torch.zeros(4, dtype=torch.int64))
    assert (reward == 0).all()
    assert (info["final_info"]["reward_parts"]["x"] == 0).all()
    assert not info["final_info"]["judged"].any()


def test_blind_feedback_cannot_find_the_items() -> None:
    feedback = Recorder(sees_reference=False)
    envs = make("MMVQA-v0", 4, feedback=feedback)
    envs.reset(seed=0)
    envs.step(torch.zeros(4, dtype=torch.int64))
    assert type(feedback.handed[0].context) is dict
