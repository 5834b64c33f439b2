"""What every registered task promises of its utility, its baselines and its answers."""

from __future__ import annotations

from functools import cache

import gymnasium as gym
import pytest
import torch
from torch import Tensor

from mm_envs import CONFIGURATIONS
from mm_envs.answers import Boxes, Choice, Text, Turns, Vector
from mm_envs.episodes import Judgement
from mm_envs.random import fold
from mm_envs.tasks import Task, make_task
from mm_envs.tasks.classify import SCALE, Classify
from mm_envs.tasks.guess import Guess
from mm_envs.tasks.retrieve import Retrieve
from mm_envs.tasks.scores import Baselines, baseline_scores
from mm_envs.tokenizers import EOS

N = 200
EQUALLY_FREQUENT = (Classify, Retrieve, Guess)  # tasks whose right answers are
everywhere = pytest.mark.parametrize("name", CONFIGURATIONS)


@cache
def made(name: str) -> tuple[Task, Baselines, dict[str, Tensor]]:
    """The task of an id, its baselines, and the truth of some items."""
    task = make_task(**CONFIGURATIONS[name])
    baselines = Baselines(task)
    return task, baselines, baselines.fields(torch.arange(N))[1]


def utility_of(task: Task, response: Tensor, reference: dict[str, Tensor]) -> Judgement:
    """The judgement of answers as the engine hands them over."""
    return task.utility(*task.answer.finish(response), reference)


def others(task: Task, oracle: Tensor) -> list[Tensor]:
    """Answers that are not the oracle's, from close to it to pure chance."""
    hashes = fold(torch.arange(N), 1)
    random = [task.random(fold(hashes, draw)) for draw in range(4)]
    found = [*random, oracle.roll(1, 0)]
    if oracle.ndim == 1:
        assert isinstance(task.action_space, gym.spaces.Discrete)
        return [*found, *(torch.full_like(oracle, choice) for choice in range(task.action_space.n))]
    if oracle.is_floating_point():
        low, high = torch.full_like(oracle, -1), torch.full_like(oracle, 1)
        mixed = [oracle * share + draw * (1 - share) for share in (0.3, 0.9) for draw in random]
        return [*found, *mixed, low, high, 100 * oracle, oracle * torch.inf, oracle * torch.nan]
    for seed, draw in enumerate(random):
        coin = torch.rand(oracle.shape, generator=torch.Generator().manual_seed(seed))
        found += [torch.where(coin < share, draw, oracle) for share in (0.05, 0.2)]
    for index in range(0, oracle.shape[1], 2):
        shorter = torch.cat(
            [oracle[:, :index], oracle[:, index + 1 :], torch.full_like(oracle[:, :1], EOS)], 1
        )
        stopped = oracle.clone()
        stopped[:, index] = EOS
        found += [shorter, stopped]
    return found


@everywhere
def test_no_answer_beats_the_oracle(name: str) -> None:
    task, baselines, reference = made(name)
    oracle = baselines.oracle(reference)
    best = utility_of(task, oracle, reference).reward
    if isinstance(task, Classify) and isinstance(task.answer, Vector):
        p = torch.softmax(torch.tensor([SCALE] + [-SCALE] * (len(task.classes) - 1), dtype=torch.float64), 0)[
            0
        ]
        assert torch.allclose(best.double(), 1 + p.log() / task.worst_loss, atol=1e-6)
    else:
        assert (best == 1).all()
    worst = best
    for response in others(task, oracle):
        utility = utility_of(task, response, reference).reward
        assert (utility >= 0).all()
        assert (utility <= best).all()
        worst = torch.minimum(worst, utility)
    assert worst.mean() < best.mean() / 2


@everywhere
def test_utility_has_the_parts_whose_modalities_are_named(name: str) -> None:
    task, baselines, reference = made(name)
    judgement = utility_of(task, baselines.oracle(reference), reference)
    assert set(judgement.parts) == set(task.part_modalities)
    assert {modality for named in task.part_modalities.values() for modality in named} <= set(task.context)
    assert judgement.judged.all()
    for value in (judgement.reward, *judgement.parts.values()):
        assert value.shape == (N,)
        assert value.dtype == torch.float32


@everywhere
def test_utility_of_a_row_does_not_depend_on_the_batch(name: str) -> None:
    task, baselines, reference = made(name)
    for response in others(task, baselines.oracle(reference))[::3]:
        whole = utility_of(task, response, reference)
        for size in (1, 7):
            pieces = [
                utility_of(
                    task,
                    response[i : i + size],
                    {key: value[i : i + size] for key, value in reference.items()},
                )
                for i in range(0, N, size)
            ]
            assert torch.equal(torch.cat([piece.reward for piece in pieces]), whole.reward)
            for part, value in whole.parts.items():
                assert torch.equal(torch.cat([piece.parts[part] for piece in pieces]), value)


@everywhere
def test_blind_is_between_random_and_oracle(name: str) -> None:
    task, _, _ = made(name)
    scores = baseline_scores(task, items=1000)
    assert scores["blind"].high < scores["oracle"].mean
    assert scores["blind"].high > scores["random"].mean
    if isinstance(task.answer, Vector) or not isinstance(task, EQUALLY_FREQUENT):
        # What is written, asked or usual helps; the most frequent of equally frequent classes does not.
        assert scores["blind"].low > scores["random"].mean


@everywhere
def test_random_answers_are_uniform(name: str) -> None:
    task, _, _ = made(name)
    hashes = fold(torch.arange(20_000), 2)
    random = task.random(hashes)
    assert torch.equal(task.random(hashes[5:6]), random[5:6])
    assert all(task.action_space.contains(action.numpy()) for action in task.answer.action(random[:50], 0))
    if isinstance(task.answer, (Choice, Text)):
        share = random.flatten().bincount() / random.numel()
        assert torch.allclose(share, torch.full((task.action_space.n,), 1 / task.action_space.n), atol=0.012)
    elif isinstance(task.answer, Turns):
        for turn, options in enumerate(task.answer.options):
            share = random[:, turn].bincount() / len(random)
            assert torch.allclose(share, torch.full((len(options),), 1 / len(options)), atol=0.012)
    elif isinstance(task.answer, Boxes):
        # The larger and the smaller of two uniform numbers have means 2/3 and 1/3.
        assert torch.allclose(random.mean((0, 1)), torch.tensor([1, 1, 2, 2]) / 3, atol=0.01)
    else:
        fifths = random.flatten().histc(5, -1, 1) / random.numel()
        assert torch.allclose(fifths, torch.full((5,), 0.2), atol=0.005)


@everywhere
def test_answers_can_be_read(name: str) -> None:
    task, baselines, reference = made(name)
    oracle = baselines.oracle(reference)
    for row in range(0, N, 20):
        one = {key: value[row] for key, value in reference.items()}
        right = task.reference_words(one)
        text = task.words(oracle[row])
        assert any(text.startswith(one) for one in right)
        assert all(right)


@everywhere
def test_an_answer_is_written_action_by_action(name: str) -> None:
    task, baselines, reference = made(name)
    for written in (baselines.oracle(reference), task.random(fold(torch.arange(N), 3))):
        key = torch.arange(3 * N).view(N, 3)
        state, done = task.start(reference, key), torch.zeros(N, dtype=torch.bool)
        response, ended = torch.zeros_like(written), torch.zeros(N, dtype=torch.int64)
        for step in range(task.horizon):
            actions = task.answer.action(written, step)
            state, over = task.advance(state, actions, reference, key)
            given, length = task.respond(state, actions)
            now = over & ~done
            response[now] = given[now]
            if length is not None:
                ended[now] = length[now]
            done |= over
        assert done.all()
        finished, length = task.answer.finish(written)
        assert torch.equal(response, finished)
        assert length is None or torch.equal(ended, length)


# Distributions -------------------------------------------------------------------------------------------


def test_the_log_score_is_strictly_proper() -> None:
    """Whoever believes p gains most, on the average, by saying p: every other q loses KL(p, q) / w."""
    task = make_task("classify", dataset="digits", answer="distribution")
    assert isinstance(task, Classify)
    generator = torch.Generator().manual_seed(0)
    n, labels = 300, torch.arange(10)
    beliefs, answered = (4 * torch.rand((n, 10), generator=generator) - 2 for _ in range(2))

    def expected(logits: Tensor, p: Tensor) -> Tensor:
        answer = (logits / SCALE).float().repeat_interleave(10, 0)
        utility = task.utility(answer, None, {"label": labels.repeat(n)}).reward
        return (utility.view(n, 10).double() * p).sum(1)

    p, log_p, log_q = (
        beliefs.double().softmax(1),
        beliefs.double().log_softmax(1),
        answered.double().log_softmax(1),
    )
    divergence = (p * (log_p - log_q)).sum(1)
    loss = expected(beliefs, p) - expected(answered, p)
    assert (divergence > 0.05).all()
    assert torch.allclose(loss, divergence / task.worst_loss, atol=1e-6)
    shifted = expected(beliefs + 1.5, p)  # logits say the same when all are moved
    assert torch.allclose(shifted, expected(beliefs, p), atol=1e-6)
