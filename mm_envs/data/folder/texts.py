"""Words of free texts, their vocabulary, and tables of token ids."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from mm_envs.data.layouts.columns import composed
from mm_envs.tokenizers import Vocabulary, pad_rows

Pinned = str | Path | Sequence[str]


# Apostrophes and hyphens, plain and typographic ones.
_WITHIN_WORDS = {"'": "'", "\u2019": "'", "-": "-", "\u2010": "-", "\u2011": "-"}


class _Borders(dict[int, str]):
    """The replacement of each character before a text is split at white space, computed on first use."""

    def __missing__(self, code: int) -> str:
        sign = chr(code)
        kind = unicodedata.category(sign)[0]
        if sign in _WITHIN_WORDS:
            self[code] = _WITHIN_WORDS[sign]
        elif kind in "LMN":
            # Scripts without spaces between words: every character is a word.
            self[code] = f" {sign} " if unicodedata.name(sign, "").startswith(("CJK", "HIRAGANA")) else sign
        else:
            # A symbol (+, $, an emoji) is a word; punctuation and white space separate words.
            self[code] = f" {sign} " if kind == "S" else " "
        return self[code]


_BORDERS = _Borders()


def words_of(text: str) -> list[str]:
    """Returns the words of a text in lower case; of punctuation only hyphens and apostrophes in a word stay.

    Example:
        >>> words_of("A dog's T-shirt, (2 + 2) – “not bad”!")
        ['a', "dog's", 't-shirt', '2', '+', '2', 'not', 'bad']
    """
    plain = unicodedata.normalize("NFC", text).lower().translate(_BORDERS)
    stripped = (word.strip("'-") for word in plain.split())
    return [word for word in stripped if word]


def vocabulary_of(texts: Iterable[Sequence[str]]) -> Vocabulary:
    """Returns all words of some texts, the most frequent first, then in alphabetical order."""
    counts = Counter(word for words in texts for word in words)
    return Vocabulary.of(sorted(counts, key=lambda word: (-counts[word], word)))


def pinned_vocabulary(pinned: Pinned) -> Vocabulary:
    """Returns the vocabulary of a list of words, or of the path of a JSON list of them.

    The list may begin with the special words, as ``Vocabulary.to_json`` writes them. A ValueError refuses all
    else, such as a word that occurs twice.
    """
    words, name = pinned, f"vocabulary={str(pinned)!r}"
    if isinstance(pinned, str | Path):
        try:
            words = json.loads(Path(pinned).read_bytes().decode("utf-8-sig"))
        except OSError as error:
            raise ValueError(f"{name} cannot be read ({error.strerror}): name a file") from None
        except (ValueError, RecursionError):
            raise ValueError(f"{name} holds no JSON: write a JSON list of words") from None
    try:
        return _vocabulary(words)
    except ValueError as error:
        raise ValueError(f"{name}: {error}" if isinstance(pinned, str | Path) else str(error)) from None


def _vocabulary(words: object) -> Vocabulary:
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"{words!r:.60} is no list of words: give a list of strings")
    return Vocabulary.of_list([composed(word) for word in words])


def pinned_for(field: str, vocabulary: Pinned | Mapping[str, Pinned] | None) -> Vocabulary | None:
    """Returns the pinned vocabulary of a field, or None; a vocabulary without a field is for all of them."""
    if vocabulary is None or (isinstance(vocabulary, Mapping) and field not in vocabulary):
        return None
    return pinned_vocabulary(vocabulary[field] if isinstance(vocabulary, Mapping) else vocabulary)


def token_table(texts: Sequence[Sequence[str]], vocabulary: Vocabulary, length: int, eos: bool) -> Tensor:
    """Returns token ids of texts, (n, length) int64, cut or padded; ``eos`` appends ``<eos>`` if it fits."""
    ids, unk, end = vocabulary.ids, vocabulary.unk, [vocabulary.eos] * eos
    return pad_rows(
        [[ids.get(word, unk) for word in words] + end if words else [] for words in texts], length
    )
