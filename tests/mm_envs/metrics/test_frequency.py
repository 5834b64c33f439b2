"""The document frequency: counted by hand, and what cannot be counted."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from sentences import numbered, sentences

from mm_envs.metrics.cider import Cider, CiderD, cider_d
from mm_envs.metrics.frequency import WEIGHT_BITS, DocumentFrequency
from mm_envs.metrics.ngrams import ngram_keys
from mm_envs.tokenizers import FIRST_WORD

ANSWERS, REFERENCES = sentences(21, 120, words=9)


def counted(references: list[list[str]]) -> Counter[str]:
    """The number of documents with each n-gram, in plain Python."""
    found: Counter[str] = Counter()
    for several in references:
        seen = set()
        for text in several:
            words = text.split()
            seen |= {" ".join(words[i : i + n]) for n in range(1, 5) for i in range(len(words) - n + 1)}
        found.update(seen)
    return found


def test_every_ngram_is_counted_once_a_document() -> None:
    frequency, expected = DocumentFrequency.of(REFERENCES), counted(REFERENCES)
    assert frequency.words is not None
    numbers = {word: i for i, word in enumerate(frequency.words, FIRST_WORD)}
    assert len(frequency.keys) == len(expected)
    assert frequency.documents == len(REFERENCES)
    for ngram in [*list(expected)[:400], "w0 unheard", "unheard"]:
        words = ngram.split()
        ids = [numbers.get(word, len(numbers) + FIRST_WORD) for word in words]
        key = ngram_keys(torch.tensor([*ids, 0]))[len(words) - 1, 0]
        assert frequency.counts[frequency.keys == key].sum() == expected[ngram], ngram


def test_batches_of_tokens_give_what_the_whole_gives() -> None:
    _, tokens = numbered(ANSWERS, REFERENCES)
    whole, batches = DocumentFrequency.of(tokens), DocumentFrequency.of(tokens.split(17))
    assert whole.digest == batches.digest
    assert whole.digest != DocumentFrequency.of(tokens[1:]).digest
    # Words are numbered in another order there.
    of_strings = DocumentFrequency.of(REFERENCES)
    assert torch.equal(whole.counts.sort().values, of_strings.counts.sort().values)


def test_weights_are_squares_of_logarithms() -> None:
    tokens = torch.tensor([[[3, 4, 5, 0]], [[3, 4, 6, 0]], [[3, 7, 0, 0]]])
    frequency = DocumentFrequency.of(tokens)
    keys = ngram_keys(torch.tensor([3, 4, 6, 9, 0]))
    for unknown in (False, True):
        weights = frequency.weights(keys, unknown).double() / 2**WEIGHT_BITS
        other = torch.tensor(3.0).log() ** 2 if unknown else 0.0
        once = torch.tensor(3.0).log() ** 2
        expected = torch.tensor(
            [
                [0.0, torch.tensor(1.5).log() ** 2, once, other, 0],
                [torch.tensor(1.5).log() ** 2, once, other, 0, 0],
                [once, other, 0, 0, 0],
                [other, 0, 0, 0, 0],
            ]
        )
        assert torch.allclose(weights.float(), expected, atol=1e-6)


def test_one_document_or_none_says_nothing() -> None:
    one = DocumentFrequency.of([["a red dog"]])
    assert cider_d(["a red dog"], [["a red dog"]], one).item() == 0
    nothing = DocumentFrequency.of([])
    assert cider_d(["a red dog"], [["a red dog"]], nothing).item() == 0


def test_kinds_that_do_not_fit_are_refused_in_one_sentence() -> None:
    response, known = numbered(ANSWERS, REFERENCES)
    of_tokens, of_strings = DocumentFrequency.of(known), DocumentFrequency.of(REFERENCES)
    with pytest.raises(ValueError, match="build it from strings"):
        cider_d(ANSWERS, REFERENCES, of_tokens)
    with pytest.raises(ValueError, match="give both as one kind"):
        Cider(known, of_strings).score(ANSWERS)
    with pytest.raises(ValueError, match="is one string: give a list of references"):
        cider_d(["a dog"], ["a dog"], of_strings)  # type: ignore[list-item]
    with pytest.raises(ValueError, match="3 answers for 120 items: give items="):
        CiderD(known, of_tokens).score(response[:3])
    with pytest.raises(ValueError, match="token id 65536 is not below 65536: build frequency with exact"):
        cider_d(torch.full_like(response, 2**16), known, of_tokens)
    assert not cider_d(
        torch.full_like(response, 2**16), known, DocumentFrequency.of(known, exact=False)
    ).any()
    with pytest.raises(ValueError, match="tokenizer='words' is not one of whitespace, 13a, alphanumeric"):
        DocumentFrequency.of(REFERENCES, "words")
