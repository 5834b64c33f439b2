"""An ensemble of small reward models on features of a frozen policy, fitted as in B-Pref."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, leaky_relu

from feedback.active_learning import seed_of
from feedback.preferences import TIE, Answers, Labelled


@dataclass(frozen=True)
class Recipe:
    """How the ensemble is fitted: after Lee et al., "B-Pref" (2021, arXiv 2111.03026), at a small size.

    B-Pref continues with the weights of the round before and stops at 97 % accuracy on the labels. Here each
    round starts from new weights; that stop would come before mistakes do harm, so it is off by default.

    Attributes:
        members: Their number; they differ in their initialisation.
        width: Units of each of two hidden layers.
        learning_rate: Of AdamW.
        weight_decay: Of AdamW.
        batch: Pairs a minibatch.
        epochs: Passes over all labels, at most.
        enough: The fit stops above this accuracy on its labels, of which ties are not counted: 1 never stops.
    """

    members: int = 3
    width: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 0.0
    batch: int = 64
    epochs: int = 150
    enough: float = 1.0


class Heads:
    """Networks with two hidden layers each, all members in one product of matrices.

    Args:
        size: Numbers per answer.
        recipe: Members and width.
        seed: Decides the weights.
    """

    def __init__(self, size: int, recipe: Recipe, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.weights, self.biases = [], []
        for inputs, outputs in ((size, recipe.width), (recipe.width, recipe.width), (recipe.width, 1)):
            weight = torch.randn(recipe.members, inputs, outputs, generator=generator) / sqrt(inputs)
            self.weights.append(weight.requires_grad_())
            self.biases.append(torch.zeros(recipe.members, 1, outputs, requires_grad=True))
        self._mean = self._deviation = torch.zeros(recipe.members, 1)

    @property
    def parameters(self) -> Sequence[Tensor]:
        """All weights."""
        return [*self.weights, *self.biases]

    def raw(self, read: Tensor) -> Tensor:
        """The scores of answers on the scale of each member, (members, a), from features (a, size)."""
        values = self._hidden(read)
        return torch.baddbmm(self.biases[2], values, self.weights[2])[:, :, 0]

    def _hidden(self, read: Tensor) -> Tensor:
        values = read.expand(len(self.weights[0]), -1, -1)
        for weight, bias in zip(self.weights[:2], self.biases[:2], strict=True):
            values = leaky_relu(torch.baddbmm(bias, values, weight))
        return values

    @torch.no_grad()
    def normalise_on(self, read: Tensor) -> None:
        """Gives the scores of each member mean 0 and deviation 1 on some answers."""
        self._deviation, self._mean = torch.std_mean(self.raw(read), 1, keepdim=True)

    @torch.no_grad()
    def predict(self, answers: Answers) -> Tensor:
        """Normalised scores, (members, a)."""
        return (self.raw(answers.response) - self._mean) / self._deviation

    @torch.no_grad()
    def features(self, answers: Answers) -> Tensor:
        """The features of the answers, (a, size)."""
        return answers.response


def fit_heads(labelled: Labelled, seed: int, recipe: Recipe | None = None) -> Heads:
    """Trains all members on all labels.

    Args:
        labelled: Pairs, and features of their answers (a, size) as responses.
        seed: Decides weights and minibatches.
        recipe: The settings; None for the defaults.
    """
    recipe = recipe or Recipe()
    read, pairs = labelled.answers.response, labelled.pairs
    heads = Heads(read.shape[1], recipe, seed_of(seed, "heads"))
    optimizer = torch.optim.AdamW(
        heads.parameters, recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )
    generator = torch.Generator().manual_seed(seed_of(seed, "minibatches"))
    for _ in range(recipe.epochs):
        order = torch.randperm(len(pairs), generator=generator)
        for rows in torch.split(order, recipe.batch) if len(pairs) else ():
            difference = heads.raw(read[pairs.first[rows]]) - heads.raw(read[pairs.second[rows]])
            target = pairs.target[rows].expand_as(difference)
            # A sum over members trains each on its own.
            loss = binary_cross_entropy_with_logits(difference, target, reduction="none").mean(1).sum()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
        if _agreement(heads, labelled) > recipe.enough:
            break
    heads.normalise_on(read)
    return heads


@torch.no_grad()
def _agreement(heads: Heads, labelled: Labelled) -> float:
    """The mean accuracy of the members on labels that are no ties; 1 if there are no others."""
    pairs = labelled.pairs
    scores = heads.raw(labelled.answers.response)
    better = scores[:, pairs.first] > scores[:, pairs.second]
    right = (better == (pairs.target == 1))[:, pairs.choice != TIE]
    return float(right.double().mean()) if right.numel() else 1.0
