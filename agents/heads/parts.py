"""Distributions over the parts of answers: what one step of an episode writes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from agents.losses import entropy, exact_kl


class Parts(ABC):
    """The distribution of each part of n answers given the parts before it.

    Attributes:
        states: What each part is predicted from, (n, parts, D): the input of a value head.
        written: Which parts were written, (n, parts) bool; None for all.
        auxiliary: An auxiliary loss of each context, (m,), that needs no label; None without one.
    """

    states: Tensor
    written: Tensor | None
    auxiliary: Tensor | None

    @abstractmethod
    def log_prob(self, response: Tensor) -> Tensor:
        """The log-probability or log-density of each part of the answers (n, ...), (n, parts)."""

    @abstractmethod
    def entropy(self) -> Tensor:
        """The entropy of each part in nats, (n, parts)."""

    @abstractmethod
    def kl(self, other: Parts) -> Tensor:
        """The exact divergence KL(self || other) of each part in nats, (n, parts)."""

    def _there(self, values: Tensor) -> Tensor:
        """Values of parts, 0 for those that were not written."""
        return values if self.written is None else torch.where(self.written, values, 0.0)


@dataclass(frozen=True)
class Categorical(Parts):
    """One of several options for each part.

    Attributes:
        log_probs: Normalised, (n, parts, options); -inf for options that are never drawn.
    """

    log_probs: Tensor
    states: Tensor
    written: Tensor | None = None
    auxiliary: Tensor | None = None

    def log_prob(self, response: Tensor) -> Tensor:
        """Of the options of answers (n,) or (n, parts), int64."""
        index = response.reshape(len(response), -1, 1)[:, : self.log_probs.shape[1]]
        return self._there(self.log_probs.gather(2, index)[:, :, 0])

    def entropy(self) -> Tensor:
        """``-sum p log p``."""
        return entropy(self.log_probs, self.written)

    def kl(self, other: Parts) -> Tensor:
        """``sum p (log p - log q)``."""
        assert isinstance(other, Categorical)
        return exact_kl(self.log_probs, other.log_probs, self.written)


@dataclass(frozen=True)
class Gaussian(Parts):
    """Independent normal distributions of the numbers of an answer, which is one part.

    Attributes:
        mean: (n, numbers).
        deviation: (n, numbers) or (numbers,), above 0.
    """

    mean: Tensor
    deviation: Tensor
    states: Tensor
    written: Tensor | None = None
    auxiliary: Tensor | None = None

    def log_prob(self, response: Tensor) -> Tensor:
        """The log-density of answers (n, ...), (n, 1)."""
        away = (response.flatten(1) - self.mean) / self.deviation
        each = -0.5 * away.square() - self.deviation.log() - 0.5 * math.log(2 * math.pi)
        return each.sum(1, keepdim=True)

    def entropy(self) -> Tensor:
        """``sum log s + (1 + log 2 pi) / 2``."""
        each = self.deviation.log() + 0.5 * (1 + math.log(2 * math.pi))
        return each.expand_as(self.mean).sum(1, keepdim=True)

    def kl(self, other: Parts) -> Tensor:
        """``sum log(t / s) + (s^2 + (m - l)^2) / (2 t^2) - 1 / 2``."""
        assert isinstance(other, Gaussian)
        ratio = (self.deviation / other.deviation).square()
        away = ((self.mean - other.mean) / other.deviation).square()
        return (0.5 * (ratio + away - 1 - ratio.log())).sum(1, keepdim=True)
