"""The vocabulary never renumbers and never guesses."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from mm_envs.tokenizers import EOS, PAD, UNK, Vocabulary


def test_words_come_back() -> None:
    words = Vocabulary.of(["red", "green", "blue"])
    ids = words.encode("blue red", length=6, eos=True)
    assert ids.tolist() == [5, 3, EOS, PAD, PAD, PAD]
    assert words.decode(ids) == "blue red"
    assert words.decode(torch.tensor([5, EOS, 3])) == "blue"
    assert words.encode("blue red green", length=2).tolist() == [5, 3]
    assert words.encode(["pink"]).tolist() == [UNK]


def test_it_is_a_value() -> None:
    one, other = Vocabulary.of(["a", "b"]), Vocabulary.of(["b", "a"])
    assert one == Vocabulary.from_json(one.to_json())
    assert one.digest == Vocabulary.of(["a", "b"]).digest
    assert one != other
    assert one.digest != other.digest
    assert "a" in one
    assert "c" not in one
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.words = ()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Vocabulary(("a",)), "words must begin with"),
        (lambda: Vocabulary.of(["a", "a"]), "'a' is given twice"),
        (lambda: Vocabulary.of(["a b"]), "holds white space"),
        (lambda: Vocabulary.of([""]), "is empty"),
        (lambda: Vocabulary.of(["<eos>"]), "'<eos>' is given twice"),
    ],
)
def test_bad_words_are_refused(make: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()
