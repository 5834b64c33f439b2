"""The protocol of tokenizers.

Ids 0, 1 and 2 are ``<pad>``, ``<eos>`` and ``<unk>`` in every tokenizer (docs/decisions/0001-token-ids.md).
Operations on rows of ids are in ``mm_envs.tokenizers.rows``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

PAD, EOS, UNK = 0, 1, 2
SPECIALS = ("<pad>", "<eos>", "<unk>")
FIRST_WORD = len(SPECIALS)  # the lowest id of an ordinary word

Words: TypeAlias = "str | Iterable[str]"


@runtime_checkable
class Tokenizer(Protocol):
    """An immutable mapping between texts and token ids, identified by its digest.

    ``kind`` is its name in ``mm_envs.tokenizers.table.TOKENIZERS``; ``pad``, ``eos`` and ``unk`` are 0, 1 and
    2.
    """

    kind: ClassVar[str]
    pad: ClassVar[int]
    eos: ClassVar[int]
    unk: ClassVar[int]

    @property
    def words(self) -> tuple[str, ...]:
        """The name of every id, in the order of the ids; the special ones are the first three."""

    @property
    def ids(self) -> Mapping[str, int]:
        """The id of every name."""

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits of the content; equal tokenizers have equal digests."""

    def __len__(self) -> int:
        """The number of ids."""

    def __contains__(self, word: object) -> bool:
        """Whether an id has this name."""

    def encode(self, text: Words, length: int | None = None, eos: bool = False) -> Tensor:
        """Token ids of a text (one string, or words), (length,) int64, unknown words as ``<unk>``.

        Args:
            text: One string, or words.
            length: Pad or cut to this many ids; None keeps the length of the text.
            eos: Whether ``<eos>`` follows the last word.
        """

    def decode(self, ids: Tensor | Sequence[int]) -> str:
        """The text of one row of ids, up to ``<eos>``, padding left out."""

    def to_json(self) -> str:
        """The tokenizer as JSON text; ``from_json`` reads it back."""

    @classmethod
    def from_json(cls, text: str) -> Tokenizer:
        """The tokenizer that ``to_json`` wrote."""


def as_row(ids: Sequence[int], length: int | None, eos: bool) -> Tensor:
    """The ids of a text as ``Tokenizer.encode`` returns them: closed, padded and cut as requested."""
    row = [*ids, EOS] if eos else list(ids)
    if length is not None:
        row = (row + [PAD] * length)[:length]
    return torch.tensor(row, dtype=torch.int64)


def words_in(ids: Tensor | Sequence[int]) -> list[int]:
    """The ids that ``Tokenizer.decode`` shows: those before ``<eos>`` without padding."""
    words = []
    for i in ids.tolist() if isinstance(ids, Tensor) else ids:
        if i == EOS:
            break
        if i != PAD:
            words.append(int(i))
    return words
