"""The utility of captions of a folder: true facts minus invented ones, or similarity to the references."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mm_envs.episodes import Judgement
from mm_envs.metrics.cider import D, ReferenceVectors, score_words
from mm_envs.metrics.frequency import DocumentFrequency
from mm_envs.metrics.ngrams import EXACT_IDS
from mm_envs.random import fold
from mm_envs.tokenizers import Tokenizer, close, is_unknown, is_word, sizes, words_first

_BLOCK = 64


def answered(tokens: Tensor, length: Tensor | None) -> Tensor:
    """Returns the words of answers followed by padding, (n, L) int64."""
    return words_first(tokens if length is None else close(tokens, length))


def _best(grader: FactGrader | ReferenceGrader, known: Tensor, captions: Tensor) -> tuple[Tensor, Tensor]:
    """The highest utility of any reference, and the index of the first that has it, each (n,)."""
    n, several = captions.shape[:2]
    scores = grader.raw(captions.flatten(0, 1), None, known.repeat_interleave(several, 0)).view(n, several)
    there = is_word(captions).any(2)
    return scores.where(there, -1.0).max(1)


class FactGrader:
    """Utility of captions: true facts minus invented ones, divided by the number of facts, at least 0.

    A fact is a word or phrase; a caption states it if it contains its words in a row. A phrase within a
    longer fact of the caption is not invented ("red" in "dark red"). Repetitions count once; negation is not
    understood.

    Args:
        facts: All facts of all items, each as its words.
        vocabulary: The tokenizer of captions.

    Example:
        >>> from mm_envs.tokenizers import Vocabulary
        >>> words = Vocabulary.of(["dark", "red", "dog"])
        >>> grader = FactGrader([("dark", "red"), ("dog",), ("red",)], words)
        >>> captions = torch.stack([words.encode(text, 3) for text in ("dark red dog", "red dog")])
        >>> grader.score(captions, None, torch.tensor([[True, True, False]]).expand(2, 3)).reward
        tensor([1., 0.])
    """

    field = "facts"
    parts = ("right", "invented")

    def __init__(self, facts: Sequence[Sequence[str]], vocabulary: Tokenizer) -> None:
        self.facts = tuple(tuple(words) for words in facts)
        ids = [vocabulary.encode(words) for words in self.facts]
        known: list[tuple[int, Tensor, Tensor]] = []
        for size in sorted({len(words) for words in self.facts}, reverse=True):
            # No caption can state a fact with a word that is not in the vocabulary.
            numbers = [i for i, words in enumerate(ids) if len(words) == size and not is_unknown(words).any()]
            if numbers:
                hashes = _hashes(torch.stack([ids[number] for number in numbers]), size)[:, 0]
                order = hashes.argsort()
                known.append((size, hashes[order], torch.tensor(numbers)[order]))
        self._known = {torch.device("cpu"): known}

    def score(self, tokens: Tensor, length: Tensor | None, facts: Tensor) -> Judgement:
        """Returns the utility of captions, as ``CaptionUtility`` does; true facts are (n, all facts) bool."""
        right, invented = self._found(answered(tokens, length), facts)
        whole = facts.sum(1).clamp(min=1).to(torch.float32)
        parts = {"right": right.to(torch.float32) / whole, "invented": -invented.to(torch.float32) / whole}
        # Integers until the last division: equal bit for bit in every batch.
        utility = (right - invented).clamp(min=0).to(torch.float32) / whole
        return Judgement(utility, parts)

    def raw(self, tokens: Tensor, length: Tensor | None, facts: Tensor) -> Tensor:
        """Returns true facts minus invented ones, (n,) float64, to compare references."""
        right, invented = self._found(answered(tokens, length), facts)
        return (right - invented).double()

    def best(self, facts: Tensor, captions: Tensor) -> Tensor:
        """Returns the index of the reference with the highest utility of each item, (n,) int64."""
        return _best(self, facts, captions)[1]

    def _on(self, device: torch.device) -> list[tuple[int, Tensor, Tensor]]:
        """The sizes of facts, with the sorted hashes of all facts of the size and their indices."""
        if device not in self._known:
            known = self._known[torch.device("cpu")]
            self._known[device] = [
                (size, keys.to(device), numbers.to(device)) for size, keys, numbers in known
            ]
        return self._known[device]

    def _found(self, words: Tensor, facts: Tensor) -> tuple[Tensor, Tensor]:
        """Counts the stated facts that are true, and those that are not, each (n,) int64."""
        (n, width), none = words.shape, len(self.facts)
        stated = torch.zeros((n, none + 1), dtype=torch.bool, device=words.device)
        alone = stated.clone()
        covered = torch.zeros((n, width), dtype=torch.bool, device=words.device)
        for size, keys, numbers in self._on(words.device):
            if size > width:
                continue
            spoken = _hashes(words, size)
            position = torch.searchsorted(keys, spoken).clamp(max=len(keys) - 1)
            match = keys[position] == spoken
            number = torch.where(match, numbers[position], none)
            stated.scatter_(1, number, True)
            inside = covered.unfold(1, size, 1).all(2)
            alone.scatter_(1, torch.where(inside, none, number), True)
            for offset in range(size):
                covered[:, offset : width - size + 1 + offset] |= match
        true = facts.to(torch.bool)
        return (stated[:, :none] & true).sum(1), (alone[:, :none] & ~true).sum(1)


def _hashes(words: Tensor, size: int) -> Tensor:
    """A hash of every window of ``size`` words, (n, L - size + 1) int64."""
    windows = words.unfold(1, size, 1)
    state = torch.zeros(windows.shape[:2], dtype=torch.int64, device=words.device)
    for word in windows.unbind(2):
        state = fold(state, word)
    return state


class ReferenceGrader:
    """Utility of captions: CIDEr-D over all references, divided by that of the best reference, at most 1.

    Of the metrics that only count words, CIDEr-D agrees best with human judgements (Hessel et al.,
    "CLIPScore", 2021, arXiv:2104.08718, table 1). Its scale differs between items, hence the division. The
    document frequency is frozen on the training items, plus one document, so that a word in all of them has
    a weight above 0.

    Args:
        captions: The references of all items, (items, references, length) int64, absent ones all padding.
        training: The number of training items, which come first; the document frequency is theirs.
        words: The size of the vocabulary.

    Example:
        >>> captions = torch.tensor([[[3, 4, 5, 1]], [[3, 6, 7, 1]]])
        >>> grader = ReferenceGrader(captions, 2, 8)
        >>> grader.score(captions[:, 0], None, torch.tensor([0, 0])).reward
        tensor([1.0000, 0.0213])
    """

    field = "item"
    parts = ("cider_d",)

    def __init__(self, captions: Tensor, training: int, words: int) -> None:
        # Unknown words of references and of answers get different ids, so that they never match.
        self._captions, self._unknown = captions, words + 1
        references = words_first(captions.masked_fill(is_unknown(captions), words))
        self._references = references[..., : max(1, int(sizes(references).max()))]
        seen = DocumentFrequency.of(self._references[:training], exact=words + 1 < EXACT_IDS)
        self._frequency = DocumentFrequency(seen.keys, seen.counts, seen.documents + 1, exact=seen.exact)
        # Room for the vectors of all items; memory that is not written to is not used.
        shape = self._references.shape
        norms = torch.empty((*shape[:2], 4), dtype=torch.float64)
        self._vectors = ReferenceVectors(torch.empty(shape, dtype=torch.int64), norms)
        self._highest = torch.ones(len(captions), dtype=torch.float64)
        self._number = torch.zeros(len(captions), dtype=torch.int64)
        self._missing = np.ones(-(-len(captions) // _BLOCK), dtype=np.bool_)
        self._elsewhere: dict[torch.device, tuple[ReferenceVectors, Tensor, Tensor]] = {}

    def score(self, tokens: Tensor, length: Tensor | None, item: Tensor) -> Judgement:
        """Returns the utility of captions of items (n,), as ``CaptionUtility`` does; it is its only part."""
        highest = self._on(item)[1].index_select(0, item)
        # Double precision, then rounded: equal bit for bit in every batch.
        utility = (self.raw(tokens, length, item) / highest).clamp(max=1).to(torch.float32)
        return Judgement(utility, {"cider_d": utility})

    def raw(self, tokens: Tensor, length: Tensor | None, item: Tensor) -> Tensor:
        """Returns CIDEr-D over all references, 0 to 10, (n,) float64."""
        words = answered(tokens.masked_fill(is_unknown(tokens), self._unknown), length)
        return score_words(words, self._on(item)[0][item], self._frequency, D)

    def best(self, item: Tensor, captions: Tensor) -> Tensor:
        """Returns the index of the reference with the highest utility of each item, (n,) int64."""
        return self._on(item)[2].index_select(0, item)

    def _on(self, item: Tensor) -> tuple[ReferenceVectors, Tensor, Tensor]:
        """Vectors, best scores and best references of all items, on the device of ``item``."""
        if item.device.type == "cpu":
            wanted = np.zeros_like(self._missing)
            wanted[item.numpy() // _BLOCK] = True
            self._prepare((wanted & self._missing).nonzero()[0].tolist())
            return self._vectors, self._highest, self._number
        if item.device not in self._elsewhere:
            self._prepare(self._missing.nonzero()[0].tolist())
            tables = (self._vectors.words, self._vectors.norms, self._highest, self._number)
            words, norms, highest, number = (table.to(item.device) for table in tables)
            self._elsewhere[item.device] = ReferenceVectors(words, norms), highest, number
        return self._elsewhere[item.device]

    def _prepare(self, blocks: Sequence[int]) -> None:
        """Computes the vectors of blocks of items on first use."""
        for block in blocks:
            rows = slice(block * _BLOCK, min((block + 1) * _BLOCK, len(self._references)))
            made = ReferenceVectors.of(self._references[rows], self._frequency, D)
            self._vectors.words[rows] = made.words
            self._vectors.norms[rows] = made.norms
            self._missing[block] = False
            items = torch.arange(rows.start, rows.stop)
            highest, self._number[rows] = _best(self, items, self._captions[rows])
            # References without a known word have no similar answer.
            self._highest[rows] = highest.where(highest > 0, 1.0)
