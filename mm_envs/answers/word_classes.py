"""Classes of interchangeable words: all colours, all shapes, or simply all words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mm_envs.random import integers


@dataclass(frozen=True)
class WordClasses:
    """The classes of numbered words.

    Attributes:
        of: The class of each word, (words,) int64; -1 for a word without a class.
        start: The position in ``members`` where the class of each word begins, (words,) int64.
        size: The size of the class of each word, (words,) int64; 1 for a word without a class.
        rank: The index of each word in its class, (words,) int64.
        members: All words, class by class, int64.
    """

    of: Tensor
    start: Tensor
    size: Tensor
    rank: Tensor
    members: Tensor

    @classmethod
    def among(cls, words: Sequence[str], classes: Sequence[Sequence[str]], first: int = 0) -> WordClasses:
        """The classes of a list of words; without any class of two known words, all words are one.

        Args:
            words: All words, in the order of their numbers.
            classes: Interchangeable words; words that are not in the list are skipped.
            first: The number of the first word that has a class.

        Example:
            >>> WordClasses.among(["a", "red", "green", "square"], [("green", "red", "blue")]).of.tolist()
            [-1, 0, 0, -1]
        """
        number = {word: i for i, word in enumerate(words) if i >= first}
        there = [[number[word] for word in one if word in number] for one in classes]
        there = [one for one in there if len(one) > 1] or [list(number.values())]
        of, start = torch.full((len(words),), -1), torch.zeros(len(words), dtype=torch.int64)
        size, rank, at = torch.ones_like(start), torch.zeros_like(start), 0
        for which, members in enumerate(there):
            for index, word in enumerate(members):
                of[word], start[word], size[word], rank[word] = which, at, len(members), index
            at += len(members)
        return cls(of, start, size, rank, torch.tensor([word for one in there for word in one]))

    def others(self, words: Tensor, hashes: Tensor) -> Tensor:
        """Another word of the class of each word, by hash; a word without a class stays."""
        size, start = (table.to(words.device)[words] for table in (self.size, self.start))
        step = 1 + integers(hashes, (size - 1).clamp(min=1))
        index = start + (self.rank.to(words.device)[words] + step) % size
        other = self.members.to(words.device)[index.clamp(max=len(self.members) - 1)]
        return torch.where(size > 1, other, words)

    def classes(self, words: Tensor) -> Tensor:
        """The class of each word, of any shape."""
        return self.of.to(words.device)[words]
