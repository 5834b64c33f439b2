"""Tickets: any episode of any environment comes back, and no ticket does more than that."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from trajectories import same, scripted_actions

import mm_envs
from mm_envs import CONFIGURATIONS
from mm_envs.engine.ticket import Ticket, dataset_of, of_one_machine
from mm_envs.feedback_sources import FEEDBACKS
from mm_envs.tasks import make_task
from mm_envs.untrusted import objection

_NUMBERS = st.integers(0, 2**62 - 1)


def _signed(body: str) -> str:
    return f"{body}:{hashlib.sha256(body.encode()).hexdigest()[:6]}"


def _refusal(line: str) -> str:
    """The error message for a text that is no ticket; nothing for a ticket."""
    try:
        Ticket.parse(line)
    except ValueError as error:
        return str(error)
    return ""


def _feedbacks(name: str) -> list[str]:
    """The feedback names that an environment takes."""
    known = []
    for feedback in FEEDBACKS:
        try:
            gym.make_vec(name, feedback=feedback).close()
        except ValueError:
            continue
        known.append(feedback)
    return known


def _ended(envs: Any, rows: int, steps: int) -> list[tuple[str, dict[str, Any]]]:
    """Tickets of the episodes that ended, with what happened in them."""
    engine, found = envs.unwrapped, []
    observation, _ = envs.reset(seed=11)
    first = [{key: value[row].clone() for key, value in observation.items()} for row in range(rows)]
    for step in range(steps):
        observation, _, _, _, info = envs.step(scripted_actions(engine, step))
        if "final_info" not in info:
            continue
        final = info["final_info"]
        for row in info["_final_info"].nonzero()[:, 0].tolist():
            record = {
                "first": first[row],
                "last": {key: value[row].clone() for key, value in info["final_obs"].items()},
                "reward": final["episode"]["r"][row].clone(),
                **{key: final[key][row].clone() for key in ("utility", "response", "item", "judged")},
                **{
                    k: {p: v[row].clone() for p, v in final[k].items()}
                    for k in ("reward_parts", "utility_parts")
                },
            }
            found.append((mm_envs.ticket(envs, row, info), record))
            first[row] = {key: value[row].clone() for key, value in observation.items()}
    return found


def _check_replay(line: str, record: dict[str, Any], **arguments: Any) -> None:
    again = mm_envs.replay(line, record["response"], **arguments)
    out = again.outcome
    assert out is not None
    assert mm_envs.ticket(again.env) == line
    assert again.info["item"] == int(record["item"])
    for key, value in record["first"].items():
        assert same(again.observation[key], value), key
    for key, value in record["last"].items():
        assert same(out.observation[key], value), key
    assert out.response == record["response"].tolist()
    for name in ("reward", "utility", "judged"):
        assert getattr(out, name) == record[name].item(), name
    for name in ("reward_parts", "utility_parts"):
        assert getattr(out, name) == {part: value.item() for part, value in record[name].items()}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_ended_episodes_come_back_bit_for_bit(name: str) -> None:
    names = _feedbacks(name)
    assert {"truth", "rater"} <= set(names)
    for feedback, rows in zip(names, itertools.cycle((1, 5, 2)), strict=False):
        envs = gym.make_vec(name, num_envs=rows, feedback=feedback, split="test", first_row=3)
        ended = _ended(envs, rows, 24)
        assert ended
        for line, record in ended[:: max(1, len(ended) // 4)]:
            _check_replay(line, record)


@pytest.mark.parametrize(
    "arguments",
    [
        {"objects": (1, 4), "kinds": ("shape", "count"), "items": 64},
        {"max_episode_steps": 2, "answer": "tokens"},
        {"feedback": "truth", "reward": "dense", "answer": "tokens"},
        {"feedback_arguments": {"rationality": float("inf"), "seed": 5}},
        {"group_size": 2},
        {
            "answer": "tokens",
            "feedback": "weighted_sum",
            "feedback_arguments": {
                "parts": {"token_f1": 0.7, "rater": 1 / 3, "bleu": 0.1, "accuracy": 1e-3},
                "arguments": {"rater": {"seed": 3}},
            },
        },
    ],
)
def test_arguments_travel_with_the_ticket(arguments: dict[str, Any]) -> None:
    envs = gym.make_vec("MMVQA-v0", num_envs=4, **arguments)
    ended = _ended(envs, 4, 8)
    assert len({line for line, _ in ended}) == len(ended) >= 8
    for line, record in ended[::3]:
        assert line.isascii()
        assert len(line.split()) == 1
        _check_replay(line, record)


def test_the_running_episode_has_the_ticket_that_it_has_when_it_ended() -> None:
    envs = gym.make_vec("MMCaption-v0", num_envs=3, output="numpy")
    envs = gym.wrappers.vector.RecordEpisodeStatistics(envs)
    envs.reset(seed=5)
    envs.action_space.seed(0)
    running = [mm_envs.ticket(envs, row) for row in range(3)]
    for _ in range(40):
        *_, info = envs.step(envs.action_space.sample())
        if "final_info" not in info:
            continue
        for row in info["_final_info"].nonzero()[0]:
            assert mm_envs.ticket(envs, row, info) == running[row]
            assert mm_envs.ticket(envs, row, info["final_info"]) == running[row]
            running[row] = mm_envs.ticket(envs, row)
        for row in (~info["_final_info"]).nonzero()[0]:
            assert mm_envs.ticket(envs, row) == running[row]
            with pytest.raises(ValueError, match="no episode ended in row"):
                mm_envs.ticket(envs, row, info)


@pytest.mark.parametrize("seed", [0, -3, 2**63 + 5])
def test_seeds_of_any_size_and_single_environments(seed: int) -> None:
    envs = gym.make_vec("MMVQA-v0", num_envs=3)
    envs.reset(seed=[seed] * 3)
    line = mm_envs.ticket(envs, 2)
    env = gym.make("MMVQA-v0", row=2)
    observation, _ = env.reset(seed=Ticket.parse(line).seed)
    assert mm_envs.ticket(env) == line
    *_, info = env.step(1)
    env.reset()
    assert mm_envs.ticket(env, final_info=info) == line
    assert mm_envs.ticket(env) != line
    assert same(mm_envs.replay(line).observation["image"], observation["image"])
    assert mm_envs.replay(line, 1).outcome.utility == info["utility"]  # type: ignore[union-attr]


def test_items_that_were_given_come_back() -> None:
    envs = gym.make_vec("MMClassify-digits-v0", num_envs=2, autoreset_mode="Disabled")
    envs.reset(seed=1, options={"items": [7, 3]})
    envs.step(torch.tensor([1, 1]))
    observation, _ = envs.reset(options={"items": [9, 0], "reset_mask": torch.tensor([True, False])})
    again = mm_envs.replay(mm_envs.ticket(envs, 0))
    assert again.info == {"item": 9, "episode_index": 1}
    assert same(again.observation["image"], observation["image"][0])
    assert mm_envs.replay(mm_envs.ticket(envs, 1)).info == {"item": 3, "episode_index": 0}


def test_environments_side_by_side_and_those_of_stable_baselines() -> None:
    from stable_baselines3.common.vec_env import DummyVecEnv

    from agents.sb3.vec_env import DeviceVecEnv

    side = gym.make_vec("MMVQA-v0", num_envs=2, vectorization_mode="sync")
    side.reset(seed=4)
    assert Ticket.parse(mm_envs.ticket(side, 1)).seed == 5
    dummy = DummyVecEnv([lambda: gym.make("MMVQA-v0")] * 2)
    dummy.seed(4)
    dummy.reset()
    before = mm_envs.ticket(dummy, 1)
    *_, infos = dummy.step(np.array([0, 1]))
    assert mm_envs.ticket(dummy, 1, infos[1]) == before
    device = DeviceVecEnv(gym.make_vec("MMVQA-v0", num_envs=2))
    device.seed(4)
    device.reset()
    assert Ticket.parse(mm_envs.ticket(device, 1)).row == 1


class _Nine:
    sees_reference, deterministic, scores_prefix = False, True, True

    def score(self, episodes: mm_envs.Episodes) -> mm_envs.Judgement:
        return mm_envs.Judgement(torch.full((len(episodes),), 9.0))


def test_feedback_that_is_an_object_is_given_again() -> None:
    envs = gym.make_vec("MMVQA-tokens-v0", num_envs=2, feedback=_Nine(), reward="dense")
    line, record = _ended(envs, 2, 6)[0]
    assert ":feedback=,reward=dense:" in line
    out = mm_envs.replay(line, record["response"]).outcome
    assert out is not None
    assert (out.reward, out.rewards, out.reward_parts) == (None, (), {})
    assert out.utility == record["utility"].item()
    _check_replay(line, record, feedback=_Nine())
    other = mm_envs.replay(line, record["response"], feedback="truth").outcome
    assert other is not None
    assert other.reward == other.utility


def test_other_objects_are_asked_for() -> None:
    from mm_envs.data.scenes import Scenes

    env = gym.make("MMVQA-v0", dataset=Scenes(items=64))
    observation, _ = env.reset(seed=2)
    line = mm_envs.ticket(env)
    with pytest.raises(ValueError, match=r"dataset is no part of the ticket .*: give dataset="):
        mm_envs.replay(line)
    assert same(mm_envs.replay(line, dataset=Scenes(items=64)).observation["image"], observation["image"])
    with pytest.raises(
        ValueError, match=r"made on dataset 'scenes' \(64 train, 16 validation, 16 test items; "
    ):
        mm_envs.replay(line, dataset=Scenes(items=64, seed=1))
    with pytest.raises(ValueError, match=r"this one is 'scenes' \(128 train"):
        mm_envs.replay(line, dataset=Scenes(items=128))


def _colours(root: Path, last: str = "blue") -> Path:
    """A folder of twelve pictures of one colour each, and what they are called."""
    from PIL import Image

    root.mkdir()
    names = ["red", "green", "blue"] * 4
    for number, name in enumerate([*names[:-1], last]):
        Image.new("RGB", (36 + number, 40), name).save(root / f"{number}.png")
    rows = [f"{number}.png,{name},a {name} square" for number, name in enumerate(names)]
    (root / "metadata.csv").write_text("\n".join(["file_name,label,caption", *rows]))
    return root


def test_a_folder_is_given_again_wherever_it_lies(tmp_path: Path) -> None:
    made, moved = _colours(tmp_path / "made"), _colours(tmp_path / "moved")
    arguments = {"dataset": "folder", "size": 40, "max_tokens": 6, "cache": str(tmp_path), "memory_gb": 1.0}
    for name in ("MMClassify-v0", "MMCaption-v0"):
        envs = gym.make_vec(name, num_envs=2, path=str(made), **arguments)
        line, record = _ended(envs, 2, 12)[0]
        assert str(tmp_path) not in line
        assert ":dataset=folder,max_tokens=6,path=,size=40:folder." in line
        _check_replay(line, record, path=moved)
        with pytest.raises(ValueError, match=r"path is no part of the ticket .* or --data FOLDER"):
            mm_envs.replay(line)
        with pytest.raises(ValueError, match=r"made on dataset 'folder' \(.* and this one is 'folder' \("):
            mm_envs.replay(line, path=_colours(tmp_path / f"changed {name}", last="navy"))


def test_a_task_of_ones_own_is_known_once_it_is_registered() -> None:
    gym.register(
        id="Mine-v0",
        entry_point="mm_envs.engine.single:MultimodalEnv",
        vector_entry_point="mm_envs.engine.vector:MultimodalVectorEnv",
        kwargs={"task": "mm_envs.tasks.vqa:VQA", "items": 64, "split": "test"},
    )
    try:
        env = gym.make("Mine-v0")
        env.reset(seed=1)
        line = mm_envs.ticket(env)
        assert line.startswith("mm1:Mine-v0::scenes.64-16-16.")
        assert mm_envs.ticket(mm_envs.replay(line).env) == line
        with pytest.raises(ValueError, match="split='train': the ticket decides"):
            mm_envs.replay(line, split="train")
    finally:
        del gym.registry["Mine-v0"]
    with pytest.raises(ValueError, match="id='Mine-v0' is not one of MMClassify-v0"):
        mm_envs.replay(line)


@pytest.mark.parametrize("name", ["MMClassify-v0", "MMCaption-v0", "MMVQA-tokens-v0"])
def test_words_and_names_are_responses(name: str) -> None:
    env = gym.make(name, feedback="truth")
    env.reset(seed=3)
    line = mm_envs.ticket(env)
    question = mm_envs.replay(line)
    assert question.outcome is None
    best = mm_envs.replay(line, question.good[0]).outcome
    assert best is not None
    assert (best.answer, best.utility, best.reward) == (question.good[0], 1.0, 1.0)
    numbers = mm_envs.replay(line, str(np.atleast_1d(best.response).tolist())).outcome
    assert numbers is not None
    assert numbers.response == best.response


@pytest.mark.parametrize(
    ("name", "response", "message"),
    [
        ("MMVQA-v0", "yess", "answer 'yess' is unknown: did you mean yes"),
        ("MMVQA-v0", [1, 2], "is no answer: give one of"),
        ("MMVQA-v0", 0.5, "is no answer: give one of"),
        ("MMVQA-v0", 1000, "they must lie in 0 to"),
        ("MMVQA-v0", "[" * 10**5, "is unknown: did you mean"),
        ("MMVQA-v0", f"[{10**30}]", "holds something else than numbers"),
        ("MMVQA-v0", "[null]", "holds something else than numbers"),
        ("MMCaption-v0", "[[1, 2], [3]]", "holds something else than numbers of one shape"),
        ("MMCaption-v0", {"words": 3}, "holds something else than numbers"),
        ("MMCaption-v0", "a redd circle", "word 'redd' is unknown: did you mean red"),
        ("MMCaption-v0", "a " * 50, "give at most"),
        ("MMCaption-v0", [3, 1, 4], "goes on after the episode has ended with step 2"),
        ("MMCaption-v0", [[3, 1]], "give at most"),
        ("MMClassify-distribution-v0", "7", "is no vector: give its numbers"),
        ("MMClassify-distribution-v0", [0.1, 0.2], r"is no answer: give numbers of shape \(10,\)"),
    ],
)
def test_what_is_no_answer_is_refused(name: str, response: Any, message: str) -> None:
    env = gym.make(name)
    env.reset(seed=3)
    with pytest.raises(ValueError, match=message):
        mm_envs.replay(mm_envs.ticket(env), response)


# The text ---------------------------------------------------------------------------------------------------

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(
    arguments=st.dictionaries(st.sampled_from(["items", "objects", "kinds", "noise", "reward"]), _VALUES),
    missing=st.lists(st.sampled_from(["path", "feedback", "vocabulary"]), unique=True),
    dataset=st.text(max_size=12),
    numbers=st.tuples(_NUMBERS, st.integers(0, 2**64 - 1), _NUMBERS, _NUMBERS),
)
def test_what_a_ticket_says_survives_its_text(
    arguments: dict[str, Any], missing: list[str], dataset: str, numbers: tuple[int, ...]
) -> None:
    record = Ticket(
        "MMVQA-v0", dataset, (5, 2, 1), "0" * 16, "test", *numbers, arguments, tuple(sorted(missing))
    )
    line = str(record)
    assert line.isascii()
    assert not set(line) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:=,.-_%/~")
    if all(objection(*one) is None and not of_one_machine(*one) for one in arguments.items()):
        assert Ticket.parse(line) == record
        return
    with pytest.raises(ValueError, match=r"could run code|a path on a disk"):
        Ticket.parse(line)


@settings(max_examples=200, deadline=None)
@given(
    index=st.integers(0, 200), letter=st.characters(codec="ascii"), kind=st.sampled_from(["cut", "change"])
)
def test_a_typing_error_is_noticed(index: int, letter: str, kind: str) -> None:
    line = str(Ticket("MMVQA-v0", "scenes", (8, 2, 2), "0123456789abcdef", "train", 5, 7, 3, 12))
    index %= len(line)
    slip = line[:index] if kind == "cut" else line[:index] + letter + line[index + 1 :]
    if slip.strip() == line:
        return
    with pytest.raises(ValueError, match="ticket"):
        Ticket.parse(slip)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet=":=,.-%0123456789abMV", max_size=60))
def test_any_text_is_refused_in_one_sentence(text: str) -> None:
    for line in (
        text,
        _signed(f"mm1:{text}"),
        _signed(f"mm1:MMVQA-v0:{text}:scenes.1-1-1.{'0' * 16}:test.0:0.0.0"),
    ):
        assert "\n" not in _refusal(line)


_DATASET, _KEY = "scenes.8192-2048-2048.0123456789abcdef", "train.5:7.3.12"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("mm2:MMVQA-v0::" + _DATASET + ":" + _KEY, "does not begin with mm1"),
        ("mm1:os:system::" + _DATASET + ":" + _KEY, "it has 8 parts"),
        ("mm1:MMVQA-v0:task=os%3Asystem:" + _DATASET + ":" + _KEY, "is not JSON in percent encoding"),
        (
            "mm1:MMVQA-v0:task=%22os%3Asystem%22:" + _DATASET + ":" + _KEY,
            "task='os:system' is not one of classify",
        ),
        (
            "mm1:MMVQA-v0:feedback=%22os%3Asystem%22:" + _DATASET + ":" + _KEY,
            "feedback='os:system' is not one of",
        ),
        ("mm1:MMVQA-v0:kinds=%5B%22os%3Asystem%22%5D:" + _DATASET + ":" + _KEY, "which could run code"),
        ("mm1:MMVQA-v0:kinds=5:" + _DATASET + ":" + _KEY, "of another kind than its task takes"),
        ("mm1:MMVQA-v0:path=flags:" + _DATASET + ":" + _KEY, "a path on a disk"),
        ("mm1:MMVQA-v0:kinds=%22%2Fetc%22:" + _DATASET + ":" + _KEY, "a path on a disk"),
        ("mm1:MMVQA-v0:vocabulary=words.json:" + _DATASET + ":" + _KEY, "a path on a disk"),
        ("mm1:MMVQA-v0:cache=home:" + _DATASET + ":" + _KEY, "is not one argument"),
        ("mm1:MMVQA-v0:wrappers=3:" + _DATASET + ":" + _KEY, "is not one argument"),
        ("mm1:MMVQA-v0:device=:" + _DATASET + ":" + _KEY, "is not one argument"),
        ("mm1:MMVQA-v0:items=64,items=65:" + _DATASET + ":" + _KEY, "is not one argument"),
        ("mm1:MMVQA-v0:items=064:" + _DATASET + ":" + _KEY, "ticket"),
        ("mm1:MMVQA-v0:reward=dense,items=64:" + _DATASET + ":" + _KEY, "is not in the form"),
        ("mm1:MMVQA-v0:items=" + "%5B" * 9000 + ":" + _DATASET + ":" + _KEY, "ticket"),
        ("mm1:MMVQA-v0::scenes.8192-2048-2048.xyz:" + _KEY, "is not 16 hexadecimal digits"),
        ("mm1:MMVQA-v0::scenes.8192.0123456789abcdef:train.5:7.3", "is not seed.row.episode"),
        ("mm1:MMVQA-v0::" + _DATASET + ":train.5:-7.3.12", "'-7' is not a whole number"),
        ("mm1:MMVQA-v0::" + _DATASET + ":train.5:7.99999999999999999999.12", "of at most 62 bits"),
    ],
)
def test_untrusted_tickets_hold_plain_values_only(body: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mm_envs.replay(_signed(body))


def test_ids_that_name_modules_are_never_imported() -> None:
    with pytest.raises(ValueError, match="is not one of MMClassify-v0"):
        mm_envs.replay(_signed(f"mm1:a_trap%3ATrap-v0::{_DATASET}:{_KEY}"))
    with pytest.raises(ValueError, match="id='CartPole-v1' is not one of MMClassify-v0"):
        mm_envs.replay(_signed(f"mm1:CartPole-v1::{_DATASET}:{_KEY}"))


def test_items_of_another_split_and_arguments_of_another_version() -> None:
    with pytest.raises(ValueError, match="made on dataset 'scenes'"):
        mm_envs.replay(_signed(f"mm1:MMVQA-v0::{_DATASET}:{_KEY}"))
    with pytest.raises(ValueError, match="has no argument 'colors'"):
        mm_envs.replay(_signed(f"mm1:MMVQA-v0:colors=3:{_DATASET}:{_KEY}"))
    env = gym.make("MMVQA-v0")
    env.reset(seed=0)
    record = Ticket.parse(mm_envs.ticket(env))
    moved = Ticket(record.id, record.dataset, record.sizes, record.content, "test", 5, 0, 0, 0)
    with pytest.raises(ValueError, match="item 5 is not in split 'test'"):
        mm_envs.replay(str(moved))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("MMClassify-digits-v0", {"scale": 10**6}, r"one observation of the ticket takes [\d,]+ bytes"),
        ("MMCaption-v0", {"max_tokens": 10**9}, r"one observation of the ticket takes [\d,]+ bytes"),
        ("MMCaption-v0", {"items": 10**14}, "items of the ticket do not fit into the memory"),
    ],
)
def test_a_ticket_never_fills_the_memory(name: str, arguments: dict[str, Any], message: str) -> None:
    task = make_task(**{**CONFIGURATIONS[name], **arguments})
    found = dataset_of(task)
    with pytest.raises(ValueError, match=message):
        mm_envs.replay(str(Ticket(name, *found, "train", 0, 0, 0, 0, arguments)))
    other = (found[0], (1, 1, 1), found[2])
    with pytest.raises(ValueError, match="the ticket was made on dataset"):
        mm_envs.replay(str(Ticket(name, *other, "train", 0, 0, 0, 0, arguments)))


def test_arguments_of_feedback_are_given_again() -> None:
    arguments = {"parts": {"mine": 2.0, "truth": 0.5}, "sources": {"mine": _Nine()}}
    envs = gym.make_vec("MMVQA-v0", num_envs=2, feedback="weighted_sum", feedback_arguments=arguments)
    line, record = _ended(envs, 2, 2)[0]
    assert ":feedback=weighted_sum,feedback_arguments=:" in line
    out = mm_envs.replay(line, record["response"]).outcome
    assert out is not None
    assert out.reward is None
    _check_replay(line, record, feedback_arguments=arguments)
    _check_replay(line, record, feedback="weighted_sum", feedback_arguments=arguments)


def test_what_has_no_ticket_says_so() -> None:
    with pytest.raises(ValueError, match=r"make it with gym\.make or gym\.make_vec"):
        mm_envs.ticket(mm_envs.MultimodalVectorEnv(1, "vqa"))
    with pytest.raises(gym.error.ResetNeeded):
        mm_envs.ticket(gym.make_vec("MMVQA-v0"))
    with pytest.raises(ValueError, match="holds no environment of mm-envs"):
        mm_envs.ticket(gym.make("CartPole-v1"))
    envs = gym.make_vec("MMVQA-v0", num_envs=2)
    envs.reset(seed=0)
    with pytest.raises(ValueError, match="row=2 is not one of the rows 0 to 1"):
        mm_envs.ticket(envs, 2)
    *_, info = envs.step([0, 0])
    with pytest.raises(ValueError, match="final_info is that of row 0"):
        mm_envs.ticket(
            envs,
            1,
            {
                key: value.flip(0) if hasattr(value, "flip") else value
                for key, value in info["final_info"].items()
            },
        )


# Beginning at any episode -----------------------------------------------------------------------------------


def test_a_reset_begins_at_any_episode() -> None:
    one, other = gym.make_vec("MMVQA-v0", num_envs=3), gym.make_vec("MMVQA-v0", num_envs=3)
    one.reset(seed=6)
    for _ in range(4):
        observation, *_, info = one.step([0, 0, 0])
    begun, started = other.reset(seed=6, options={"episode_index": [4, 4, 4]})
    assert all(same(begun[key], observation[key]) for key in begun)
    assert started["episode_index"].tolist() == info["episode_index"].tolist() == [4, 4, 4]
    for wrong, words in (([4, 4], r"has shape \(2,\)"), ([0, -1, 0], "has -1"), ([0.5] * 3, "float")):
        with pytest.raises(ValueError, match=words):
            other.reset(seed=6, options={"episode_index": wrong})
    with pytest.raises(ValueError, match="without a seed"):
        other.reset(options={"episode_index": [0, 0, 0]})
    assert all(same(other.step([0, 0, 0])[0][key], one.step([0, 0, 0])[0][key]) for key in begun)
