"""Majority and Dawid-Skene: closed cases, the case of the reference, properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from feedback.aggregation import DawidSkene, Votes, majority


def crowd(seed: int, items: int = 600, votes: int = 5) -> tuple[Votes, torch.Tensor, torch.Tensor]:
    """7 good annotators, 4 near coins, 1 adversary; two classes; the truth, and how often each is right."""
    r = np.random.default_rng(seed)
    truth = r.integers(2, size=items)
    skill = np.r_[r.uniform(0.75, 0.95, 7), r.uniform(0.5, 0.6, 4), 0.2]
    who = r.random((items, 12)).argsort(1)[:, :votes]
    right = r.random(who.shape) < skill[who]
    label = np.where(right, truth[:, None], 1 - truth[:, None])
    item = np.repeat(np.arange(items), votes)
    table = Votes(*map(torch.tensor, (item, who.ravel(), label.ravel())), items, 12, 2)
    return table, torch.tensor(truth), torch.tensor(skill)


def test_dawid_skene_beats_majority_as_in_the_reference() -> None:
    """Y7: at least 5 points above majority, and skill correlates 0.95 or more; means of 10 crowds."""
    gains, correlations = [], []
    for seed in range(10):
        votes, truth, skill = crowd(seed)
        model = DawidSkene().fit(votes)
        right = (model.predict(votes) == truth).double().mean()
        gains.append(float(right) - majority(votes).accuracy(truth))
        correlations.append(float(torch.corrcoef(torch.stack([model.skill, skill]))[0, 1]))
    assert np.mean(gains) > 0.05
    assert np.mean(correlations) > 0.95


def test_the_likelihood_never_falls() -> None:
    votes, _, _ = crowd(1)
    values = []
    for steps in range(1, 12):
        model = DawidSkene(smoothing=1e-6, steps=steps, tolerance=0).fit(votes)
        labels = model.confusion.log()[votes.annotator, :, votes.label]
        each = model.prior.log().repeat(votes.items, 1).index_add(0, votes.item, labels)
        values.append(float(each.logsumexp(1).sum()))
    assert (np.diff(values) > -1e-6).all()


def test_the_order_of_votes_does_not_matter() -> None:
    votes, _, _ = crowd(2, items=100)
    order = torch.randperm(len(votes))
    mixed = Votes(votes.item[order], votes.annotator[order], votes.label[order], 100, 12, 2)
    one, other = DawidSkene().fit(votes), DawidSkene().fit(mixed)
    torch.testing.assert_close(one.confusion, other.confusion)
    assert torch.equal(majority(votes).share, majority(mixed).share)


def test_names_of_classes_do_not_matter() -> None:
    votes, _, _ = crowd(3, items=100)
    turned = Votes(votes.item, votes.annotator, 1 - votes.label, 100, 12, 2)
    one, other = DawidSkene().fit(votes), DawidSkene().fit(turned)
    torch.testing.assert_close(one.predict_proba(votes), other.predict_proba(turned).flip(1))
    torch.testing.assert_close(one.skill, other.skill)


def test_thousands_of_votes_do_not_underflow() -> None:
    item, who = torch.zeros(3000).long(), torch.arange(3000)
    label = (torch.rand(3000) < 0.4).long()
    votes = Votes(item, who, label, 1, 3000, 2)
    chance = DawidSkene().fit(votes).predict_proba(votes)
    assert torch.isfinite(chance).all()
    assert chance[0, 0] > 0.99


def test_items_without_votes_get_the_prior() -> None:
    votes, _, _ = crowd(4, items=100)
    more = Votes(votes.item, votes.annotator, votes.label, 101, 12, 2)
    model = DawidSkene().fit(more)
    torch.testing.assert_close(model.predict_proba(more)[100], model.prior)
    torch.testing.assert_close(model.prior, DawidSkene().fit(votes).prior)
    assert majority(more).label[100] == -1
    assert not majority(more).tied[100]


def test_a_tie_counts_as_the_chance_of_a_fair_draw() -> None:
    votes = Votes(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1]), torch.tensor([0, 1, 1, 1]), 2, 2, 3)
    found = majority(votes)
    assert found.tied.tolist() == [True, False]
    assert found.accuracy(torch.tensor([1, 1])) == 0.75
    assert found.accuracy(torch.tensor([2, 1])) == 0.5


def test_what_does_not_fit_is_refused() -> None:
    one = torch.zeros(1).long()
    with pytest.raises(ValueError, match="label goes from 3 to 3: it counts from 0 to 1"):
        Votes(one, one, one + 3, 1, 1, 2)
    with pytest.raises(ValueError, match="annotator has shape"):
        Votes(one, torch.zeros(2).long(), one, 1, 1, 2)
    with pytest.raises(ValueError, match="there are no votes"):
        DawidSkene().fit(Votes(one[:0], one[:0], one[:0], 1, 1, 2))
    with pytest.raises(ValueError, match="smoothing=0 is not above 0"):
        DawidSkene(smoothing=0)
