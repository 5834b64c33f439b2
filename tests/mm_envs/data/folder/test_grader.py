from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_envs.data.folder.grader import FactGrader, ReferenceGrader
from mm_envs.metrics.cider import cider_d
from mm_envs.metrics.frequency import DocumentFrequency
from mm_envs.tokenizers import EOS, PAD, UNK, Vocabulary

WORDS = Vocabulary.of(list("abcde"))
QUICK = settings(max_examples=100, deadline=None)
FACT = st.lists(st.sampled_from("abcdex"), min_size=1, max_size=3).map(tuple)
CAPTION = st.lists(st.integers(0, 7), min_size=6, max_size=6)


def plainly(caption: Any, true: Any, facts: Any) -> Any:
    """Facts right and facts invented, one caption at a time."""
    words = []
    for token in caption:
        if token == EOS:
            break
        if token != PAD:
            words.append(WORDS.words[token] if token != UNK else "?")
    found = [
        (fact, at) for fact in facts for at in range(len(words) - len(fact) + 1)
        if tuple(words[at : at + len(fact)]) == fact
    ]  # fmt: skip
    covered = {size: set() for size in range(1, 5)}
    for fact, at in found:
        for size in range(1, len(fact)):
            covered[size] |= set(range(at, at + len(fact)))
    right = {fact for fact, _ in found if fact in true}
    invented = {
        fact for fact, at in found
        if fact not in true and not set(range(at, at + len(fact))) <= covered[len(fact)]
    }  # fmt: skip
    return len(right), len(invented)


@QUICK
@given(
    st.lists(FACT, min_size=1, max_size=6, unique=True), st.lists(CAPTION, min_size=1, max_size=5), st.data()
)
def test_facts_are_counted_as_plain_python_does(facts: Any, captions: Any, data: Any) -> None:
    facts = sorted(facts)
    true = [data.draw(st.sets(st.sampled_from(facts), min_size=1)) for _ in captions]
    known = torch.tensor([[fact in row for fact in facts] for row in true])
    judgement = FactGrader(facts, WORDS).score(torch.tensor(captions), None, known)
    for i, caption in enumerate(captions):
        right, invented = plainly(caption, true[i], facts)
        expected = torch.tensor(max(0, right - invented), dtype=torch.float32) / len(true[i])
        assert judgement.reward[i] == expected
        parts = judgement.parts["right"][i] + judgement.parts["invented"][i]
        assert parts.item() == pytest.approx((right - invented) / len(true[i]), abs=1e-6)


def random_captions(n: int, several: Any, length: Any, words: Any, seed: Any = 0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    captions = torch.randint(2, words, (n, several, length), generator=generator)
    sizes = torch.randint(1, length + 1, (n, several, 1), generator=generator)
    position = torch.arange(length)
    captions = captions.masked_fill(position == sizes, EOS).masked_fill(position > sizes, PAD)
    captions[::3, -1] = PAD  # not all items have as many references
    return captions


def graders() -> Any:
    captions = random_captions(150, 3, 7, 12)
    facts = [(word,) for word in "abc"] + [("a", "b"), ("c", "d")]
    known = torch.rand((150, 5), generator=torch.Generator().manual_seed(1)) < 0.5
    return [
        (ReferenceGrader(captions, 100, 12), torch.arange(150), captions),
        (FactGrader(facts, WORDS), known, captions.clamp(max=7)),
    ]


@pytest.mark.parametrize("number", [0, 1])
def test_no_row_depends_on_the_others(number: int) -> None:
    grader, known, captions = graders()[number]
    answers = captions[:, 0].roll(1, 1).masked_fill(captions[:, 0] == EOS, 5)
    whole = grader.score(answers, None, known)
    fresh = graders()[number][0]
    for rows in (torch.tensor([149]), torch.tensor([3, 70, 3]), torch.arange(99, 20, -1)):
        some = fresh.score(answers[rows], None, known[rows])
        assert torch.equal(some.reward, whole.reward[rows])
        assert all(torch.equal(some.parts[name], whole.parts[name][rows]) for name in grader.parts)


@pytest.mark.parametrize("number", [0, 1])
def test_the_best_reference_is_the_best(number: int) -> None:
    grader, known, captions = graders()[number]
    best = captions[torch.arange(150), grader.best(known, captions)]
    top = grader.score(best, None, known).reward
    for i in range(captions.shape[1]):
        there = (captions[:, i] > EOS).any(1)
        assert bool((grader.score(captions[:, i], None, known).reward <= top)[there].all())
    if number == 0:
        sayable = ((captions > UNK) | (captions <= EOS)).all(2).all(1)
        assert bool((top[sayable] == 1).all())
        assert bool(((top == 1) | (top == 0)).all())


def test_utility_is_cider_d_over_that_of_the_best() -> None:
    captions = random_captions(60, 3, 7, 12).masked_fill_(torch.tensor(False), 0)
    captions = captions.masked_fill(captions == UNK, 3)
    grader, items = ReferenceGrader(captions, 40, 12), torch.arange(60)
    frequency = DocumentFrequency.of(captions[:40])
    frequency = DocumentFrequency(frequency.keys, frequency.counts, 41)
    answers = captions[:, 0].roll(1, 0)
    score = lambda tokens: cider_d(tokens, captions, frequency)  # noqa: E731
    several = torch.stack([score(captions[:, i]) for i in range(3)]).amax(0)
    expected = (score(answers) / several).clamp(max=1).float()
    torch.testing.assert_close(grader.score(answers, None, items).reward, expected)


def test_unknown_words_match_nothing() -> None:
    captions = torch.tensor([[[UNK, 3, UNK, 1]], [[3, 4, 5, 1]]])
    grader, first = ReferenceGrader(captions, 2, 8), torch.tensor([0])
    only_unknown = grader.score(torch.tensor([[UNK, UNK, 1]]), None, first).reward
    assert only_unknown == 0 < grader.score(torch.tensor([[3, 1, 0]]), None, first).reward
    grader = FactGrader([("strange",), ("a",)], WORDS)
    judgement = grader.score(torch.tensor([[UNK, 3, 1]]), None, torch.tensor([[True, True]]))
    assert judgement.reward == 0.5


def test_words_in_every_caption_still_weigh_something() -> None:
    captions = torch.tensor([[[3, 4, 1]]]).expand(5, 1, 3)
    grader = ReferenceGrader(captions, 5, 8)
    assert grader.score(captions[:, 0], None, torch.arange(5)).reward.tolist() == [1.0] * 5
    assert grader.score(torch.tensor([[5, 6, 1]]), None, torch.tensor([0])).reward == 0


def test_words_behind_the_length_do_not_count() -> None:
    grader = ReferenceGrader(torch.tensor([[[3, 4, 1, 0]]]), 1, 8)
    answer, item = torch.tensor([[3, 4, 5, 6]]), torch.tensor([0])
    assert grader.score(answer, torch.tensor([2]), item).reward == 1
    assert grader.score(answer, torch.tensor([4]), item).reward < 1
