"""The tokens of encoded entries with names: words, cells of grids, and others by index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from agents.encoders import Encoded
from mm_envs.tokenizers import blank, is_padding

_LINE, _CLIP = 1, 3  # axes of positions


@dataclass(frozen=True)
class Named:
    """The tokens of one entry of n contexts; see ``AttentionMap`` for the fields."""

    count: int
    words: tuple[tuple[str, ...], ...]
    positions: Tensor | None
    shape: tuple[int, ...] | None


def named_tokens(entry: Encoded, vocabulary: Sequence[str] | None = None) -> Named:
    """Names of the tokens of an encoded entry; words need the vocabulary, else they have their ids."""
    n, count = entry.tokens.shape[:2]
    if entry.words is not None:
        # What is masked is not there, whatever its id.
        ids, nothing = entry.words, blank(entry.words.shape, entry.words.device)
        ids = ids if entry.there is None else torch.where(entry.there, ids, nothing)
        return Named(count, words_of(ids, vocabulary), entry.positions, None)
    shape = grid_shape(entry.positions)
    names = tuple(f"{index + 1}" for index in range(count)) if shape is None else _cells(shape)
    return Named(count, (names,) * n, entry.positions, shape)


def words_of(ids: Tensor, vocabulary: Sequence[str] | None = None) -> tuple[tuple[str, ...], ...]:
    """The words of ids (n, L), "" for padding.

    Example:
        >>> words_of(torch.tensor([[3, 1, 0]]), ["<pad>", "<eos>", "<unk>", "red"])
        (('red', '<eos>', ''),)
    """

    def name(word: int, padding: bool) -> str:
        if padding:
            return ""
        return str(word) if vocabulary is None else vocabulary[word]

    rows = zip(ids.tolist(), is_padding(ids).tolist(), strict=True)
    return tuple(tuple(map(name, words, padding)) for words, padding in rows)


def grid_shape(positions: Tensor | None) -> tuple[int, ...] | None:
    """The sides of the grid that positions (s, p) are of; None for what has no order.

    Clips are (frames, rows, columns), although their positions name the moment last. Moments alone are one
    row, so a text is (1, words).

    Example:
        >>> from agents.encoders.encoded import grid
        >>> grid_shape(grid(5, 4)), grid_shape(grid(3, 2, 2).roll(-1, 1)), grid_shape(grid(6))
        ((5, 4), (3, 2, 2), (1, 6))
    """
    if positions is None:
        return None
    if positions.shape[1] == _LINE:
        return 1, len(positions)
    sides = [len(axis.unique()) for axis in positions.T]
    sides = [sides[-1], *sides[:-1]] if len(sides) == _CLIP else sides
    return tuple(sides) if torch.tensor(sides).prod() == len(positions) else None


def _cells(shape: tuple[int, ...]) -> tuple[str, ...]:
    """The indices of the cells of a grid, from 1, as names."""
    index = torch.cartesian_prod(*(torch.arange(side) + 1 for side in shape))
    return tuple(",".join(map(str, cell)) for cell in index.view(-1, len(shape)).tolist())
