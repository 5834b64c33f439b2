"""Accuracy and token F1 against plain Python that counts words."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from mm_envs.episodes import Episodes
from mm_envs.metrics.accuracy import Accuracy, TokenF1, token_f1
from mm_envs.tasks import make_task
from mm_envs.tokenizers import EOS, PAD

WORDS = 7
N = 400


def sentences(length: int, seed: int) -> torch.Tensor:
    """Random token ids, ``<pad>`` and ``<eos>`` among them."""
    return torch.randint(0, WORDS, (N, length), generator=torch.Generator().manual_seed(seed))


def words_of(row: torch.Tensor) -> list[int]:
    words = row.tolist()
    return [word for word in words[: [*words, EOS].index(EOS)] if word != PAD]


def test_token_f1_is_the_harmonic_mean_of_precision_and_recall() -> None:
    response, reference = sentences(6, 0), sentences(4, 1)
    measured = token_f1(response, reference, WORDS)
    seen = set()
    for row in range(N):
        mine, theirs = Counter(words_of(response[row])), Counter(words_of(reference[row]))
        common = sum((mine & theirs).values())
        seen.add((bool(mine), bool(theirs), bool(common)))
        if not common:
            expected = float(not mine and not theirs)
        else:
            precision, recall = common / sum(mine.values()), common / sum(theirs.values())
            expected = 2 * precision * recall / (precision + recall)
        assert measured[row].item() == pytest.approx(expected, abs=1e-6)
    assert len(seen) == 5  # every case occurred


def test_token_f1_is_symmetric_and_forgets_order() -> None:
    one, two = sentences(5, 2), sentences(5, 3)
    assert torch.equal(token_f1(one, two, WORDS), token_f1(two, one, WORDS))
    words = one.masked_fill(one == EOS, PAD)
    assert (token_f1(words, words.flip(1), WORDS) == 1).all()


def test_token_f1_of_a_row_does_not_depend_on_the_batch() -> None:
    one, two = sentences(5, 4), sentences(5, 5)
    alone = [token_f1(one[i : i + 1], two[i : i + 1], WORDS) for i in range(N)]
    assert torch.equal(torch.cat(alone), token_f1(one, two, WORDS))


def test_accuracy_compares_words_up_to_the_end() -> None:
    task = make_task("vqa", answer="tokens")
    reference = {"answer": torch.arange(len(task.answers))}
    n, right = len(reference["answer"]), task.oracle(reference)
    babbled, longer = right.clone(), right.clone()
    babbled[:, 2] = 5
    longer[:, 1] = right.roll(1, 0)[:, 0]
    feedback = Accuracy(task)
    for response, accuracy, f1 in (
        (right, 1, 1),
        (babbled, 1, 1),
        (longer, 0, 2 / 3),
        (right.roll(1, 0), 0, 0),
    ):
        episodes = Episodes({}, response, torch.ones(n), reference)
        assert feedback.score(episodes).reward.tolist() == [accuracy] * n
        assert TokenF1(task).score(episodes).reward.tolist() == pytest.approx([f1] * n)


def test_accuracy_of_a_choice_is_its_utility() -> None:
    task = make_task("classify", dataset="digits")
    label = torch.arange(10)
    for response in (label, label.roll(1), torch.zeros_like(label)):
        episodes = Episodes({}, response, None, {"label": label})
        utility = task.utility(response, None, {"label": label}).reward
        assert torch.equal(Accuracy(task).score(episodes).reward, utility)


def test_accuracy_of_a_distribution_is_that_of_its_likeliest_class() -> None:
    task = make_task("classify", dataset="digits", answer="distribution")
    logits = task.random(torch.arange(N) * 2**40)
    label = torch.arange(N) % 10
    judgement = Accuracy(task).score(Episodes({}, logits, None, {"label": label}))
    assert torch.equal(judgement.reward, (logits.argmax(1) == label).float())
    assert torch.equal(judgement.parts["accuracy"], judgement.reward)
    assert judgement.judged.all()
    assert 0 < judgement.reward.mean() < 1


def test_token_f1_needs_words() -> None:
    with pytest.raises(ValueError, match="use feedback='accuracy' for a choice"):
        TokenF1(make_task("vqa"))
