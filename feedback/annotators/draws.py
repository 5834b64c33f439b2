"""What an annotator draws: hashes of the episode, the answers and the annotator, whatever the batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from mm_envs.episodes import Episodes
from mm_envs.random import fold, key_bits


def response_digest(response: Tensor, length: Tensor | None = None) -> Tensor:
    """One hash for each answer; how far it is padded does not matter.

    Args:
        response: As ``Episodes.response``, leading dimension n.
        length: How many words count, (n,) int64; None: all.

    Returns:
        (n,) int64.

    Example:
        >>> words = torch.tensor([[5, 6, 1], [5, 6, 0]])
        >>> bool(response_digest(words, torch.tensor([2, 2])).unique().numel() == 1)
        True
    """
    if response.is_floating_point():
        response = response.to(torch.float32).contiguous().view(torch.int32).to(torch.int64)
    if response.ndim == 1:
        return fold(response, 0)
    words = response.flatten(1)
    places = torch.arange(words.shape[1], device=words.device)
    hashes = fold(words, places)
    if length is not None:
        hashes = hashes.masked_fill(places >= length[:, None], 0)
    return fold(hashes.sum(1), 0)


def answer_bits(episodes: Episodes, word: int) -> Tensor:
    """One hash for each episode with its answer, (n,) int64.

    Args:
        episodes: n episodes with keys.
        word: Who draws what for, see ``mm_envs.random.purpose``.

    Raises:
        ValueError: The episodes carry no key.
    """
    return fold(key_bits(_key(episodes), word), response_digest(episodes.response, episodes.response_length))


def pair_bits(first: Episodes, second: Episodes, word: int) -> tuple[Tensor, Tensor]:
    """One hash for each pair of answers, the same in either order, and a sign that tells the orders apart.

    Noise that favours one of the answers is multiplied by the sign; so it favours the same answer when they
    change places.

    Returns:
        Hashes (n,) int64, and 1 or -1, (n,) float32; 1 for two equal answers.

    Raises:
        ValueError: The episodes carry no key, or there are not as many of the one as of the other.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} answers cannot be compared with {len(second)}: give pairs")
    a = response_digest(first.response, first.response_length)
    b = response_digest(second.response, second.response_length)
    bits = fold(key_bits(_key(first), word), torch.minimum(a, b), torch.maximum(a, b))
    return bits, torch.where(a <= b, 1.0, -1.0)


def _key(episodes: Episodes) -> Tensor:
    if episodes.key is None:
        raise ValueError("these episodes carry no key: an annotator draws its noise from it")
    return episodes.key


def take(episodes: Episodes, rows: Tensor) -> Episodes:
    """Some episodes, (m,) int64, in that order; what was seen is gathered when somebody looks at it."""

    def taken(value: Tensor) -> Tensor:
        return value[rows]

    truth = episodes.truth
    if truth is not None:
        parts = {name: value[rows] for name, value in truth.parts.items()}
        truth = replace(truth, reward=truth.reward[rows], parts=parts, judged=truth.judged[rows])
    return Episodes(
        _Each(episodes.context, taken),
        episodes.response[rows],
        None if episodes.response_length is None else episodes.response_length[rows],
        None if episodes.reference is None else _Each(episodes.reference, taken),
        None if episodes.key is None else episodes.key[rows],
        truth,
    )


def choose(here: Tensor, first: Episodes, second: Episodes) -> Episodes:
    """The answers of ``first`` where ``here``, (n,) bool, else those of ``second``."""

    def chosen(one: Tensor, other: Tensor) -> Tensor:
        return torch.where(here.view(-1, *[1] * (one.ndim - 1)), one, other)

    length = None
    if first.response_length is not None and second.response_length is not None:
        length = chosen(first.response_length, second.response_length)
    return replace(
        first, response=chosen(first.response, second.response), response_length=length, truth=None
    )


class _Each(Mapping[str, Tensor]):
    """A mapping whose values are changed when they are looked at."""

    def __init__(self, fields: Mapping[str, Tensor], change: Callable[[Tensor], Tensor]) -> None:
        self._fields, self._change = fields, change

    def __getitem__(self, name: str) -> Tensor:
        return self._change(self._fields[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)
