"""The skill of every annotator with its interval, agreement, and whom to stop asking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from feedback.aggregation.agreement import krippendorff_alpha
from feedback.aggregation.reliability import Reliability
from feedback.preferences import SECOND, Pairs

KEEP, ASK_MORE, STOP, INVERTED = "keep", "ask more", "stop asking", "inverted"
# Half of the 95 % quantile of chi squared with one degree of freedom.
_DROP = 1.920729
_GRID = 399


@dataclass(frozen=True)
class AnnotatorSkill:
    """The skill of one annotator.

    Attributes:
        name: The annotator.
        labels: How many labels were counted, without ties and skips.
        skill: e_w, the share of labels that are as perceived.
        low: Lower end of its 95 % interval.
        high: Upper end.
        agreement: The share of labels on the side that the scores take; nan without labels.
        verdict: "keep": better than chance; "inverted": worse, labels count the other way round; "stop
            asking": near a coin; "ask more": too few labels.
    """

    name: str
    labels: int
    skill: float
    low: float
    high: float
    agreement: float
    verdict: str


@dataclass(frozen=True)
class TrustReport:
    """What is known of all annotators.

    Attributes:
        annotators: One each.
        alpha: Krippendorff's alpha (nominal) of the pairs that several annotators saw; nan if there are none.
    """

    annotators: tuple[AnnotatorSkill, ...]
    alpha: float

    def named(self, verdict: str) -> tuple[str, ...]:
        """Those with a verdict."""
        return tuple(one.name for one in self.annotators if one.verdict == verdict)


def trust_report(
    model: Reliability, difference: Tensor, pairs: Pairs, names: Sequence[str], worth: float = 0.65
) -> TrustReport:
    """The skills of annotators, with verdicts.

    The interval holds every e at which the log-likelihood of the annotator's labels is at most 1.92 below its
    best (Wilks, 1938), the differences of scores held fixed: give differences from scores that were not
    fitted to these labels, or intervals are too narrow and skills too high.

    Args:
        model: The fitted reliability.
        difference: The score of the first minus that of the second, (n,) float.
        pairs: The labels.
        names: The names of the annotators.
        worth: An annotator whose skill is surely between 1 - worth and worth is a coin; 0.5 to 1.

    Example:
        >>> rows = torch.arange(200)
        >>> pairs = Pairs(rows % 2, rows, rows, torch.where(rows % 2 == 0, 0, rows // 2 % 2), rows >= 0)
        >>> found = trust_report(Reliability(2, labels=200), torch.full((200,), 6.0), pairs, ["ann", "bob"])
        >>> [one.verdict for one in found.annotators]
        ['keep', 'stop asking']
    """
    if not 0.5 < worth < 1:
        raise ValueError(f"worth={worth} is not between 0.5 and 1: a coin has 0.5")
    if len(names) != len(model.skill):
        raise ValueError(f"{len(names)} names do not fit {len(model.skill)} annotators: give one each")
    counted = pairs.take(pairs.choice <= SECOND)
    assert isinstance(counted, Pairs)
    difference = difference.detach()[pairs.choice <= SECOND]
    low, high = _intervals(model, difference, counted)
    number = torch.bincount(counted.annotator, minlength=len(names))
    agrees = (counted.choice == (difference < 0).long()).double()
    share = torch.zeros(len(names), dtype=torch.float64).index_add(0, counted.annotator, agrees) / number
    skills = tuple(
        AnnotatorSkill(
            name,
            int(number[index]),
            float(model.skill[index]),
            float(low[index]),
            float(high[index]),
            float(share[index]),
            _verdict(float(low[index]), float(high[index]), worth),
        )
        for index, name in enumerate(names)
    )
    return TrustReport(skills, _alpha(counted))


def _intervals(model: Reliability, difference: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """The ends of what the labels of each annotator leave possible, (annotators,) each."""
    grid = torch.linspace(0, 1, _GRID + 2, dtype=torch.float64)[1:-1]
    with torch.no_grad():
        sees, turned = model.chances(difference, pairs)
    chance = grid * sees.double()[:, None] + (1 - grid) * turned.double()[:, None]
    total = torch.zeros(len(model.skill), _GRID, dtype=torch.float64)
    total = total.index_add(0, pairs.annotator, chance.clamp(min=1e-300).log())
    inside = total >= total.amax(1, keepdim=True) - _DROP
    step = grid[0]
    low = torch.where(inside, grid, 2.0).amin(1)
    high = torch.where(inside, grid, -1.0).amax(1)
    # What reaches the outermost index of the grid reaches the end.
    return torch.where(low == step, 0.0, low), torch.where(high == grid[-1], 1.0, high)


def _verdict(low: float, high: float, worth: float) -> str:
    if low > 0.5:
        return STOP if high < worth else KEEP
    if high < 0.5:
        return STOP if low > 1 - worth else INVERTED
    return STOP if high < worth and low > 1 - worth else ASK_MORE


def _alpha(pairs: Pairs) -> float:
    # Two answers may stand in either order.
    lower, upper = torch.minimum(pairs.first, pairs.second), torch.maximum(pairs.first, pairs.second)
    _, unit = torch.unique(torch.stack([lower, upper], 1), dim=0, return_inverse=True)
    return krippendorff_alpha(unit, torch.where(pairs.first == lower, pairs.choice, SECOND - pairs.choice))
