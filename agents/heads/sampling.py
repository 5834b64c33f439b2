"""How answers are drawn: temperature, top-k and top-p, for draws and log-probabilities alike."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mm_envs.names import at_least


@dataclass(frozen=True)
class Sampling:
    """The distribution that parts of answers are drawn from.

    Draws and log-probabilities use the same one: the ratio of a policy to the one that drew would be wrong
    otherwise, and an estimated divergence could be negative.

    Attributes:
        temperature: Logits are divided by it, deviations multiplied; 0 takes the likeliest.
        top_k: Only the k likeliest are drawn (Fan et al., 2018, arXiv 1805.04833); 0 for all.
        top_p: Only the fewest that have this probability together (Holtzman et al., 2019, arXiv 1904.09751).
        epsilon: With this probability any option is drawn, all of them alike; with a temperature of 0 it is
            the exploration of Q-learning (Watkins, 1989).

    Raises:
        ValueError: A value is out of its range.

    Example:
        >>> Sampling(top_k=1).adjusted(torch.tensor([[0.0, 2.0, 1.0]])).softmax(1)
        tensor([[0., 1., 0.]])
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    epsilon: float = 0.0

    def __post_init__(self) -> None:
        at_least("temperature", self.temperature, 0, "0 takes the likeliest word")
        at_least("top_k", self.top_k, 0, "0 takes all")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p={self.top_p} is not within 0 to 1: 1 takes all")
        if not 0 <= self.epsilon <= 1:
            raise ValueError(f"epsilon={self.epsilon} is not within 0 to 1: 0 explores nothing")

    @property
    def plain(self) -> bool:
        """Whether logits are left as they are."""
        return self.temperature == 1 and not self.top_k and self.top_p == 1 and not self.epsilon

    @property
    def likeliest(self) -> bool:
        """Whether the likeliest option is taken for certain."""
        return self.temperature == 0 and not self.epsilon

    def adjusted(self, logits: Tensor) -> Tensor:
        """Logits (..., options) of the distribution that is drawn from; -inf for what is never drawn."""
        if not self.epsilon:
            return self._cut(logits)
        options = logits.shape[-1]
        mixed = (1 - self.epsilon) * self._cut(logits).softmax(-1) + self.epsilon / options
        return mixed.log()

    def _cut(self, logits: Tensor) -> Tensor:
        if self.temperature == 0:
            likeliest = logits.argmax(-1, keepdim=True)
            return torch.full_like(logits, -torch.inf).scatter(-1, likeliest, 0.0)
        if self.temperature != 1:
            logits = logits / self.temperature
        if self.top_k and self.top_k < logits.shape[-1]:
            least = logits.topk(self.top_k, -1).values[..., -1:]
            logits = logits.masked_fill(logits < least, -torch.inf)
        if self.top_p < 1:
            ordered, index = logits.sort(-1, descending=True)
            p = ordered.softmax(-1)
            # An option is kept if those before it have less than top_p, so the likeliest always is.
            dropped = p.cumsum(-1) - p >= self.top_p
            logits = logits.masked_fill(dropped.scatter(-1, index, dropped), -torch.inf)
        return logits


GREEDY, PLAIN = Sampling(temperature=0.0), Sampling()
