"""One environment prepares its episodes in batches: equal bit for bit to the engine that steps every row."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import mm_envs
from feedback.annotators import AnnotatorFeedback
from mm_envs.answers import Choice, Text
from mm_envs.data.scenes.captions import CaptionGrader
from mm_envs.data.scenes.layout import SceneConfig, decode
from mm_envs.engine.ahead import PreparedRow
from mm_envs.engine.single import MultimodalEnv
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.episodes import Episodes, Judgement
from mm_envs.feedback_sources import Truth
from mm_envs.metrics.weighted import WeightedSum
from mm_envs.tasks import Task, make_task
from mm_envs.tasks.caption import Caption

TASKS: dict[str, dict[str, Any]] = {
    "caption": {"task": "caption", "items": 128},
    "captions of many objects": {"task": "caption", "objects": (1, 4), "textures": 3, "items": 64},
    "words": {"task": "vqa", "answer": "tokens", "items": 64},
    "vqa": {"task": "vqa", "items": 64},
    "digits": {"task": "classify", "dataset": "digits"},
    "retrieve": {"task": "retrieve", "items": 64},
}
FEEDBACKS: dict[str, dict[str, Any]] = {
    "annotator": {},
    "truth": {"feedback": "truth"},
    "another annotator": {"feedback_arguments": {"rationality": 1.5, "mistakes": 0.4, "scale": 0.3}},
    "simulated annotator": {"feedback": "simulated_annotator"},
}


def plainly(**arguments: Any) -> MultimodalEnv:
    """The same environment with everything done by the engine."""
    env = MultimodalEnv(**arguments)
    env._prepared = None
    return env


def equal(one: Any, two: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(equal(one[key], two[key]) for key in one)
    if isinstance(one, np.ndarray):
        return bool(one.dtype == two.dtype and np.array_equal(one, two))
    return type(one) is type(two) and bool(one == two)


def walk(env: MultimodalEnv, steps: int, seed: int = 1) -> list[Any]:
    """Everything that an environment returns; it is reset by a seed, by items, and by neither."""
    generator = np.random.default_rng(seed)
    results: list[Any] = [env.reset(seed=seed)]
    first = env.task.dataset.range("train").start
    for step in range(steps):
        given = env.step(int(generator.integers(env.action_space.n)))  # type: ignore[attr-defined]
        results.append(given)
        if given[2]:
            options = {"items": first + step % 7} if step % 5 == 0 else None
            results.append(env.reset(options=options))
        elif step % 31 == 30:
            results.append(env.reset(seed=step))
    return results


@pytest.mark.parametrize("feedback", FEEDBACKS)
@pytest.mark.parametrize("task", TASKS)
def test_a_prepared_row_is_the_row_of_the_engine(task: str, feedback: str) -> None:
    arguments = {**TASKS[task], **FEEDBACKS[feedback]}
    env = MultimodalEnv(row=3, **arguments)
    assert env._prepared is not None
    for mine, theirs in zip(walk(env, 200), walk(plainly(row=3, **arguments), 200), strict=True):
        for one, two in zip(mine, theirs, strict=True):
            assert equal(one, two)


@pytest.mark.parametrize("task", ["caption", "digits"])
def test_the_engine_can_be_asked_at_every_step(task: str) -> None:
    """Snapshots of a prepared row are those of the engine, and another environment goes on from them."""
    env, other, again = MultimodalEnv(**TASKS[task]), plainly(**TASKS[task]), MultimodalEnv(**TASKS[task])
    for one in (env, other):
        one.reset(seed=5)
    generator = np.random.default_rng(0)
    for _ in range(40):
        state, expected = env.synchronized().state_dict(), other.engine.state_dict()
        assert all(torch.equal(state[name], expected[name]) for name in expected)
        again.synchronized().load_state_dict(state)
        action = int(generator.integers(env.action_space.n))  # type: ignore[attr-defined]
        mine, theirs, continued = (one.step(action) for one in (env, other, again))
        assert equal(mine[0], theirs[0])
        assert equal(mine[4], theirs[4])
        assert equal(mine[4], continued[4])
        if mine[2]:
            first, second, third = (one.reset() for one in (env, other, again))
            assert equal(first[0], second[0])
            assert equal(first[0], third[0])


def test_observations_are_fresh() -> None:
    env = MultimodalEnv(**TASKS["caption"])
    seen, _ = env.reset(seed=0)
    kept = {key: value.copy() for key, value in seen.items()}
    for value in seen.values():
        value[...] = 0
    env.step(5)
    env.reset(seed=0)
    assert equal(env.step(5)[0]["image"], kept["image"])


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        ({"reward": "dense", "feedback": "truth"}, "dense reward is given with every step"),
        ({"max_episode_steps": 4}, "the engine truncates"),
        ({"render_mode": "ansi"}, "the engine keeps results for pictures"),
    ],
)
def test_what_needs_the_engine_at_every_step_gets_it(arguments: dict[str, Any], cure: str) -> None:
    assert MultimodalEnv(**TASKS["caption"], **arguments)._prepared is None, cure
    assert MultimodalEnv(task="guess")._prepared is None


def test_feedback_is_asked_about_answers_that_were_given_only() -> None:
    """Only feedback that names itself ``by_row`` is asked about others."""

    class Counting:
        sees_reference, deterministic, scores_prefix = True, True, False
        asked = 0

        def score(self, episodes: Episodes) -> Judgement:
            self.asked += len(episodes)
            return Judgement(torch.ones(len(episodes)))

    class ByRow(Counting):
        by_row = True

    for feedback, exact in ((Counting(), True), (ByRow(), False)):
        env = MultimodalEnv(task="classify", dataset="digits", feedback=feedback)
        env.reset(seed=0)
        for _ in range(5):
            assert env.step(1)[1] == 1.0
            env.reset()
        assert (feedback.asked == 5) is exact


class OtherUtility(Caption):
    """Replaces the batched method alone."""

    def utility(self, response: Any, length: Any, reference: Any) -> Judgement:
        return Judgement(super().utility(response, length, reference).reward / 2)


class EveryOther(Text):
    """Writes no word that is even."""

    def write(self, state: Any, actions: Any) -> Any:
        return super().write(state, torch.where((actions > 3) & (actions % 2 == 0), actions - 1, actions))


class Halved(AnnotatorFeedback):
    """Replaces ``score`` alone."""

    def score(self, episodes: Episodes) -> Judgement:
        return Judgement(super().score(episodes).reward / 2)


def other_words() -> Task:
    task = Caption("scenes", items=64)
    task.answer = EveryOther(task.answer.vocabulary, task.answer.steps)
    return task


@pytest.mark.parametrize(
    "make",
    [
        lambda: {"task": OtherUtility("scenes", items=64)},
        lambda: {"task": other_words()},
        lambda: {"task": (task := Caption("scenes", items=64)), "feedback": Halved(task)},
        lambda: {"task": (task := make_task("classify", dataset="digits")), "feedback": Halved(task)},
    ],
)
def test_what_a_subclass_replaces_is_never_bypassed(make: Callable[[], dict[str, Any]]) -> None:
    env = MultimodalEnv(**make())
    assert env._prepared is not None
    for mine, theirs in zip(walk(env, 120), walk(plainly(**make()), 120), strict=True):
        assert all(map(equal, mine, theirs))


def test_wrong_actions_are_refused_as_by_the_engine() -> None:
    env = MultimodalEnv(**TASKS["digits"])
    env.reset(seed=0)
    env.step(1)
    env.reset()
    for wrong in (10, -1, 2.5, "3", [1, 2]):
        with pytest.raises(ValueError, match="actions"):
            env.step(wrong)
    assert env.step(np.array(3))[2]


@given(st.integers(0, 2**31), st.lists(st.integers(0, 30), min_size=12, max_size=12), st.integers(0, 12))
def test_one_caption_is_scored_as_in_a_batch(item: int, tokens: list[int], length: int) -> None:
    config = SceneConfig()
    grader = CaptionGrader(config)
    words = torch.tensor([tokens]) % len(grader.vocabulary)
    facts = grader.facts(decode(config, torch.tensor([item % 1000])))
    batched = grader.score(words, torch.tensor([length]), facts)
    utility, parts = grader.score_one(words[0, :length].tolist(), facts[0].tolist())
    assert utility == batched.reward.item()
    assert parts == {name: part.item() for name, part in batched.parts.items()}


def test_tickets_bring_every_episode_back() -> None:
    env = gym.make("MMCaption-v0", items=64)
    first, tickets = env.reset(seed=4)[0], {}
    for step in range(60):
        tickets[mm_envs.ticket(env)] = first
        if env.step(step % 20)[2]:
            first = env.reset()[0]
    assert len(tickets) > 3
    for ticket, seen in tickets.items():
        assert equal(mm_envs.replay(ticket).observation, seen)


def test_prepared_rows_exist_for_tasks_of_choices_and_words_only() -> None:
    for name in ("caption", "vqa", "classify", "retrieve"):
        assert PreparedRow.of(MultimodalEnv(task=name)._engine) is not None
    assert make_task("guess").horizon > 1


def test_a_kept_engine_sees_every_step() -> None:
    env = MultimodalEnv(**TASKS["digits"], feedback="truth")
    env.reset(seed=0)
    env.step(1)
    env.reset()
    engine, total = env.engine, 0.0
    assert env._prepared is None
    for _ in range(10):
        total += env.step(int(env.task.oracle(engine.reference())[0]))[1]
        env.reset()
    assert total == 10


@pytest.mark.parametrize("through", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
@pytest.mark.parametrize("task", TASKS)
def test_copies_go_on_alike(task: str, through: Callable[[Any], Any]) -> None:
    """Also with items that are not made when the copy is."""
    arguments = {**TASKS[task], **({} if task == "digits" else {"items": 500})}
    env = MultimodalEnv(**arguments)
    for result in walk(env, 12):
        del result
    other = through(env)
    for _ in range(60):
        first, second = env.reset(), other.reset()
        assert all(map(equal, first, second))
        assert all(map(equal, env.step(1), other.step(1)))
        if not env._prepared.finished:  # type: ignore[union-attr]
            assert all(map(equal, env.step(0), other.step(0)))
    envs = MultimodalVectorEnv(4, **arguments)
    envs.reset(seed=1)
    twin, steps = through(envs), [torch.full((4,), step % 3) for step in range(12)]
    for actions in steps:
        one, two = envs.step(actions), twin.step(actions)
        assert all(torch.equal(one[0][key], two[0][key]) for key in one[0])
        assert torch.equal(one[1], two[1])


def test_a_caption_of_one_word() -> None:
    arguments = {"task": "caption", "items": 64, "max_tokens": 1}
    for mine, theirs in zip(
        walk(MultimodalEnv(**arguments), 40), walk(plainly(**arguments), 40), strict=True
    ):
        assert all(map(equal, mine, theirs))


class Reversed(Choice):
    """Its response is not its action."""

    def response(self, state: Any, actions: torch.Tensor) -> Any:
        return len(self.names) - 1 - actions, None


def test_a_choice_whose_response_is_not_its_action() -> None:
    def make() -> Task:
        task = make_task("classify", dataset="digits")
        task.answer = Reversed(task.answer.names)
        return task

    for mine, theirs in zip(
        walk(MultimodalEnv(task=make()), 60), walk(plainly(task=make()), 60), strict=True
    ):
        assert all(map(equal, mine, theirs))


@pytest.mark.parametrize("feedback", ["cider", "bleu"])
def test_what_is_prepared_in_inference_mode_serves_all_environments(feedback: str) -> None:
    arguments = {"task": "caption", "items": 640, "feedback": feedback}
    env = MultimodalEnv(**arguments)
    env.reset(seed=0)
    with torch.inference_mode():
        env.reset()
        env.step(5)
        env.step(1)
    env.reset()
    other = plainly(**arguments)
    other.reset(seed=0)
    other.reset()
    other.step(5)
    other.step(1)
    other.reset()
    for _ in range(100):
        assert all(map(equal, env.step(1), other.step(1)))
        assert all(map(equal, env.reset(), other.reset()))


def test_feedback_of_any_make_works() -> None:
    @dataclass(slots=True)
    class Slotted:
        weight: torch.Tensor
        sees_reference: bool = False
        deterministic: bool = True
        scores_prefix: bool = False

        def score(self, episodes: Episodes) -> Judgement:
            return Judgement(
                self.weight * torch.ones(len(episodes)), {"one": self.weight.expand(len(episodes))}
            )

    weight = torch.tensor(2.0, requires_grad=True)
    for task in ("digits", "caption"):
        env = MultimodalEnv(**TASKS[task], feedback=Slotted(weight))
        assert {result[1] for result in walk(env, 30) if len(result) == 5} <= {0.0, 2.0}
    envs = MultimodalVectorEnv(2, **TASKS["digits"], feedback=Slotted(weight))
    envs.reset(seed=0)
    assert envs.step(torch.tensor([1, 2]))[1].tolist() == [2.0, 2.0]


class Counted(Truth):
    """Keeps state."""

    asked = 0

    def score(self, episodes: Episodes) -> Judgement:
        self.asked += len(episodes)
        return super().score(episodes)


def test_a_sum_scores_by_row_where_all_its_sources_do() -> None:
    task = make_task("classify", dataset="digits")
    counted = Counted(task)
    assert WeightedSum(task, {"truth": 1.0}).by_row
    assert not WeightedSum(task, {"mine": 1.0}, sources={"mine": counted}).by_row
    env = MultimodalEnv(task=task, feedback=WeightedSum(task, {"mine": 1.0}, sources={"mine": counted}))
    env.reset(seed=0)
    env.reset()
    assert counted.asked == 0


def test_a_grader_that_replaces_score_is_asked() -> None:
    class Half(CaptionGrader):
        def score(self, tokens: Any, length: Any, facts: Any) -> Judgement:
            return Judgement(torch.full((len(tokens),), 0.5))

    task = Caption("scenes", items=64)
    task.grader = Half(task.grader.config)  # type: ignore[attr-defined]
    env = MultimodalEnv(task=task, feedback="truth")
    env.reset(seed=0)
    env.reset()
    assert env.step(1)[1] == 0.5


def test_live_buffers_are_seen_to_change_by_autograd() -> None:
    envs = MultimodalVectorEnv(2, "vqa", items=64, copy=False)
    seen, _ = envs.reset(seed=0)
    loss = (torch.nn.Embedding(200, 3)(seen["question"]) ** 2).sum()
    for _ in range(10):
        envs.step(torch.tensor([1, 2]))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
