"""The KL-regularised optimum in closed form, which every right trainer has to find.

Over A answers to each of m contexts, ``E[r] - beta KL(p || p_ref)`` is maximised by p* = p_ref exp(r / beta),
normalised (Ziegler et al., 2019, arXiv 1909.08593; Rafailov et al., 2023, arXiv 2305.18290). Rewards and
log-probabilities are (m, A) float.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Bandit:
    """Contexts whose answers have known rewards.

    Attributes:
        reward: (m, A) float.
        reference: Log-probabilities of the reference policy, (m, A) float.
        beta: The price of a nat.
    """

    reward: Tensor
    reference: Tensor
    beta: float

    def optimum(self) -> Tensor:
        """Log-probabilities of p*, (m, A)."""
        return optimum(self.reward, self.reference, self.beta)

    def divergence(self, log_probs: Tensor) -> float:
        """KL(p* || p) of a policy with these log-probabilities."""
        return divergence(self.optimum(), log_probs)


def bandit(contexts: int = 4, answers: int = 8, beta: float = 0.5, seed: int = 0) -> Bandit:
    """Contexts with normally distributed rewards of scale 1.5 and a reference that is not uniform."""
    generator = torch.Generator().manual_seed(seed)
    reward = 1.5 * torch.randn(contexts, answers, generator=generator)
    return Bandit(reward, torch.randn(contexts, answers, generator=generator).log_softmax(1), beta)


def optimum(reward: Tensor, reference: Tensor, beta: float) -> Tensor:
    """Log-probabilities of p* = p_ref exp(r / beta), normalised, (m, A)."""
    return (reference + reward / beta).log_softmax(1)


def divergence(best: Tensor, log_probs: Tensor) -> float:
    """KL(p* || p), the mean over contexts, in nats; of the log-probabilities of both, (m, A)."""
    return float((best.exp() * (best - log_probs)).sum(1).mean())


@dataclass(frozen=True)
class Draws:
    """k answers to each context, several times: rows are groups.

    Attributes:
        index: (rows, k) int64 in [0, A).
        context: (rows,) int64 in [0, m).
    """

    index: Tensor
    context: Tensor

    def of(self, table: Tensor) -> Tensor:
        """The entries of a table (m, A) for the drawn answers, (rows, k)."""
        return table[self.context[:, None], self.index]


def draw(log_probs: Tensor, groups: int, k: int, generator: torch.Generator) -> Draws:
    """Draws ``groups`` times k answers to each context from a policy."""
    m = len(log_probs)
    index = torch.multinomial(log_probs.detach().exp(), groups * k, replacement=True, generator=generator)
    return Draws(index.view(m * groups, k), torch.arange(m).repeat_interleave(groups))


def trained(
    start: Tensor,
    loss: Callable[[Tensor], Tensor],
    steps: int = 1000,
    rate: float = 0.05,
) -> Tensor:
    """The log-probabilities of a softmax policy after so many steps of Adam whose rate falls to 0, (m, A).

    Args:
        start: Log-probabilities at first, (m, A).
        loss: From the log-probabilities of all answers, (m, A), to a number.
        steps: How many.
        rate: The first learning rate.
    """
    logits = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([logits], rate)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
        optimizer.zero_grad()
        loss(logits.log_softmax(1)).backward()
        optimizer.step()
    return logits.detach().log_softmax(1)


def expected_gradient(logits: Tensor, k: int, loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The exact expectation of the gradient of a loss over all A^k groups of answers to one context, (A,).

    Args:
        logits: Of a softmax policy, (A,).
        k: Answers of a group.
        loss: From the log-probabilities (1, k) of a group and the answers (1, k) to a number.
    """
    logits = logits.detach().requires_grad_()
    log_probs = logits.log_softmax(0)
    groups = torch.cartesian_prod(*[torch.arange(len(logits))] * k).view(-1, 1, k)
    terms = [log_probs[group].sum().exp().detach() * loss(log_probs[group], group) for group in groups]
    (gradient,) = torch.autograd.grad(torch.stack(terms).sum(), logits)
    return gradient
