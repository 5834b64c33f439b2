"""The utility of captions of a folder: facts right minus invented, or closeness to what people wrote."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mm_envs.data.text import EOS, PAD, UNK, Vocabulary
from mm_envs.episodes import Judgement
from mm_envs.random import fold


def _said(tokens: Tensor, length: Tensor | None) -> Tensor:
    """The words of answers, everything behind them padding, ``<unk>`` as a word that nothing else is."""
    places = torch.arange(tokens.shape[1], device=tokens.device)
    over = (tokens == EOS).cumsum(1) > 0
    if length is not None:
        over = over | (places >= length[:, None])
    return tokens.masked_fill(tokens == UNK, -1).masked_fill(over, PAD)


class FactGrader:
    """Facts right, minus facts invented, over the number of facts, not below 0.

    A fact is a word or phrase; a caption says it if its words stand there one after another. A phrase within
    a longer one that is said as well is not invented ("red" in "dark red"). A fact counts once, however
    often it is said; negation is not understood.

    Args:
        facts: All facts that are known of any item, each as its words.
        vocabulary: The vocabulary of captions.
    """

    field = "facts"
    parts = ("right", "invented")

    def __init__(self, facts: Sequence[Sequence[str]], vocabulary: Vocabulary) -> None:
        self.facts = tuple(tuple(words) for words in facts)
        ids = {words: vocabulary.encode(words) for words in self.facts}
        self._longest = max((len(words) for words in self.facts), default=0)
        self._known: list[tuple[int, Tensor, Tensor]] = []
        for size in range(self._longest, 0, -1):
            # A fact with a word that captions do not have cannot be said.
            numbers = [
                number
                for number, words in enumerate(self.facts)
                if len(words) == size and bool((ids[words] != UNK).all())
            ]
            if numbers:
                hashes = _hashes(torch.stack([ids[self.facts[number]] for number in numbers]), size)[:, 0]
                order = hashes.argsort()
                self._known.append((size, hashes[order], torch.tensor(numbers)[order]))

    def score(self, tokens: Tensor, length: Tensor | None, facts: Tensor) -> Judgement:
        """The utility of captions, finished or not.

        Args:
            tokens: Token ids, (n, L) int64.
            length: How many of them are words, (n,) int64; None: up to ``<eos>``.
            facts: What is true of each item, (n, number of facts) bool.

        Returns:
            The utility in [0, 1] and its parts, which add up to it before it is clamped, (n,) float32.
        """
        right, invented = self._found(_said(tokens, length), facts)
        whole = facts.sum(1).clamp(min=1).to(torch.float32)
        parts = {"right": right.to(torch.float32) / whole, "invented": -invented.to(torch.float32) / whole}
        # Whole numbers until the last division: the same bits whatever the batch.
        utility = (right - invented).clamp(min=0).to(torch.float32) / whole
        return Judgement(utility, parts)

    def _found(self, words: Tensor, facts: Tensor) -> tuple[Tensor, Tensor]:
        """How many facts are said that are true, and how many that are not, each (n,) int64."""
        n, width = words.shape
        said = torch.zeros((n, len(self.facts) + 1), dtype=torch.bool, device=words.device)
        alone = said.clone()
        covered = torch.zeros((n, width), dtype=torch.bool, device=words.device)
        for size, hashes, numbers in self._known:
            if size > width:
                continue
            spoken = _hashes(words, size)
            keys, numbers = hashes.to(words.device), numbers.to(words.device)
            place = torch.searchsorted(keys, spoken).clamp(max=len(keys) - 1)
            match = keys[place] == spoken
            number = torch.where(match, numbers[place], len(self.facts))
            inside = covered.unfold(1, size, 1).all(2)
            said.scatter_(1, number, True)
            alone.scatter_(1, torch.where(inside, len(self.facts), number), True)
            for offset in range(size):
                covered[:, offset : width - size + 1 + offset] |= match
        true = facts.to(torch.bool)
        return (said[:, :-1] & true).sum(1), (alone[:, :-1] & ~true).sum(1)


def _hashes(words: Tensor, size: int) -> Tensor:
    """One number for every run of so many words, (n, L - size + 1) int64."""
    windows = words.unfold(1, size, 1)
    state = torch.zeros(windows.shape[:2], dtype=torch.int64, device=words.device)
    for place in range(size):
        state = fold(state, windows[:, :, place])
    return state


class ReferenceGrader:
    """Closeness to the captions that people wrote: the best token F1 against any of them.

    Args:
        vocabulary: The vocabulary of captions.
    """

    field = "captions"
    parts = ("token_f1",)

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._size = len(vocabulary)

    def score(self, tokens: Tensor, length: Tensor | None, captions: Tensor) -> Judgement:
        """The utility of captions, finished or not.

        Args:
            tokens: Token ids, (n, L) int64.
            length: How many of them are words, (n,) int64; None: up to ``<eos>``.
            captions: The references of each item, (n, references, length) int64, absent ones all padding.
        """
        mine, theirs = _said(tokens, length), _said(captions.flatten(0, 1), None).view_as(captions)
        mine, theirs = _numbered(mine), _numbered(theirs)
        common = (
            ((mine[:, None, :, None] == theirs[:, :, None, :]) & (mine >= 0)[:, None, :, None]).any(3).sum(2)
        )
        # An unknown word is a word, though it matches none.
        total = (_said(tokens, length) != PAD).sum(1)[:, None] + (
            _said(captions.flatten(0, 1), None) != PAD
        ).view(captions.shape).sum(2)
        f1 = (2 * common).to(torch.float32) / total.clamp(min=1).to(torch.float32)
        best = f1.amax(1)
        return Judgement(best, {"token_f1": best})


def _numbered(words: Tensor) -> Tensor:
    """A number for each word and its how-many-eth occurrence in the row; negative where there is no word."""
    width = words.shape[-1]
    earlier = torch.ones((width, width), dtype=torch.bool, device=words.device).tril(-1)
    occurrence = ((words[..., :, None] == words[..., None, :]) & earlier).sum(-1)
    return torch.where(words > UNK, words * width + occurrence, -1)
