"""How the captions of people are split into words: one recipe for each measurement that is repeated."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

_CLITIC = re.compile(r"(n't|'(?:s|re|ve|ll|d|m))\b")
_MARKS = ".,!?;:\"()[]`-'"
_SIMPLE = re.compile(r"[a-z0-9']+")
_CIDER = re.compile(r"""\w+[^./ ; )(,"'t \-!:?]*""", re.ASCII)


def simple_words(text: str) -> list[str]:
    """Runs of letters, digits and apostrophes, in lower case.

    Example:
        >>> simple_words("A black-and-white dog's toy.")
        ['a', 'black', 'and', 'white', "dog's", 'toy']
    """
    return _SIMPLE.findall(text.lower())


def treebank_words(text: str) -> list[str]:
    """Close to what the tokenizer of the Penn Treebank leaves when punctuation is dropped, in lower case.

    Example:
        >>> treebank_words("A black-and-white dog isn't the boy's .")
        ['a', 'black-and-white', 'dog', 'is', "n't", 'the', 'boy', "'s"]
    """
    words = _CLITIC.sub(r" \1", text.lower()).split()
    # A clitic keeps its leading apostrophe.
    return [word for word in (_bare(word) for word in words) if word]


def _bare(word: str) -> str:
    return word if _CLITIC.fullmatch(word) else word.strip(_MARKS)


@lru_cache(maxsize=1)
def cider_words() -> Callable[[str], list[str]]:
    """The words that CIDEr v0.1 counts, as its authors' program splits and stems them.

    Returns:
        A function of a text. Its stems are those of nltk's PorterStemmer with Martin Porter's extensions.

    Raises:
        ModuleNotFoundError: nltk is not installed.
    """
    from benchmarks.experiments.captions.oracles import optional

    porter = optional("nltk.stem.porter").PorterStemmer
    stem = lru_cache(maxsize=None)(porter(mode=porter.MARTIN_EXTENSIONS).stem)
    return lambda text: [stem(word) for word in _CIDER.findall(text.lower())]
