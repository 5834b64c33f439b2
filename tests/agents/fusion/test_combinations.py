"""What each fusion can learn: an answer that two entries determine only together."""

from __future__ import annotations

import gymnasium as gym
import pytest
import torch
from torch import Tensor, nn

from agents.fusion import FUSIONS, FusedEncoder
from mm_envs.spaces import Image, Tokens, Vector
from mm_envs.tokenizers import Vocabulary

WORDS = Vocabulary.of(["yes", "no", "and", "or"])
YES = 3

# Fusions that cannot, with a linear head: their features are sums of functions of one entry each.
ADDITIVE = {"late"}
STEPS, BATCH = 160, 64


def sign_and_word(n: int, generator: torch.Generator) -> tuple[dict[str, Tensor], Tensor]:
    """Whether the sign of a number agrees with a word: an exclusive or; neither tells anything alone."""
    point = torch.rand(n, 2, generator=generator) * 2 - 1
    point[:, 0] += 0.3 * point[:, 0].sign()
    word = torch.randint(0, 2, (n,), generator=generator)
    text = torch.randint(YES + 2, YES + 4, (n, 3), generator=generator)
    text[:, 1] = YES + word
    return {"point": point, "text": text}, ((point[:, 0] > 0).long() ^ word)


def side_and_word(n: int, generator: torch.Generator) -> tuple[dict[str, Tensor], Tensor]:
    """Whether the bright half of a picture is the one that a word names."""
    side, word = (torch.randint(0, 2, (n,), generator=generator) for _ in range(2))
    image = torch.randint(0, 60, (n, 1, 36, 36), generator=generator)
    left = torch.arange(36) < 18
    image = image + 150 * (left ^ side[:, None].bool())[:, None, None]
    text = torch.full((n, 3), YES + 2)
    text[:, 0] = YES + word
    return {"image": image.to(torch.uint8), "text": text}, side ^ word


TASKS = {
    "vector": (sign_and_word, {"point": Vector(2), "text": Tokens(3, WORDS)}),
    "picture": (side_and_word, {"image": Image(36, 36, channels=1), "text": Tokens(3, WORDS)}),
}


def accuracy(fusion: str, task: str, seed: int = 0) -> float:
    """Held-out accuracy of a fusion with a linear head."""
    draw, spaces = TASKS[task]
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    encoder, head = FusedEncoder(gym.spaces.Dict(spaces), 32, fusion), nn.Linear(32, 2)
    weights = [*encoder.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(weights, 3e-3)
    for _ in range(STEPS):
        observation, label = draw(BATCH, generator)
        loss = nn.functional.cross_entropy(head(encoder(observation)), label)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    observation, label = draw(400, generator)
    with torch.no_grad():
        return float((head(encoder(observation)).argmax(1) == label).float().mean())


@pytest.mark.parametrize("task", ["vector", pytest.param("picture", marks=pytest.mark.slow)])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_two_entries_are_combined(fusion: str, task: str) -> None:
    """Above 0.9 is learned. Sums of functions of one entry get three of four combinations right at most."""
    found = accuracy(fusion, task)
    assert found < 0.85 if fusion in ADDITIVE else found > 0.9
