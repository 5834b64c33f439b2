"""Tokenizers: texts and token ids. Ids 0, 1, 2 are ``<pad>``, ``<eos>`` and ``<unk>`` in all of them."""

from mm_envs.tokenizers.vocabulary import EOS, PAD, SPECIALS, UNK, Vocabulary, Words

__all__ = ["EOS", "PAD", "SPECIALS", "UNK", "Vocabulary", "Words"]
