"""Augmentation of contexts, where they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor

from mm_envs.random import fold, integers, uniform
from mm_envs.spaces import Image


def shifted(
    context: Mapping[str, Tensor], spaces: Mapping[str, gym.Space[Any]], hashes: Tensor, pixels: int
) -> dict[str, Tensor]:
    """Contexts whose pictures are moved by up to so many pixels along both axes, the same for all rows.

    What leaves a picture at one side comes in at the other.

    Args:
        context: Entries (n, ...).
        spaces: Their spaces; entries of other spaces than ``Image`` stay.
        hashes: () int64, decides the shift.
        pixels: The largest shift.
    """
    moves = integers(fold(hashes, torch.arange(2)), 2 * pixels + 1) - pixels
    by = (int(moves[0]), int(moves[1]))
    pictures = [key for key, space in spaces.items() if isinstance(space, Image)]
    return {key: one.roll(by, (2, 3)) if key in pictures else one for key, one in context.items()}


def drop_modalities(
    context: Mapping[str, Tensor], keys: Sequence[str], hashes: Tensor, rate: float
) -> dict[str, Tensor]:
    """Contexts in which entries are missing at random, row by row and entry by entry.

    Modality dropout, as in ModDrop (Neverova et al., 2015, arXiv 1501.00102): a policy learns to answer by
    what is left. Where all entries of a row that were there would be dropped, the one whose draw is the
    farthest from being dropped stays.

    Args:
        context: Entries (n, ...). An entry ``<key>_present`` (n, 1) next to ``<key>`` tells where it is.
        keys: The entries that may be dropped.
        hashes: One a row, (n,) int64, decide what is dropped.
        rate: The probability of each entry to be dropped, 0 to below 1.

    Returns:
        The context with ``<key>_present`` (n, 1) of every key; contents stay, for encoders to mask.

    Raises:
        ValueError: The rate is out of its range.

    Example:
        >>> context = {"image": torch.zeros(3, 2), "text": torch.zeros(3, 4)}
        >>> dropped = drop_modalities(context, ["image", "text"], torch.arange(3), rate=0.9)
        >>> (dropped["image_present"] + dropped["text_present"]).flatten().tolist()
        [1, 1, 1]
    """
    check_rate("rate", rate)
    if not keys or not rate:
        return dict(context)
    there = torch.stack([_present(context, key, hashes) for key in keys], 1)
    draws = uniform(fold(hashes[:, None], torch.arange(len(keys), device=hashes.device)))
    kept = there & (draws >= rate)
    # Rows that would have nothing left keep the highest draw of what was there, if there was anything.
    highest = draws.masked_fill(~there, -1.0).argmax(1, keepdim=True)
    spared = torch.zeros_like(kept).scatter(1, highest, ~kept.any(1, keepdim=True)) & there
    columns = (kept | spared).to(torch.int64).split_with_sizes([1] * len(keys), 1)
    return {**context, **{f"{key}_present": one for key, one in zip(keys, columns, strict=True)}}


def check_rate(name: str, rate: float) -> None:
    """Refuses a rate of dropout that is not within 0 to below 1.

    Raises:
        ValueError: It is not.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"{name}={rate} is not within 0 to below 1: 0.1 to 0.3 is customary")


def _present(context: Mapping[str, Tensor], key: str, hashes: Tensor) -> Tensor:
    """Where an entry is there, (n,) bool."""
    given = context.get(f"{key}_present")
    return torch.ones_like(hashes, dtype=torch.bool) if given is None else given.flatten() > 0
