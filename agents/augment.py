"""Random changes of entries that keep their meaning, on the device, each row by its own hash.

Row i of a result depends on row i of the entries and on ``hashes[i]`` alone. Another change of the same row
needs another hash: ``fold(hashes, epoch)``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mm_envs.names import at_least, check_one_of
from mm_envs.random import chance, fold, integers, purpose, uniform
from mm_envs.tokenizers import blank, unknown
from mm_envs.tokenizers.tokenizer import FIRST_WORD

_GREY = (0.2989, 0.587, 0.114)  # of red, green and blue, as in torchvision
_REPLACEMENTS = {"unknown": unknown, "padding": blank}


def random_shift(pictures: Tensor, hashes: Tensor, pixels: int = 4) -> Tensor:
    """Pictures shifted by up to so many pixels along both axes; the border is repeated.

    The augmentation of DrQ (Kostrikov et al., 2020, arXiv 2004.13649). All frames of a video shift alike.

    Args:
        pictures: (n, ..., height, width) of any dtype.
        hashes: One for each row, (n,) int64.
        pixels: The largest shift.

    Example:
        >>> pictures = torch.arange(9).view(1, 1, 3, 3)
        >>> random_shift(pictures, torch.tensor([4]), pixels=1)[0, 0].tolist()
        [[4, 5, 5], [7, 8, 8], [7, 8, 8]]
    """
    at_least("pixels", pixels, 0)
    height, width = pictures.shape[-2:]
    flat = pictures.reshape(len(pictures), math.prod(pictures.shape[1:-2]), height * width)
    drawn = _hashes(hashes, "agents.augment.shift", 2)
    down, right = (integers(drawn, 2 * pixels + 1) - pixels).unbind(1)
    rows = (torch.arange(height, device=hashes.device) + down[:, None]).clamp_(0, height - 1)
    columns = (torch.arange(width, device=hashes.device) + right[:, None]).clamp_(0, width - 1)
    source = (rows[:, :, None] * width + columns[:, None, :]).view(-1, 1, height * width)
    # One gather over flat pixels takes a quarter of the time of indices along two axes.
    return flat.gather(2, source.expand(-1, flat.shape[1], -1)).view(pictures.shape)


def colour_jitter(
    pictures: Tensor,
    hashes: Tensor,
    brightness: float = 0.2,
    contrast: float = 0.2,
    saturation: float = 0.2,
) -> Tensor:
    """Pictures of another brightness, contrast and saturation, in this order.

    Each is ``torchvision.transforms.v2.functional.adjust_*`` of a float picture with a factor that is uniform
    in 1 - amount to 1 + amount.

    Args:
        pictures: (n, channels, height, width) of 0 to 255, uint8 or float; saturation is that of RGB alone.
        hashes: One for each row, (n,) int64.
        brightness: Amounts from 0 to 1, as ``contrast`` and ``saturation``.
        contrast: Towards the mean of the grey picture, or away from it.
        saturation: Towards the grey picture, or away from it.

    Returns:
        Pictures of the same shape, float32, 0 to 255.

    Example:
        >>> colour_jitter(torch.full((2, 3, 4, 4), 100.0), torch.tensor([1, 2]), contrast=0.0)[:, 0, 0, 0]
        tensor([106.4655,  83.4017])
    """
    amounts = (brightness, contrast, saturation)
    for name, amount in zip(("brightness", "contrast", "saturation"), amounts, strict=True):
        if not 0 <= amount <= 1:
            raise ValueError(f"{name}={amount} is not within 0 to 1: give a share")
    drawn = uniform(_hashes(hashes, "agents.augment.colour", 3)) * 2 - 1
    factors = 1 + drawn * torch.tensor(amounts, device=hashes.device)
    bright, contrasted, saturated = factors[:, :, None, None, None].unbind(1)
    pixels = (pictures.float() * bright).clamp_(max=255.0)
    mean = _grey(pixels).mean((1, 2, 3), keepdim=True)
    pixels = torch.lerp(mean, pixels, contrasted).clamp_(0.0, 255.0)
    if pixels.shape[1] != 3:
        return pixels
    return torch.lerp(_grey(pixels), pixels, saturated).clamp_(0.0, 255.0)


def spec_augment(log_mel: Tensor, hashes: Tensor, bands: int = 8, frames: int = 8, masks: int = 1) -> Tensor:
    """Standardised log-mel spectrograms with some bands and some frames set to 0, their mean.

    SpecAugment (Park et al., 2019, arXiv 1904.08779) without time warping: each mask is f bands wide, f
    uniform in 0 to ``bands``, and begins anywhere where it fits; so do masks of frames.

    Args:
        log_mel: (n, bands, frames) float.
        hashes: One for each row, (n,) int64.
        bands: F, the widest mask of bands.
        frames: T, the widest mask of frames.
        masks: How many masks there are of each kind.

    Example:
        >>> spec_augment(torch.ones(1, 3, 5), torch.tensor([2]), bands=2, frames=3)[0].int().tolist()
        [[0, 0, 1, 1, 1], [0, 0, 0, 0, 0], [0, 0, 1, 1, 1]]
    """
    for name, amount in (("bands", bands), ("frames", frames), ("masks", masks)):
        at_least(name, amount, 0)
    kept_bands = ~_masked(hashes, "agents.augment.bands", log_mel.shape[1], bands, masks)
    kept_frames = ~_masked(hashes, "agents.augment.frames", log_mel.shape[2], frames, masks)
    return log_mel * (kept_bands[:, :, None] & kept_frames[:, None, :])


def drop_words(tokens: Tensor, hashes: Tensor, probability: float = 0.1, to: str = "unknown") -> Tensor:
    """Texts in which each word is replaced with a probability.

    Word dropout (Bowman et al., 2015, arXiv 1511.06349). Padding and the end of a text stay.

    Args:
        tokens: Ids (n, length) int64.
        hashes: One for each row, (n,) int64.
        probability: Of each word, 0 to 1.
        to: "unknown" or "padding".

    Example:
        >>> drop_words(torch.tensor([[5, 6, 7, 1, 0]]), torch.tensor([3]), probability=0.5).tolist()
        [[5, 6, 2, 1, 0]]
    """
    check_one_of("to", to, _REPLACEMENTS)
    if not 0 <= probability <= 1:
        raise ValueError(f"probability={probability} is not within 0 to 1: give a share of the words")
    dropped = chance(_hashes(hashes, "agents.augment.words", tokens.shape[1]), probability)
    replaced = _REPLACEMENTS[to](tokens.shape, tokens.device).to(tokens.dtype)
    return torch.where(dropped & (tokens >= FIRST_WORD), replaced, tokens)


def _hashes(hashes: Tensor, name: str, count: int) -> Tensor:
    """So many hashes a row for a purpose, (n, count) int64."""
    index = torch.arange(count, device=hashes.device)
    drawn: Tensor = fold(fold(hashes, purpose(name))[:, None], index)
    return drawn


def _masked(hashes: Tensor, name: str, size: int, widest: int, masks: int) -> Tensor:
    """Which of so many entries lie within one of several random spans, (n, size) bool."""
    drawn = _hashes(hashes, name, 2 * masks).view(len(hashes), masks, 2)
    width = integers(drawn[:, :, :1], min(widest, size) + 1)
    start = integers(drawn[:, :, 1:], size - width + 1)
    index = torch.arange(size, device=hashes.device)
    return ((index >= start) & (index < start + width)).any(1)


def _grey(pictures: Tensor) -> Tensor:
    """Grey pictures (n, 1, height, width) of RGB ones; others as their mean over channels."""
    if pictures.shape[1] != 3:
        return pictures.mean(1, keepdim=True)
    red, green, blue = pictures.unbind(1)
    return (_GREY[0] * red + _GREY[1] * green + _GREY[2] * blue)[:, None]


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
