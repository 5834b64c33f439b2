"""Warnings about settings of policy gradients that work and yet have a known bias."""

from __future__ import annotations

import warnings

from agents.losses.advantages import Normalisation
from agents.losses.aggregation import Aggregation
from agents.losses.kl import Placement


def doubts(
    *,
    normalisation: Normalisation = "none",
    kl_placement: Placement | None = None,
    aggregation: Aggregation = "sequence_sum",
) -> list[str]:
    """What to know about a combination of settings, a sentence each; what is wrong is refused elsewhere.

    Args:
        normalisation: Of the advantages.
        kl_placement: Where the KL is; None without.
        aggregation: Of losses of parts.

    Example:
        >>> doubts(normalisation="none", kl_placement="reward")
        []
        >>> len(doubts(normalisation="std", kl_placement="loss"))
        1
    """
    found = []
    if normalisation != "none" and kl_placement == "loss":
        found.append(
            f"normalisation={normalisation!r} scales the rewards of each context and not the KL in the loss, "
            "so the price of the KL differs between contexts (difficulty bias, arXiv 2503.20783): put the KL "
            "into the reward, or take normalisation='none'"
        )
    if normalisation == "mean" and kl_placement == "reward":
        found.append(
            "normalisation='mean' expects rewards of at least 0, and the KL in the reward can lower them: "
            "take normalisation='none' or 'std'"
        )
    if aggregation == "sequence_mean":
        found.append(
            "aggregation='sequence_mean' divides by the length of each answer, so long wrong answers are "
            "punished less (length bias, arXiv 2503.20783): take 'sequence_sum' or 'max_length'"
        )
    return found


def warn_about(
    *,
    normalisation: Normalisation = "none",
    kl_placement: Placement | None = None,
    aggregation: Aggregation = "sequence_sum",
) -> None:
    """Warns of each of ``doubts``, with its arguments.

    Example:
        >>> warn_about(normalisation="std", kl_placement="reward")
    """
    for doubt in doubts(normalisation=normalisation, kl_placement=kl_placement, aggregation=aggregation):
        warnings.warn(doubt, stacklevel=2)
