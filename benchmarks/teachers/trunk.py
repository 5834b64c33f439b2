"""What a frozen policy makes of answers: numbers that small reward models read, made once for all of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from agents.decoder import Decoder
from agents.policy import ResponsePolicy
from feedback.rounds import CandidatePairs
from mm_envs.episodes import Episodes

_LEAST_DEVIATION = 1e-2


@dataclass(frozen=True)
class Trunk:
    """A policy that was fine-tuned on references, and the scale of what it makes of answers.

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
        """The trunk whose numbers have mean 0 and deviation 1 on some pairs."""
        values = _read(policy, pairs).flatten(0, 1)
        deviation = values.std(0)
        # What hardly varies is noise: it is not blown up.
        return cls(policy, values.mean(0), deviation + _LEAST_DEVIATION * values.std())

    def read(self, pairs: CandidatePairs) -> CandidatePairs:
        """The same pairs with what is read of their answers, and without pictures."""
        read = (_read(self.policy, pairs) - self.mean) / self.deviation
        return replace(pairs, prompts=replace(pairs.prompts, context={}), read=read)


@torch.no_grad()
def _read(policy: ResponsePolicy, pairs: CandidatePairs) -> Tensor:
    """What the policy makes of both answers of pairs, (n, 2, size)."""
    encoded = policy.encode(pairs.prompts.context)
    make = of_words if policy.decoder is not None else of_choices
    return torch.stack([make(policy, encoded, pairs.episodes(side)) for side in (0, 1)], 1)


def of_choices(policy: ResponsePolicy, encoded: Tensor, episodes: Episodes) -> Tensor:
    """The terms whose sum is the logit of the choice: features times weights, (n, F)."""
    assert policy.head is not None
    return encoded * policy.head.weight[episodes.response]


def of_words(policy: ResponsePolicy, encoded: Tensor, episodes: Episodes) -> Tensor:
    """What the policy makes of captions, (n, 2 words + H).

    How often each word of the vocabulary was said; how much doubt fell on it, which is 1 - p / p_max at each
    place where it was said, p_max being the probability of the likeliest word there; and the terms whose sum
    is the sum of all logits: states times weights of the words.

    Args:
        policy: A policy of words.
        encoded: The contexts, (n, F).
        episodes: The captions.
    """
    decoder = policy.decoder
    assert isinstance(decoder, Decoder)
    tokens = episodes.response
    hidden = decoder.hidden(encoded, tokens)
    there = policy.places(tokens, episodes.response_length)
    logits = decoder.out(hidden)
    said = torch.nn.functional.one_hot(tokens, logits.shape[2]) * there[:, :, None]
    chosen = logits.gather(2, tokens[:, :, None])
    doubt = 1 - (chosen - logits.amax(2, keepdim=True)).exp()
    terms = hidden * torch.nn.functional.embedding(tokens, decoder.out.weight) * there[:, :, None]
    return torch.cat([said.sum(1).to(doubt.dtype), (said * doubt).sum(1), terms.sum(1)], 1)
