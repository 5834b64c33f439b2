"""The joint model: special cases, what it learns from single votes, and what decides its sign."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from feedback.aggregation import Reliability, fit_reliability
from feedback.losses import PairLikelihood, bradley_terry, davidson
from feedback.preferences import SKIP, TIE, Answers, Labelled, Pairs

ANSWERS = 60
SKILL = torch.tensor([0.95, 0.93, 0.9, 0.9, 0.88, 0.85, 0.85, 0.5, 0.5, 0.5, 0.5, 0.2])


def pairs_of(n: int, truth: Tensor, skill: Tensor = SKILL, bias: Tensor | None = None) -> Pairs:
    who, rows = torch.randint(len(skill), (n,)), torch.rand(n, ANSWERS).argsort(1)[:, :2]
    shown = torch.rand(n) < 0.5
    difference = truth[rows[:, 0]] - truth[rows[:, 1]]
    shift = torch.zeros(n) if bias is None else torch.where(shown, bias[who], -bias[who])
    says = torch.rand(n) < skill[who]
    first = torch.rand(n) < (torch.where(says, difference, -difference) + shift).sigmoid()
    return Pairs(who, rows[:, 0], rows[:, 1], (~first).long(), shown)


def labelled(pairs: Pairs, annotators: int = len(SKILL)) -> Labelled:
    answers = Answers({}, torch.arange(ANSWERS), torch.arange(ANSWERS))
    return Labelled(answers, tuple(map(str, range(annotators))), (pairs,))


def fitted(model: PairLikelihood, data: Labelled, steps: int = 250) -> Tensor:
    scores = torch.zeros(ANSWERS, requires_grad=True)
    with torch.no_grad():
        scores += 0.01 * torch.randn(ANSWERS)
    optimizer = torch.optim.Adam([scores, *model.parameters()], 0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        (model.loss(scores, data) + 1e-3 * scores.square().mean()).backward()
        optimizer.step()
    return scores.detach()


def correlation(one: Tensor, other: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([one, other]))[0, 1])


def test_skill_and_scores_are_learnt_from_single_votes_and_adversaries_turned_round() -> None:
    truth = 3 * torch.randn(ANSWERS)
    data = labelled(pairs_of(3000, truth))
    joint = Reliability.of(data)
    scores, plain = fitted(joint, data), fitted(PairLikelihood(), data)
    assert correlation(joint.skill, SKILL) > 0.95
    assert joint.skill[-1] < 0.5
    assert correlation(scores, truth) > correlation(plain, truth)


def test_those_who_are_always_right_make_it_bradley_terry() -> None:
    model, d = Reliability(1, labels=1), torch.randn(20)
    model.logit.data.fill_(40)
    pairs = Pairs(torch.zeros(20).long(), torch.arange(20), torch.arange(20), torch.arange(20) % 3, d > 0)
    torch.testing.assert_close(model(d, pairs), bradley_terry(d, pairs.target))


def test_with_ties_they_make_it_davidson() -> None:
    model, d = Reliability(1, labels=1, ties=True), torch.randn(20)
    model.logit.data.fill_(40)
    pairs = Pairs(torch.zeros(20).long(), torch.arange(20), torch.arange(20), torch.arange(20) % 4, d > 0)
    torch.testing.assert_close(model(d, pairs), davidson(d, pairs.choice, -2.0))


@pytest.mark.parametrize("ties", [False, True])
def test_chances_add_up_to_one_whatever_is_switched_on(ties: bool) -> None:
    model = Reliability(3, labels=9, position=True, modalities=2, ties=ties)
    for one in model.parameters():
        one.data.normal_()
    d, who, shown, seen = torch.randn(30), torch.arange(30) % 3, torch.rand(30) < 0.5, torch.rand(30, 2)
    label_records = [
        model.log_likelihood(d, torch.full((30,), choice), who, shown, seen) for choice in range(2 + ties)
    ]
    torch.testing.assert_close(torch.stack(label_records).exp().sum(0), torch.ones(30))


def test_exchanging_answers_changes_nothing_and_a_skip_says_nothing() -> None:
    model = Reliability(3, labels=9, position=True, ties=True)
    for one in model.parameters():
        one.data.normal_()
    d, who, shown, choice = torch.randn(30), torch.arange(30) % 3, torch.rand(30) < 0.5, torch.arange(30) % 4
    swapped = torch.tensor([1, 0, TIE, SKIP])[choice]
    label_records = model.log_likelihood(d, choice, who, shown)
    torch.testing.assert_close(label_records, model.log_likelihood(-d, swapped, who, ~shown))
    assert (label_records[choice == SKIP] == 0).all()


def test_the_likelihood_has_two_readings_and_the_prior_takes_the_one_with_better_annotators() -> None:
    truth = 3 * torch.randn(ANSWERS)
    data, model = labelled(pairs_of(500, truth)), Reliability(len(SKILL), labels=500)
    model.logit.data.copy_(SKILL.logit())
    as_it_is, prior = model.loss(truth, data) - model.penalty(), model.penalty()
    model.logit.data.neg_()
    torch.testing.assert_close(model.loss(-truth, data) - model.penalty(), as_it_is)
    assert prior < model.penalty()


def test_far_differences_have_finite_gradients() -> None:
    model = Reliability(2, labels=4, position=True, ties=True)
    d = torch.tensor([-1e4, 1e4, -1e4, 1e4], requires_grad=True)
    choice, who = torch.tensor([0, 0, 1, 2]), torch.tensor([0, 1, 0, 1])
    loss = -model.log_likelihood(d, choice, who, choice > 0).sum() + model.penalty()
    loss.backward()
    assert torch.isfinite(loss)
    for one in (d, *model.parameters()):
        assert torch.isfinite(one.grad).all()  # type: ignore[arg-type]


def test_position_bias_is_learnt_apart_from_skill() -> None:
    truth, skill = 3 * torch.randn(ANSWERS), torch.tensor([0.9, 0.9, 0.9, 0.2])
    bias = torch.tensor([0.0, 1.5, -1.5, 0.0])
    data = labelled(pairs_of(6000, truth, skill, bias), 4)
    model = Reliability.of(data, position=True)
    fitted(model, data)
    assert model.bias is not None
    assert correlation(model.bias.detach(), bias) > 0.95
    assert correlation(model.skill, skill) > 0.95


def test_skill_by_modality_is_learnt() -> None:
    """One annotator is deaf, one blind, the third neither; the modality of a pair is a column."""
    n, truth = 9000, torch.tensor([[0.5, 0.9], [0.9, 0.5], [0.9, 0.9]])
    who, heard, d = torch.randint(3, (n,)), torch.randint(2, (n,)), 4 * torch.randn(n)
    right = torch.rand(n) < truth[who, heard]
    first = torch.rand(n) < torch.where(right, d, -d).sigmoid()
    model, seen = Reliability(3, labels=n, modalities=2), torch.nn.functional.one_hot(heard, 2).float()
    rows = torch.zeros(n).long()
    pairs = Pairs(who, rows, rows, (~first).long(), first, seen)
    optimizer = torch.optim.Adam(model.parameters(), 0.1)
    for _ in range(150):
        optimizer.zero_grad()
        (model.penalty() + model(d, pairs).mean()).backward()
        optimizer.step()
    torch.testing.assert_close(model.skill_by_modality, truth, atol=0.06, rtol=0)
    with pytest.raises(ValueError, match="modalities=0"):
        _ = Reliability(3, labels=n).skill_by_modality


def test_the_modality_of_a_pair_goes_with_it_through_a_fit() -> None:
    """One annotator guesses what is heard, the other what is seen; neither is info, nor what is true."""
    n, truth = 6000, 3 * torch.randn(ANSWERS)
    plain, heard = pairs_of(n, truth, torch.tensor([0.5, 0.5])), torch.randint(2, (n,))
    right = torch.rand(n) < torch.where(plain.annotator == heard, 0.95, 0.5)
    better = (truth[plain.first] > truth[plain.second]) == right
    seen = torch.nn.functional.one_hot(heard, 2).float()
    pairs = replace(plain, choice=(~better).long(), modalities=seen)
    assert torch.equal(pairs.take(torch.arange(5, 9)).modalities, seen[5:9])
    data = labelled(pairs, annotators=2)
    model = Reliability.of(data, modalities=2)
    assert correlation(fitted(model, data), truth) > 0.9
    found = model.skill_by_modality
    assert bool((found.diagonal() > 0.85).all())
    assert bool((found.flip(1).diagonal() < 0.65).all())


def test_expectation_maximisation_is_still_where_the_gradient_is_zero() -> None:
    truth = 2 * torch.randn(ANSWERS)
    pairs = pairs_of(2000, truth)
    difference = truth[pairs.first] - truth[pairs.second]
    model = fit_reliability(difference, pairs, len(SKILL), steps=200)
    loss = model(difference, pairs).mean() + model.penalty()
    loss.backward()
    assert model.logit.grad is not None
    assert model.logit.grad.abs().max() < 1e-5
    assert correlation(model.skill, SKILL) > 0.95


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"wrong=1\.0: right has to exceed wrong"):
        Reliability(3, labels=5, right=1.0)
    with pytest.raises(ValueError, match="annotators=0 is below 1"):
        Reliability(0, labels=5)
