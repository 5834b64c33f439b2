"""Vocabularies: immutable tables between words and token ids, part of every task and checkpoint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from torch import Tensor

from mm_envs.tokenizers.tokenizer import EOS, PAD, SPECIALS, UNK, Words, as_row, words_in


@dataclass(frozen=True)
class Vocabulary:
    """An immutable list of words; the id of a word is its index in the list.

    Args:
        words: All words in the order of their ids, beginning with ``<pad>``, ``<eos>`` and ``<unk>``.

    Raises:
        ValueError: The special words are missing, or a word occurs twice, is empty or holds white space.

    Example:
        >>> colours = Vocabulary.of(["red", "green"])
        >>> len(colours), colours.encode("green red pink", length=5).tolist()
        (5, [4, 3, 2, 0, 0])
        >>> colours.decode([4, 3, 1, 0])
        'green red'
    """

    kind: ClassVar[str] = "vocabulary"
    pad: ClassVar[int] = PAD
    eos: ClassVar[int] = EOS
    unk: ClassVar[int] = UNK

    words: tuple[str, ...]
    ids: dict[str, int] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        if self.words[: len(SPECIALS)] != SPECIALS:
            raise ValueError(
                f"words must begin with {SPECIALS}: build the vocabulary with Vocabulary.of(words)"
            )
        bad = [word for word in self.words if not word or word.split() != [word]]
        if bad:
            raise ValueError(f"word {bad[0]!r} is empty or holds white space: split it into words first")
        object.__setattr__(self, "ids", {word: i for i, word in enumerate(self.words)})
        if len(self.ids) != len(self.words):
            twice = next(word for word in self.words if self.words.count(word) > 1)
            raise ValueError(f"word {twice!r} is given twice: name each word once")

    @classmethod
    def of(cls, words: Iterable[str]) -> Vocabulary:
        """The vocabulary of ordinary words in the given order, special words in front."""
        return cls((*SPECIALS, *words))

    @classmethod
    def of_list(cls, words: Sequence[str]) -> Vocabulary:
        """The vocabulary of a list that may begin with the special words, as ``to_json`` writes it."""
        given = tuple(words)
        return cls(given) if given[: len(SPECIALS)] == SPECIALS else cls.of(given)

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self.ids

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits of the words and their order."""
        return hashlib.sha256("\n".join(self.words).encode()).hexdigest()[:16]

    def encode(self, text: Words, length: int | None = None, eos: bool = False) -> Tensor:
        """Token ids of a text, unknown words as ``<unk>``; see ``Tokenizer.encode``."""
        words = text.split() if isinstance(text, str) else text
        return as_row([self.ids.get(word, UNK) for word in words], length, eos)

    def decode(self, ids: Tensor | Sequence[int]) -> str:
        """The words of one row of ids, up to ``<eos>``, padding left out."""
        return " ".join([self.words[i] for i in words_in(ids)])

    def to_json(self) -> str:
        """The words as JSON text; ``from_json`` reads it back."""
        return json.dumps(list(self.words))

    @classmethod
    def from_json(cls, text: str) -> Vocabulary:
        """The vocabulary that ``to_json`` wrote."""
        return cls(tuple(json.loads(text)))
