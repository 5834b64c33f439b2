"""Features of answers from a frozen policy, computed once for all small reward models."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from agents.context import Context
from agents.heads.choice import ChoiceHead
from agents.heads.head import PooledLinear
from agents.heads.text import TextHead
from agents.policy import ResponsePolicy
from feedback.active_learning import CandidatePairs
from mm_envs.episodes import Episodes

_MIN_DEVIATION = 1e-2


@dataclass(frozen=True)
class Trunk:
    """A policy that was trained on references, and the scale of its features of answers.

    Attributes:
        policy: The policy.
        mean: Of each number over some answers of the train split, (size,).
        deviation: Their standard deviations, (size,).
    """

    policy: ResponsePolicy
    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, policy: ResponsePolicy, pairs: CandidatePairs) -> Trunk:
        """The trunk whose features have mean 0 and deviation 1 on some pairs."""
        values = _features(policy, pairs).flatten(0, 1)
        deviation = values.std(0)
        # What hardly varies is noise, which is not amplified.
        return cls(policy, values.mean(0), deviation + _MIN_DEVIATION * values.std())

    def encode(self, pairs: CandidatePairs) -> CandidatePairs:
        """The same pairs with the features of their answers, and without pictures."""
        features = (_features(self.policy, pairs) - self.mean) / self.deviation
        return replace(pairs, prompts=replace(pairs.prompts, context={}), read=features)


@torch.no_grad()
def _features(policy: ResponsePolicy, pairs: CandidatePairs) -> Tensor:
    """The features of both answers of pairs, (n, 2, size)."""
    encoded = policy.encode(pairs.prompts.context)
    make = of_words if isinstance(policy.head, TextHead) else of_choices
    return torch.stack([make(policy, encoded, pairs.episodes(side)) for side in (0, 1)], 1)


def of_choices(policy: ResponsePolicy, encoded: Context, episodes: Episodes) -> Tensor:
    """The terms whose sum is the logit of the choice: features times weights, (n, F)."""
    assert isinstance(policy.head, ChoiceHead)
    assert isinstance(policy.head.out, PooledLinear)
    return encoded.pooled * policy.head.out.weight[episodes.response]


def of_words(policy: ResponsePolicy, encoded: Context, episodes: Episodes) -> Tensor:
    """Features of captions, (n, 4 words): four numbers for each word of the vocabulary.

    Its count; and, each summed over its positions, log p, log p - log p_max and p, where p is its probability
    at a position and p_max that of the likeliest word there.

    Args:
        policy: A policy of words.
        encoded: The contexts of n captions.
        episodes: The captions.
    """
    tokens = episodes.response
    assert isinstance(policy.head, TextHead)
    there = policy.head.there(tokens, episodes.response_length)
    all_words = policy.head.logits(encoded, tokens).log_softmax(2)
    counts = torch.nn.functional.one_hot(tokens, all_words.shape[2]) * there[:, :, None]
    chosen = all_words.gather(2, tokens[:, :, None])
    each = (torch.ones_like(chosen), chosen, chosen - all_words.amax(2, keepdim=True), chosen.exp())
    return torch.cat([(counts * value).sum(1) for value in each], 1)
