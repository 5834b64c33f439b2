"""Sentences as token ids, the input of all text metrics, made from strings where needed.

A metric takes ``response`` (n, L) and ``references`` (n, R, any length), both int64, or n strings and n lists
of strings, which ``tokenizer`` ("whitespace", "13a" or "alphanumeric") splits. Entries after ``<eos>`` and
padding are no words; a reference without words is absent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from copy import copy
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from torch import Tensor

from mm_envs.answers import Text
from mm_envs.metrics.ngrams import EXACT_IDS
from mm_envs.names import check_one_of
from mm_envs.tokenizers import FIRST_WORD, Tokenizer, pad_rows, words_first

if TYPE_CHECKING:
    from mm_envs.tasks.task import Task

Response: TypeAlias = "Tensor | Sequence[str]"
References: TypeAlias = "Tensor | Sequence[Sequence[str]]"

_PUNCTUATION = re.compile(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])")
_NUMBERS = (
    (re.compile(r"([^0-9])([\.,])"), r"\1 \2 "),
    (re.compile(r"([\.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)
_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
_ALPHANUMERIC = re.compile("[a-z0-9]+")


def tokenize_13a(text: str) -> list[str]:
    r"""Splits a text as mteval-v13a does, WMT's tokenizer and the default of sacreBLEU.

    Punctuation and symbols become words; a full stop or comma between digits and apostrophes do not (Post, "A
    call for clarity in reporting BLEU scores", 2018, arXiv:1804.08771).

    Example:
        >>> tokenize_13a('A dog, 3.5 years old, isn\'t "big".')
        ['A', 'dog', ',', '3.5', 'years', 'old', ',', "isn't", '"', 'big', '"', '.']
    """
    text = text.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    text = _PUNCTUATION.sub(r" \1 ", f" {text} ")
    for pattern, parted in _NUMBERS:
        text = pattern.sub(parted, text)
    return text.split()


def tokenize_alphanumeric(text: str) -> list[str]:
    """The runs of letters a to z and digits in lower case, as Google's rouge-score splits."""
    return _ALPHANUMERIC.findall(text.lower())


@lru_cache(maxsize=2**16)
def _remembered_13a(text: str) -> tuple[str, ...]:
    return tuple(tokenize_13a(text))


TOKENIZERS: dict[str, Callable[[str], Sequence[str]]] = {
    "whitespace": str.split,
    "13a": _remembered_13a,
    "alphanumeric": tokenize_alphanumeric,
}


def splitter(tokenizer: str) -> Callable[[str], Sequence[str]]:
    """The function that splits a text: "whitespace", "13a" or "alphanumeric"."""
    check_one_of("tokenizer", tokenizer, TOKENIZERS)
    return TOKENIZERS[tokenizer]


class _Ids(dict[str, int]):
    """The ids of words; one that is looked up for the first time gets the next id."""

    def __missing__(self, word: str) -> int:
        new = self[word] = FIRST_WORD + len(self)
        return new


class Numbering:
    """Numbers the words of texts in order of occurrence; ``words`` have ids already, from 3 on.

    Example:
        >>> Numbering().encode([["a dog"], ["a cat", "dog"]]).tolist()
        [[[3, 4], [0, 0]], [[3, 5], [4, 0]]]
    """

    def __init__(self, tokenizer: str = "whitespace", words: Sequence[str] = ()) -> None:
        self._split = splitter(tokenizer)
        # A text may hold the special words, too: there they are words like any other.
        self.ids = _Ids({word: i for i, word in enumerate(words, FIRST_WORD)})

    def __len__(self) -> int:
        return FIRST_WORD + len(self.ids)

    def copy(self) -> Numbering:
        """A copy that can learn further words by itself."""
        other = copy(self)
        other.ids = _Ids(self.ids)
        return other

    def encode(self, texts: Sequence[Sequence[str]]) -> Tensor:
        """Token ids of some texts for each of n items, (n, most texts of an item, most words) int64."""
        items = [[self._number(text) for text in _listed(several, i)] for i, several in enumerate(texts)]
        width = max(map(len, items), default=0) or 1
        rows = pad_rows([row for item in items for row in [*item, *[()] * (width - len(item))]])
        return rows.view(len(items), width, rows.shape[1])

    def _number(self, text: str) -> list[int]:
        return list(map(self.ids.__getitem__, self._split(text)))


def _listed(texts: Sequence[str], item: int) -> Sequence[str]:
    if isinstance(texts, str):
        raise ValueError(
            f"references[{item}]={texts!r} is one string: give a list of references for each item"
        )
    return texts


def as_words(
    response: Response, references: References, tokenizer: str = "whitespace"
) -> tuple[Tensor, Tensor]:
    """Answers and references with words at the beginning of their rows and zeros behind them.

    References may also be one for each answer, (n, any length) int64.

    Raises:
        ValueError: The two differ in the number of items or in kind.
    """
    check_pairs(response, references)
    if isinstance(response, Tensor) and isinstance(references, Tensor):
        if references.ndim == 2:
            references = references[:, None]
        if references.ndim != 3 or not references.shape[1] or response.ndim != 2:
            raise ValueError(
                f"response has shape {tuple(response.shape)} and references {tuple(references.shape)}: "
                "give (n, L) and (n, R, any length) with R at least 1"
            )
        return words_first(response), words_first(references)
    numbering = Numbering(tokenizer)
    written = numbering.encode([[text] for text in response])
    known = numbering.encode(references)  # type: ignore[arg-type]
    return written.flatten(1), known


def check_pairs(response: Response, references: Response | References) -> None:
    """Refuses answers and references that differ in number or in kind (tensors or strings)."""
    if isinstance(response, Tensor) != isinstance(references, Tensor):
        raise ValueError(
            "response and references are not of one kind: give both as tensors or both as strings"
        )
    if len(response) != len(references):
        raise ValueError(
            f"{len(response)} answers and references for {len(references)}: give as many of each"
        )


def small_ids(tokens: Tensor) -> bool:
    """Whether all token ids are below 2**16, so that n-grams fit into 64 bits."""
    return not tokens.numel() or int(tokens.max()) < EXACT_IDS


def words_of(task: Task, feedback: str) -> Tokenizer:
    """The vocabulary of the answers to a task; ``feedback`` names the source in the error."""
    if not isinstance(task.answer, Text):
        raise ValueError(
            f"feedback={feedback!r} needs answers in words: use feedback='accuracy' for a choice"
        )
    return task.answer.vocabulary
