"""Tokenizers between texts and token ids; ids 0, 1, 2 are ``<pad>``, ``<eos>`` and ``<unk>``."""

from mm_envs.tokenizers.huggingface import HuggingFaceTokenizer
from mm_envs.tokenizers.rows import (
    blank,
    close,
    compact,
    ends,
    is_end,
    is_padding,
    is_unknown,
    is_word,
    lengths,
    pad_rows,
    pad_to,
    same_words,
    sizes,
    unknown,
    words_first,
)
from mm_envs.tokenizers.tokenizer import EOS, FIRST_WORD, PAD, SPECIALS, UNK, Tokenizer, Words
from mm_envs.tokenizers.vocabulary import Vocabulary

__all__ = [
    "EOS",
    "FIRST_WORD",
    "PAD",
    "SPECIALS",
    "UNK",
    "HuggingFaceTokenizer",
    "Tokenizer",
    "Vocabulary",
    "Words",
    "blank",
    "close",
    "compact",
    "ends",
    "is_end",
    "is_padding",
    "is_unknown",
    "is_word",
    "lengths",
    "pad_rows",
    "pad_to",
    "same_words",
    "sizes",
    "unknown",
    "words_first",
]  # fmt: skip
