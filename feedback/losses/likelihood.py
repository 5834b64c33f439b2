"""One likelihood of labels of all kinds over the same scores, so that mixed labels train one model."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from feedback.losses.pairs import bradley_terry, davidson, pair_loss, rao_kupper
from feedback.losses.rankings import boltzmann, plackett_luce
from feedback.losses.ratings import approval, cumulative_logits, ordered_cuts
from feedback.preferences import (
    SKIP,
    Approvals,
    Corrections,
    Critiques,
    Demonstrations,
    Labelled,
    Labels,
    Pairs,
    Rankings,
    Ratings,
)
from mm_envs.names import at_least, check_one_of

TIES = ("half_label", "rao_kupper", "davidson")


class PairLikelihood(nn.Module):
    """The likelihood of choices between two answers, given the difference of their scores.

    Like ``Likelihood`` it has ``loss`` and parameters that are learnt with the reward model.

    Args:
        loss: "bradley_terry", "margin", "label_smoothing" or "noise_mix".
        amount: The margin, epsilon or eta of that loss.
        ties: "half_label" (target 0.5); with "bradley_terry" also "rao_kupper" or "davidson", whose width or
            strength of ties is learnt.
    """

    def __init__(self, loss: str = "bradley_terry", amount: float = 0.1, ties: str = "half_label") -> None:
        super().__init__()
        check_one_of("ties", ties, TIES)
        if ties != "half_label" and loss != "bradley_terry":
            raise ValueError(f"ties={ties!r} goes with loss='bradley_terry', not with {loss!r}")
        pair_loss(loss, torch.zeros(1), torch.ones(1), amount)
        self.name, self.amount, self.ties = loss, amount, ties
        # The logarithm of the width of ties (Rao-Kupper), or of their strength (Davidson).
        self.tie = nn.Parameter(torch.zeros(())) if ties != "half_label" else None

    def forward(self, difference: Tensor, pairs: Pairs) -> Tensor:
        """Minus the log-likelihood of each pair, (n,) float, given differences of scores; 0 for a SKIP."""
        if self.tie is not None:
            if self.ties == "rao_kupper":
                return rao_kupper(difference, pairs.choice, self.tie.exp())
            return davidson(difference, pairs.choice, self.tie)
        each: Tensor = pair_loss(self.name, difference, pairs.target.to(difference.dtype), self.amount)
        return each.masked_fill(pairs.choice == SKIP, 0.0)

    def penalty(self) -> Tensor:
        """Minus the logarithm of the prior of the parameters, divided by the labels of the fit, a number."""
        return torch.zeros(())

    def loss(self, scores: Tensor, labelled: Labelled) -> Tensor:
        """The mean over the pairs that were not skipped, given scores of answers, (a,), plus the penalty."""
        pairs = labelled.pairs
        each = self(scores[pairs.first] - scores[pairs.second], pairs)
        mean: Tensor = each.sum() / (pairs.choice != SKIP).sum().clamp(min=1)
        return mean + self.penalty()


class Likelihood(nn.Module):
    """Labels of all kinds, each as a choice that is rational given the same scores.

    Following Jeon, Milli and Dragan (2020, arXiv:2002.04833), every label is a choice c among a set C with
    P(c) = e^(b r(c)) / sum over C of e^(b r): pairs and rankings choose among answers, a correction between
    the answer before and after, a demonstration among the possible answers, a critique between the
    answer with the part and without it. Ratings and approvals place a score between cut-points. Cut-points,
    threshold, strength of ties, the rationality b of each kind (1 for pairs and rankings) and personal scales
    are parameters, learnt together with the scores.

    Args:
        pairs: The likelihood of pairs; Bradley-Terry by default.
        levels: Levels of the scale of ratings, at least 2; ratings are rounded to the nearest.
        annotators: How many have a scale of their own: w sees e^(g_w) r + o_w when rating and approving, g
            and o with standard normal priors. 0: all share one scale.
        labels: The number of all labels, by which the priors are divided.
    """

    def __init__(
        self, pairs: PairLikelihood | None = None, *, levels: int = 5, annotators: int = 0, labels: int = 1000
    ) -> None:
        super().__init__()
        at_least("levels", levels, 2, "a scale has two ends")
        self.pairs = PairLikelihood() if pairs is None else pairs
        self.levels, self.labels = levels, labels
        self.first_cut = nn.Parameter(torch.tensor(-(levels - 2) / 2))
        self.log_widths = nn.Parameter(torch.zeros(levels - 2))
        self.threshold = nn.Parameter(torch.zeros(()))
        # The logarithm of the rationality of corrections, demonstrations and critiques.
        self.log_rationality = nn.Parameter(torch.zeros(3))
        self.gain = nn.Parameter(torch.zeros(annotators))
        self.offset = nn.Parameter(torch.zeros(annotators))

    @property
    def cuts(self) -> Tensor:
        """The cut-points between the levels of ratings, (levels - 1,) float, ascending."""
        return ordered_cuts(self.first_cut, self.log_widths)

    def forward(self, scores: Tensor, labels: Labels) -> Tensor:
        """Minus the log-likelihood of each label of one kind, (n,) float, given scores of answers, (a,)."""
        if isinstance(labels, Pairs):
            each: Tensor = self.pairs(scores[labels.first] - scores[labels.second], labels)
            return each
        if isinstance(labels, Rankings):
            return plackett_luce(scores, labels.order)
        if isinstance(labels, Ratings):
            level = (labels.rating * (self.levels - 1)).round().long().clamp(0, self.levels - 1)
            return cumulative_logits(self._seen(scores, labels, labels.answer), level, self.cuts)
        if isinstance(labels, Approvals):
            return approval(self._seen(scores, labels, labels.answer), labels.approved, self.threshold)
        return self._chosen(scores, labels)

    def _chosen(self, scores: Tensor, labels: Labels) -> Tensor:
        correction, demonstration, critique = self.log_rationality.exp().unbind()
        if isinstance(labels, Corrections):
            gain = scores[labels.corrected] - scores[labels.answer]
            return bradley_terry(correction * gain, torch.ones_like(gain))
        if isinstance(labels, Demonstrations):
            others = scores[labels.others.clamp(min=0)]
            return boltzmann(scores[labels.answer], others, labels.others >= 0, demonstration)
        if isinstance(labels, Critiques):
            worth = scores[labels.answer] - scores[labels.without]
            return bradley_terry(critique * worth, labels.good.to(worth.dtype))
        raise TypeError(f"{type(labels).__name__} is no kind of label that this likelihood knows")

    def _seen(self, scores: Tensor, labels: Labels, answer: Tensor) -> Tensor:
        """Scores on the scale of who saw them."""
        if not len(self.gain):
            return scores[answer]
        return self.gain[labels.annotator].exp() * scores[answer] + self.offset[labels.annotator]

    def penalty(self) -> Tensor:
        """Minus the logarithm of the priors, divided by the labels of the fit, a number."""
        scales = (self.gain.square().sum() + self.offset.square().sum()) / 2
        return self.pairs.penalty() + scales / self.labels

    def loss(self, scores: Tensor, labelled: Labelled) -> Tensor:
        """The mean over all labels but skips, given scores of answers, (a,), plus the penalty."""
        total, count = scores.new_zeros(()), scores.new_zeros(())
        for labels in labelled.labels:
            total = total + self(scores, labels).sum()
            skipped = (labels.choice == SKIP).sum() if isinstance(labels, Pairs) else 0
            count = count + len(labels) - skipped
        return total / count.clamp(min=1) + self.penalty()
