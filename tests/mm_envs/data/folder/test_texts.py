import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mm_envs.data.folder.texts import pinned_for, pinned_vocabulary, token_table, vocabulary_of, words_of
from mm_envs.tokenizers import Vocabulary


@given(st.text())
def test_words_of_anything_fit_into_a_vocabulary(text: str) -> None:
    words = words_of(text)
    vocabulary = vocabulary_of([words])
    assert vocabulary.decode(vocabulary.encode(words)).split() == words
    assert words_of(" ".join(words)) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Two dogs -- one's BIG!", ["two", "dogs", "one's", "big"]),
        ("don\u2019t", ["don't"]),
        ("3+4=7", ["3", "+", "4", "=", "7"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("日本", ["日", "本"]),
        ("Cafe\u0301 Stra\u00dfe", ["café", "straße"]),
        ("<pad> <eos>", ["<", "pad", ">", "<", "eos", ">"]),
        ("?!", []),
    ],
)
def test_words(text: str, words: Any) -> None:
    assert words_of(text) == words


def test_pinned_vocabularies(tmp_path: Path) -> None:
    words = Vocabulary.of(["b", "a"])
    path = tmp_path / "words.json"
    path.write_text(words.to_json())
    assert pinned_vocabulary(path) == pinned_vocabulary(["b", "a"]) == pinned_vocabulary(words.words) == words
    assert pinned_for("text", {"caption": ["a"]}) is None
    assert pinned_for("caption", {"caption": ["a"]}) == pinned_for("text", ["a"]) == Vocabulary.of(["a"])
    for content in ("{", json.dumps({"a": 1}), json.dumps(["a", 3]), json.dumps("ab")):
        path.write_text(content)
        with pytest.raises(ValueError, match=r"words\.json"):
            pinned_vocabulary(path)


def test_a_table_of_tokens_is_the_encoding_of_each_row() -> None:
    vocabulary = Vocabulary.of(["a", "b"])
    texts = [["a", "c", "b"], [], ["b"] * 9]
    for eos in (False, True):
        rows = [vocabulary.encode(text, 4, eos=eos and bool(text)) for text in texts]
        assert torch.equal(token_table(texts, vocabulary, 4, eos), torch.stack(rows))
