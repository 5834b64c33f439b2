"""Edits of answers in words: small changes that make a good answer worse.

Each takes answers (n, L) int64 without ``<eos>``, padded, their lengths (n,), a hash for each row (n,) int64,
and the classes of the words. It returns answers edited once, with their lengths; an answer that cannot be
edited in this way stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from mm_envs.answers.word_classes import WordClasses
from mm_envs.random import fold, pick
from mm_envs.tokenizers import PAD

Edited: TypeAlias = tuple[Tensor, Tensor]
Edit: TypeAlias = Callable[[Tensor, Tensor, Tensor, WordClasses], Edited]


def substitute(tokens: Tensor, length: Tensor, hashes: Tensor, classes: WordClasses) -> Edited:
    """A word becomes another of its class: red becomes green."""
    index, some = pick(classes.classes(tokens) >= 0, fold(hashes, 0))
    old = tokens.gather(1, index[:, None])[:, 0]
    new = torch.where(some, classes.others(old, fold(hashes, 1)), old)
    return tokens.scatter(1, index[:, None], new[:, None]), length


def drop(tokens: Tensor, length: Tensor, hashes: Tensor, classes: WordClasses) -> Edited:
    """A word is left out."""
    index, some = pick(_there(tokens, length), hashes)
    at = torch.arange(tokens.shape[1], device=tokens.device)
    padded = torch.nn.functional.pad(tokens, (0, 1), value=PAD)
    without = padded.gather(1, at + (at >= index[:, None]))
    return torch.where(some[:, None], without, tokens), length - some.to(torch.int64)


def double(tokens: Tensor, length: Tensor, hashes: Tensor, classes: WordClasses) -> Edited:
    """A word is repeated, if there is room."""
    index, some = pick(_there(tokens, length), hashes)
    some = some & (length < tokens.shape[1])
    at = torch.arange(tokens.shape[1], device=tokens.device)
    twice = tokens.gather(1, at - (at > index[:, None]).to(torch.int64))
    return torch.where(some[:, None], twice, tokens), length + some.to(torch.int64)


def swap(tokens: Tensor, length: Tensor, hashes: Tensor, classes: WordClasses) -> Edited:
    """Two different neighbours are exchanged."""
    after = torch.nn.functional.pad(tokens[:, 1:], (0, 1), value=PAD)
    allowed = _there(tokens, length - 1) & (tokens != after)
    index, some = pick(allowed, hashes)
    return _exchanged(tokens, index, index + some.to(torch.int64)), length


def bind(tokens: Tensor, length: Tensor, hashes: Tensor, classes: WordClasses) -> Edited:
    """Two words of one class are exchanged: "a red circle left of a green cross" swaps its colours."""
    kinds = classes.classes(tokens)
    differ = (kinds[:, :, None] == kinds[:, None]) & (tokens[:, :, None] != tokens[:, None])
    differ &= (kinds >= 0)[:, :, None]
    first, some = pick(differ.any(2), fold(hashes, 0))
    partners = differ[torch.arange(len(tokens), device=tokens.device), first]
    second, _ = pick(partners, fold(hashes, 1))
    return _exchanged(tokens, first, torch.where(some, second, first)), length


def cut(tokens: Tensor, length: Tensor, hashes: Tensor, classes: WordClasses) -> Edited:
    """All words from a random position on are left out, never the first."""
    there = _there(tokens, length)
    allowed = there.clone()
    allowed[:, 0] = False
    index, some = pick(allowed, hashes)
    end = torch.where(some, index, length)
    return tokens.masked_fill(~_there(tokens, end), PAD), end


# Edits by name; that of "replace" takes all words as one class.
EDITS: dict[str, Edit] = {
    "substitute": substitute,
    "replace": substitute,
    "drop": drop,
    "double": double,
    "swap": swap,
    "bind": bind,
    "cut": cut,
}


def _there(tokens: Tensor, length: Tensor) -> Tensor:
    return torch.arange(tokens.shape[1], device=tokens.device) < length[:, None]


def _exchanged(tokens: Tensor, first: Tensor, second: Tensor) -> Tensor:
    pair = torch.stack([first, second], 1)
    return tokens.scatter(1, pair, tokens.gather(1, pair.flip(1)))
