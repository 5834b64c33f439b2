"""The reliability of annotators, learnt together with the reward from single votes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from feedback.losses import PairLikelihood, davidson_log_probabilities
from feedback.preferences import FIRST, SECOND, SKIP, TIE, Labelled, Pairs
from mm_envs.names import at_least


class Reliability(PairLikelihood):
    """P(first) = e_w s(d) + (1 - e_w) s(-d), with e_w learnt for every annotator w (Chen et al., 2013).

    The scores are what annotators have in common, e_w how often w labels what is perceived: near 1 for a good
    one, 1/2 for a coin, below for an adversary, whose labels count the other way round. One vote a pair is
    enough. Scores negated and e_w turned into 1 - e_w have the same likelihood; a beta prior decides: each
    annotator starts with ``right`` right and ``wrong`` wrong labels.

    Extensions: a position bias b_w, added to d if the first answer was displayed first and else subtracted;
    skill by modality, logit e_w = q_w + sum_m x_m u_wm, with the modalities x of a pair; ties with a strength
    of their own (Davidson, 1970), else half a label for either side. b and u have normal priors with standard
    deviations 0.5 and 1.

    Args:
        annotators: How many there are.
        labels: The number of all labels, by which the priors are divided.
        right: Pseudo-counts of the prior, above ``wrong``.
        wrong: Above 0.
        position: Whether to learn position biases.
        modalities: How many modalities skill may differ by.
        ties: Whether ties have a chance of their own.

    Example:
        >>> Reliability(3, labels=100).skill
        tensor([0.7500, 0.7500, 0.7500])
    """

    def __init__(
        self,
        annotators: int,
        *,
        labels: int,
        right: float = 3.0,
        wrong: float = 1.0,
        position: bool = False,
        modalities: int = 0,
        ties: bool = False,
    ) -> None:
        super().__init__()
        at_least("annotators", annotators, 1, "give the number of those who labelled")
        at_least("labels", labels, 1, "give the number of labels of the fit")
        if not right > wrong > 0:
            raise ValueError(
                f"right={right}, wrong={wrong}: right has to exceed wrong, and wrong 0, or nothing says which"
                " of two opposite rewards is meant"
            )
        self.labels, self.right, self.wrong, self.position = labels, right, wrong, position
        start = torch.tensor(right / wrong).log()
        self.logit = nn.Parameter(start.repeat(annotators))
        self.bias = nn.Parameter(torch.zeros(annotators)) if position else None
        self.by_modality = nn.Parameter(torch.zeros(annotators, modalities)) if modalities else None
        self.tie = nn.Parameter(torch.tensor(-2.0)) if ties else None

    @classmethod
    def of(cls, labelled: Labelled, **arguments: float) -> Reliability:
        """For the annotators and as many labels as there are; takes the other arguments of the class."""
        return cls(len(labelled.annotators), labels=len(labelled.pairs), **arguments)  # type: ignore[arg-type]

    @property
    def skill(self) -> Tensor:
        """e_w of every annotator, (annotators,) float; on pairs of no particular modality."""
        return self.logit.detach().sigmoid()

    @property
    def skill_by_modality(self) -> Tensor:
        """e_w on pairs of one modality alone, (annotators, modalities) float."""
        if self.by_modality is None:
            raise ValueError("modalities=0: build Reliability with the number of modalities")
        return (self.logit[:, None] + self.by_modality).detach().sigmoid()

    def log_likelihood(
        self,
        difference: Tensor,
        choice: Tensor,
        annotator: Tensor,
        shown_first: Tensor,
        modalities: Tensor | None = None,
    ) -> Tensor:
        """The logarithm of the chance of each choice, (n,) float; 0 for a SKIP.

        Args:
            difference: The score of the first minus that of the second, (n,) float.
            choice: FIRST, SECOND, TIE or SKIP, (n,) int64.
            annotator: Who chose, (n,) int64.
            shown_first: Whether the first was displayed first, (n,) bool.
            modalities: What carries the difference, (n, modalities) float; None: no modality in particular.
        """
        sees, turned = self._components(difference, annotator, shown_first)
        logit = self._logits(annotator, modalities)
        right, wrong = logsigmoid(logit)[:, None], logsigmoid(-logit)[:, None]
        first, second, tie = torch.logaddexp(right + sees, wrong + turned).unbind(-1)
        if self.tie is None:
            tie = (first + second) / 2
        chosen = torch.where(choice == FIRST, first, torch.where(choice == SECOND, second, tie))
        return chosen.masked_fill(choice == SKIP, 0.0)

    def _logits(self, annotator: Tensor, modalities: Tensor | None) -> Tensor:
        """Logit e_w of each label, (n,)."""
        logit = self.logit[annotator]
        if modalities is None or self.by_modality is None:
            return logit
        return logit + (modalities * self.by_modality[annotator]).sum(-1)

    def _components(
        self, difference: Tensor, annotator: Tensor, shown_first: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Log-chances of first, second, tie for those who say what they see, and for the opposite, (n, 3)."""
        bias = torch.zeros_like(difference)
        if self.bias is not None:
            bias = torch.where(shown_first, self.bias[annotator], -self.bias[annotator])
        return self._outcomes(difference + bias), self._outcomes(bias - difference)

    def _outcomes(self, difference: Tensor) -> Tensor:
        if self.tie is not None:
            return davidson_log_probabilities(difference, self.tie)
        first, second = logsigmoid(difference), logsigmoid(-difference)
        return torch.stack([first, second, first], -1)

    def chances(self, difference: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """The probabilities of choices of a side by those who label what they perceive, and the opposite,
        (n,).
        """
        sees, turned = self._log_chances(difference, pairs)
        return sees.exp(), turned.exp()

    def _log_chances(self, difference: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
        column = pairs.choice.clamp(max=SECOND)[:, None]
        both = self._components(difference, pairs.annotator, pairs.shown_first)
        return both[0].gather(1, column)[:, 0], both[1].gather(1, column)[:, 0]

    def forward(self, difference: Tensor, pairs: Pairs) -> Tensor:
        """Minus the log-likelihood of each pair, (n,) float; 0 for a SKIP."""
        shown, modalities = pairs.shown_first, pairs.modalities
        return -self.log_likelihood(difference, pairs.choice, pairs.annotator, shown, modalities)

    def penalty(self) -> Tensor:
        """Minus the logarithm of the priors, divided by the labels of the fit, a number."""
        right, wrong = logsigmoid(self.logit), logsigmoid(-self.logit)
        total = -(self.right * right + self.wrong * wrong).sum()
        if self.bias is not None:
            total = total + 2 * self.bias.square().sum()
        if self.by_modality is not None:
            total = total + self.by_modality.square().sum() / 2
        return total / self.labels

    @torch.no_grad()
    def update(self, difference: Tensor, pairs: Pairs) -> Tensor:
        """One step of expectation maximisation for e_w, given the differences of scores; ties do not count.

        Expectation: the probability that a label is what was perceived; maximisation:
        e_w = (sum of these + right) / (labels of w + right + wrong). Differences of scores that were fitted
        to these labels make skills come out too high.

        Args:
            difference: (n,) float.
            pairs: The labels.

        Returns:
            e_w, (annotators,) float.
        """
        counted = ((pairs.choice != TIE) & (pairs.choice != SKIP)).to(difference.dtype)
        sees, turned = self._log_chances(difference, pairs)
        odds = self._logits(pairs.annotator, pairs.modalities) + sees - turned
        number = len(self.logit)
        right = torch.zeros(number, dtype=odds.dtype).index_add(0, pairs.annotator, counted * odds.sigmoid())
        total = torch.zeros(number, dtype=odds.dtype).index_add(0, pairs.annotator, counted)
        skill = (right + self.right) / (total + self.right + self.wrong)
        self.logit.copy_(skill.logit())
        return skill


def fit_reliability(difference: Tensor, pairs: Pairs, annotators: int, steps: int = 50) -> Reliability:
    """The reliability of annotators, by expectation maximisation alone, given differences of scores.

    Args:
        difference: The score of the first minus that of the second, (n,) float; not fitted to these labels.
        pairs: The labels.
        annotators: How many there are.
        steps: How many steps.
    """
    model = Reliability(annotators, labels=max(1, len(pairs)))
    for _ in range(steps):
        model.update(difference, pairs)
    return model
