"""The plain CIDEr-D gives the numbers of the public implementation."""

from __future__ import annotations

import random

import pytest

from benchmarks.baselines.plain_cider import PlainCiderD


def _captions(number: int, draw: random.Random) -> list[list[str]]:
    """Random captions of a few words, some empty, some of one word, some that say a word again and again."""
    lengths = [0, 1, 2, 5, 9, 14]
    return [[draw.choice("abcdef") for _ in range(draw.choice(lengths))] for _ in range(number)]


def test_agreement_with_the_public_implementation() -> None:
    cider = pytest.importorskip("pycocoevalcap.cider.cider")
    draw = random.Random(1)
    references = [_captions(draw.randint(1, 5), draw) for _ in range(200)]
    candidates = [draw.choice([*texts, *_captions(2, draw)]) for texts in references]
    plain = PlainCiderD(references)
    ours = [
        plain.score(words, plain.cook(texts)) for words, texts in zip(candidates, references, strict=True)
    ]
    theirs = cider.Cider().compute_score(
        {i: [" ".join(words) for words in texts] for i, texts in enumerate(references)},
        {i: [" ".join(words)] for i, words in enumerate(candidates)},
    )[1]
    assert max(ours) > 5
    assert ours == pytest.approx(theirs.tolist(), abs=1e-9)


def test_a_frozen_document_frequency_knows_no_more_than_its_corpus() -> None:
    plain = PlainCiderD([[["a", "b"]], [["a", "c"]], [["d"]]], n=1)
    references = plain.cook([["a", "z"]])
    # "z" was never seen: it weighs as much as a word of one document.
    same = plain.cook([["a", "b"]])
    assert plain.score(["a", "z"], references) == pytest.approx(plain.score(["a", "b"], same))
    assert plain.score([], references) == 0
