"""The table of tokenizers, and tokenizers as JSON values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mm_envs.names import check_one_of, one_of, resolve
from mm_envs.tokenizers.tokenizer import Tokenizer
from mm_envs.tokenizers.vocabulary import Vocabulary

# Kinds of tokenizers in saved spaces.
TOKENIZERS: dict[str, str] = {
    "vocabulary": "mm_envs.tokenizers.vocabulary:Vocabulary",
    "huggingface": "mm_envs.tokenizers.huggingface:HuggingFaceTokenizer",
}


def to_plain(tokenizer: Tokenizer) -> Any:
    """A tokenizer as a JSON value: of a ``Vocabulary`` its words, else its kind and content."""
    if tokenizer.kind not in TOKENIZERS:
        raise ValueError(f"{one_of('kind', tokenizer.kind, TOKENIZERS)}: add the tokenizer to the table")
    content = json.loads(tokenizer.to_json())
    # The form of the first saved spaces, which must still load.
    return content if tokenizer.kind == Vocabulary.kind else {"kind": tokenizer.kind, "content": content}


def from_plain(value: object) -> Tokenizer:
    """The tokenizer of a JSON value that ``to_plain`` made; the value may be untrusted.

    Raises:
        ValueError: The value is no tokenizer.

    Example:
        >>> from_plain(to_plain(Vocabulary.of(["red"]))) == Vocabulary.of(["red"])
        True
    """
    if isinstance(value, list | tuple):
        if not all(isinstance(word, str) for word in value):
            raise ValueError(f"vocabulary={value!r:.60} is no list of words: give a list of strings")
        return Vocabulary(tuple(value))
    kind = value.get("kind") if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping) or "content" not in value:
        raise ValueError(
            f"vocabulary={value!r:.60} is no tokenizer: give a list of words, or kind and content"
        )
    # Only names of the table: a string of the form module:attribute would run code.
    check_one_of("kind", kind, tuple(TOKENIZERS))
    tokenizer: Tokenizer = resolve("kind", str(kind), TOKENIZERS).from_json(json.dumps(value["content"]))
    return tokenizer
