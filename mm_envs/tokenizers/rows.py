"""Operations on rows of token ids, int64 of any leading dimensions; none waits for the device."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from mm_envs.arrays import A, on_host
from mm_envs.tokenizers.tokenizer import EOS, PAD, UNK


def is_padding(tokens: A) -> A:
    """Which entries are padding, bool of the same shape."""
    padding: A = tokens == PAD
    return padding


def is_end(tokens: Tensor) -> Tensor:
    """Which entries are ``<eos>``, bool of the same shape."""
    return tokens == EOS


def is_unknown(tokens: Tensor) -> Tensor:
    """Which entries are ``<unk>``, bool of the same shape."""
    return tokens == UNK


def is_word(tokens: A) -> A:
    """Which entries are words: before ``<eos>`` and not padding, bool of the same shape.

    Example:
        >>> is_word(torch.tensor([5, 0, 2, 1, 7])).tolist()
        [True, False, True, False, False]
    """
    words: A = (tokens != PAD) & ((tokens == EOS).cumsum(-1) == 0)
    return words


def same_words(tokens: Tensor, other: Tensor) -> Tensor:
    """Which rows (n, length) hold the same words at the same positions, whatever is behind their end."""
    mine, theirs = is_word(tokens), is_word(other)
    return ((tokens == other) & mine & theirs | ~(mine | theirs)).all(1)


def sizes(tokens: A) -> A:
    """How many entries of each row are not padding, (...,) int64."""
    count: A = (tokens != PAD).sum(-1)
    return count


def lengths(tokens: Tensor) -> Tensor:
    """How many ids come before ``<eos>``, padding included, (...,) int64; without ``<eos>`` the whole width.

    Example:
        >>> lengths(torch.tensor([[3, 4, 1, 0], [1, 0, 0, 0], [3, 0, 5, 6]])).tolist()
        [2, 0, 4]
    """
    return ((tokens == EOS).cumsum(-1) == 0).sum(-1)


def words_first(tokens: Tensor) -> Tensor:
    """The words of each row moved to its beginning, padding behind them; everything else is dropped.

    Example:
        >>> words_first(torch.tensor([[0, 5, 0, 6, 1, 7]])).tolist()
        [[5, 6, 0, 0, 0, 0]]
    """
    if on_host(tokens):
        array = tokens.numpy()
        words = is_word(array)
        if not (words[..., 1:] > words[..., :-1]).any():
            # Nothing to move; on an accelerator the question would wait for the device.
            return torch.from_numpy(array * words)
    return _to_front(tokens, is_word(tokens))


def compact(tokens: Tensor, length: int) -> Tensor:
    """The ids of each row, ``<eos>`` included, moved to its beginning, and rows cut or padded to a length."""
    return pad_to(_to_front(tokens, ~is_padding(tokens)), length)


def _to_front(tokens: Tensor, kept: Tensor) -> Tensor:
    """The kept entries at the beginning of their rows, padding behind them."""
    width = tokens.shape[-1]
    # Dropped entries go into one additional column.
    position = torch.where(kept, kept.cumsum(-1) - 1, width)
    room = tokens.new_full((*tokens.shape[:-1], width + 1), PAD)
    return room.scatter_(-1, position, tokens)[..., :width].contiguous()


def close(tokens: Tensor, length: Tensor | None = None) -> Tensor:
    """Rows (..., width) int64 that end with ``<eos>`` where there is room for it, with padding behind that.

    ``length`` (...,) int64 says how many ids are kept; None: those before the first ``<eos>`` or padding.

    Example:
        >>> close(torch.tensor([[5, 6, 0, 7], [5, 1, 6, 7], [5, 6, 7, 8]])).tolist()
        [[5, 6, 1, 0], [5, 1, 0, 0], [5, 6, 7, 8]]
    """
    if length is None:
        length = (((tokens == EOS) | (tokens == PAD)).cumsum(-1) == 0).sum(-1)
    positions, end = torch.arange(tokens.shape[-1], device=tokens.device), length[..., None]
    return tokens.masked_fill(positions >= end, PAD).masked_fill_(positions == end, EOS)


def pad_to(tokens: Tensor, length: int) -> Tensor:
    """Rows cut or padded to a length, (..., length) int64, contiguous."""
    if tokens.shape[-1] >= length:
        return tokens[..., :length].contiguous()
    return torch.nn.functional.pad(tokens, (0, length - tokens.shape[-1]), value=PAD)


def pad_rows(rows: Sequence[Sequence[int]], length: int | None = None) -> Tensor:
    """Rows of ids as one tensor, (n, length) int64, cut or padded; by default to the longest row."""
    ends = np.fromiter(map(len, rows), np.int64, len(rows))
    width = int(ends.max(initial=0)) if length is None else length
    table = np.full((len(rows), width), PAD, dtype=np.int64)
    flat = chain.from_iterable(rows if length is None else (row[:length] for row in rows))
    there = np.arange(width) < ends[:, None]
    table[there] = np.fromiter(flat, np.int64, int(np.minimum(ends, width).sum()))
    return torch.from_numpy(table)


def blank(shape: Sequence[int], device: torch.device | None = None) -> Tensor:
    """Rows of padding, int64."""
    return torch.full(tuple(shape), PAD, dtype=torch.int64, device=device)


def unknown(shape: Sequence[int], device: torch.device | None = None) -> Tensor:
    """Rows of ``<unk>``, int64."""
    return torch.full(tuple(shape), UNK, dtype=torch.int64, device=device)


def ends(shape: Sequence[int], device: torch.device | None = None) -> Tensor:
    """Rows of ``<eos>``, int64."""
    return torch.full(tuple(shape), EOS, dtype=torch.int64, device=device)
