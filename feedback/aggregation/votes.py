"""The labels of several annotators to the same items: majority and Dawid-Skene."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from mm_envs.names import at_least


@dataclass(frozen=True)
class Votes:
    """n votes of annotators on items.

    Attributes:
        item: (n,) int64 in 0 .. items - 1.
        annotator: (n,) int64 in 0 .. annotators - 1.
        label: (n,) int64 in 0 .. classes - 1.
        items: The number of items.
        annotators: The number of annotators.
        classes: The number of labels to choose from.
    """

    item: Tensor
    annotator: Tensor
    label: Tensor
    items: int
    annotators: int
    classes: int

    def __post_init__(self) -> None:
        """Checks lengths and ranges."""
        for name, limit in (("item", self.items), ("annotator", self.annotators), ("label", self.classes)):
            values = getattr(self, name)
            if values.shape != self.item.shape or values.ndim != 1:
                raise ValueError(f"{name} has shape {tuple(values.shape)}: give one of each a vote, in (n,)")
            if len(values) and not 0 <= int(values.min()) <= int(values.max()) < limit:
                raise ValueError(
                    f"{name} goes from {values.min()} to {values.max()}: it counts from 0 to {limit - 1}"
                )

    def __len__(self) -> int:
        return len(self.item)

    def counts(self) -> Tensor:
        """How often each item got each label, (items, classes) float64."""
        table = torch.zeros(self.items, self.classes, dtype=torch.float64, device=self.item.device)
        one = torch.ones(len(self), dtype=table.dtype, device=table.device)
        return table.index_put((self.item, self.label), one, accumulate=True)


@dataclass(frozen=True)
class Majority:
    """The majority label of each item.

    Attributes:
        label: The label with most votes, (items,) int64; the lowest of several; -1 for an item without votes.
        tied: Whether several labels have most votes, (items,) bool.
        share: The share of each label, (items, classes) float64; 0 without votes.
    """

    label: Tensor
    tied: Tensor
    share: Tensor

    def accuracy(self, truth: Tensor) -> float:
        """How often it is the truth, (items,) int64; a tie counts as broken by a fair draw."""
        best = (self.share == self.share.amax(1, keepdim=True)) & (self.share > 0)
        chance = best.double() / best.sum(1, keepdim=True).clamp(min=1)
        return float(chance.gather(1, truth[:, None]).mean())


def majority(votes: Votes) -> Majority:
    """The majority label of each item.

    Example:
        >>> item, who, label = torch.tensor([[0, 0, 0, 1, 1], [0, 1, 2, 0, 1], [1, 1, 0, 0, 1]])
        >>> found = majority(Votes(item, who, label, 2, 3, 2))
        >>> found.label.tolist(), found.tied.tolist()
        ([1, 0], [False, True])
    """
    counts = votes.counts()
    most = counts.amax(1, keepdim=True)
    label = torch.where(most[:, 0] > 0, counts.argmax(1), -1)
    tied = ((counts == most).sum(1) > 1) & (most[:, 0] > 0)
    return Majority(label, tied, counts / counts.sum(1, keepdim=True).clamp(min=1))


@dataclass
class DawidSkene:
    """The labels of items and the confusions of annotators, by expectation maximisation.

    An item has a true label z with prior p_z, and annotator w votes for l with chance pi_w[z, l],
    independently of other votes (Dawid and Skene, 1979, "Maximum likelihood estimation of observer
    error-rates using the EM algorithm"). From the shares of votes on, two steps take turns:

    - maximisation: p_z = mean over items of T_iz; pi_w[z, l] = (sum over votes of w for l of T_iz + s) / sum
      over l of the same, with s the smoothing;
    - expectation: log T_iz = log p_z + sum over votes of log pi_w[z, l] - log of the sum.

    If most annotators are adversaries, labels come out exchanged.

    Args:
        smoothing: s, above 0.
        steps: How many steps at most.
        tolerance: Stop when no chance of a label changes by more.

    Attributes:
        prior: p, (classes,) float64, after ``fit``.
        confusion: pi, (annotators, classes, classes) float64: true label, then the given label.

    Example:
        >>> item, who = torch.arange(20).repeat_interleave(3), torch.arange(3).repeat(20)
        >>> label = torch.where(who == 2, 1 - item % 2, item % 2)
        >>> DawidSkene().fit(Votes(item, who, label, 20, 3, 2)).skill.round(decimals=1).tolist()
        [1.0, 1.0, 0.0]
    """

    smoothing: float = 0.01
    steps: int = 200
    tolerance: float = 1e-6
    prior: Tensor = field(init=False, repr=False)
    confusion: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Checks the arguments."""
        if not self.smoothing > 0:
            raise ValueError(f"smoothing={self.smoothing} is not above 0: a chance of 0 rules out for ever")
        at_least("steps", self.steps, 1, "one step is the least")

    def fit(self, votes: Votes) -> DawidSkene:
        """Learns prior and confusions from votes; returns itself."""
        if not len(votes):
            raise ValueError("there are no votes to learn from")
        share = majority(votes).share
        # An item without votes is left out of the prior.
        seen = share.sum(1) > 0
        chance = share
        for _ in range(self.steps):
            self.prior = chance[seen].mean(0)
            self.confusion = self._confusion(votes, chance)
            before, chance = chance, self.predict_proba(votes)
            if float((chance - before)[seen].abs().max()) < self.tolerance:
                break
        return self

    def _confusion(self, votes: Votes, chance: Tensor) -> Tensor:
        shape = (votes.annotators * votes.classes, votes.classes)
        counts = torch.zeros(shape, dtype=torch.float64, device=chance.device)
        cell = votes.annotator * votes.classes + votes.label
        counts = counts.index_add(0, cell, chance[votes.item])
        counts = counts.view(votes.annotators, votes.classes, votes.classes).transpose(1, 2) + self.smoothing
        return counts / counts.sum(2, keepdim=True)

    def predict_proba(self, votes: Votes) -> Tensor:
        """The chance of each label of each item, (items, classes) float64; the prior without votes."""
        votes_log = self.confusion.log()[votes.annotator, :, votes.label]
        start = self.prior.clamp(min=torch.finfo(torch.float64).tiny).log().repeat(votes.items, 1)
        return start.index_add(0, votes.item, votes_log).softmax(1)

    def predict(self, votes: Votes) -> Tensor:
        """The likeliest label of each item, (items,) int64."""
        return self.predict_proba(votes).argmax(1)

    @property
    def skill(self) -> Tensor:
        """How often each annotator is right, (annotators,) float64: the diagonal, weighted by the prior."""
        return (self.confusion.diagonal(dim1=1, dim2=2) * self.prior).sum(1)
