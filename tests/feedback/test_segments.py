"""Segments are scored step by step, whatever environment they come from."""

from __future__ import annotations

import gymnasium as gym
import pytest
import torch
from torch import Tensor

from feedback.losses import Likelihood
from feedback.preferences import FIRST, SECOND, Answers, Labelled, Pairs
from feedback.reward_models import ModelConfig, ModelSpaces
from feedback.reward_models.model import RewardModel
from feedback.segments import collect_segments, segment_scores, transitions_of
from mm_envs.episodes import Segments
from mm_envs.random import fold, integers, stream
from mm_envs.spaces import Vector

SPACES = ModelSpaces({"position": Vector(2, -1, 1)}, gym.spaces.Discrete(2))


def random_segments(n: int, seed: int, steps: int = 6) -> Segments:
    """Walks of different lengths; action 1 gains the first number of the position, action 0 loses it."""
    generator = torch.Generator().manual_seed(seed)
    position = 2 * torch.rand((n, steps, 2), generator=generator) - 1
    actions = torch.randint(2, (n, steps), generator=generator)
    mask = torch.arange(steps) < torch.randint(1, steps + 1, (n, 1), generator=generator)
    rewards = torch.where(actions == 1, position[..., 0], -position[..., 0]) * mask
    return Segments({"position": position}, actions, mask, rewards)


def pairs_of(segments: Segments) -> Labelled:
    """Neighbours are compared by their true return."""
    assert segments.rewards is not None
    first = torch.arange(0, len(segments), 2)
    worth = segments.rewards.sum(1)
    choice = torch.where(worth[first] > worth[first + 1], FIRST, SECOND)
    labels = Pairs(
        torch.zeros_like(first), first, first + 1, choice, torch.ones_like(first, dtype=torch.bool)
    )
    rows = torch.arange(len(segments))
    return Labelled(Answers({}, rows, rows), ("one",), (labels,))


def test_scores_are_sums_over_the_steps_that_there_are() -> None:
    segments, model = random_segments(9, 0), RewardModel(SPACES, ModelConfig(features=8, width=8)).eval()
    scores = segment_scores(model, segments)
    for row in range(9):
        one = segments.take(torch.tensor([row]))
        steps = int(one.mask.sum())
        alone = Answers(
            {"position": one.observations["position"][0, :steps]}, torch.arange(steps), one.actions[0, :steps]
        )
        assert torch.allclose(scores[row], model(alone).sum(), atol=1e-5)
    assert len(transitions_of(segments)) == int(segments.mask.sum())


def test_a_loss_on_answers_fits_a_model_to_segments() -> None:
    """300 pairs; 400 held out: a model that guesses is right in half of them, 0.8 is 12 deviations away."""
    train, test = random_segments(600, 1), random_segments(800, 2)
    model, likelihood = RewardModel(SPACES, ModelConfig(features=16, width=16)), Likelihood()
    optimizer, labels = torch.optim.Adam(model.parameters(), 1e-2), pairs_of(train)
    for _ in range(60):
        loss = likelihood.loss(segment_scores(model, train), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        scores, held_out = segment_scores(model, test), pairs_of(test).pairs
    right = (scores[held_out.first] > scores[held_out.second]) == (held_out.choice == FIRST)
    assert right.double().mean() > 0.8


@pytest.mark.parametrize("across", [False, True])
def test_segments_of_our_environments_end_with_the_episode(across: bool) -> None:
    envs = gym.make_vec("MMCaption-v0", num_envs=6, feedback="truth")
    words = len(envs.unwrapped.task.answer.vocabulary)

    def policy(seen: dict[str, Tensor]) -> Tensor:
        return integers(fold(stream(3, "words"), seen["tokens_length"][:, 0], torch.arange(6)), words)

    segments = collect_segments(envs, policy, 20, seed=1, across=across)
    assert segments.mask.shape == (6, 20)
    assert bool(segments.mask[:, 0].all())
    assert bool(segments.mask.all()) == across
    if not across:
        ends = segments.mask.sum(1)
        assert (segments.mask.int().diff(dim=1) <= 0).all()
        assert (segments.rewards.gather(1, ends[:, None] - 1) >= 0).all()
    # What was seen grows by what was done.
    tokens = segments.observations["tokens"]
    assert (
        torch.equal(tokens[:, 1, 0][segments.mask[:, 1]], segments.actions[:, 0][segments.mask[:, 1]])
        or across
    )
    with pytest.raises(ValueError, match="steps=0 is below 1"):
        collect_segments(envs, policy, 0)
