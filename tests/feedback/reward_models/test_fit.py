"""Fitting: it learns, it repeats itself, and it stops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from reward_answers import SMALL, answers, asked, labelled

from agents.policy import ResponsePolicy
from feedback.losses import Likelihood
from feedback.preferences import FIRST, SECOND, SKIP, Answers, Labelled, Pairs, Rankings, Ratings
from feedback.reward_models import FitConfig, Fitted, ModelConfig, fit, fitting
from mm_envs.tasks import CONFIGURATIONS

QUICK = FitConfig(model=SMALL, epochs=2, batch=4, held_out=0.2)
WORDS = "MMCaption-v0"


def labelled_pairs(name: str, n: int, start: int = 0) -> Labelled:
    """Pairs of the right answer and a wrong one, in both orders: the right one is always better."""
    task, prompts = asked(name, n + start)
    prompts = prompts.take(torch.arange(start, n + start))
    right = task.oracle(prompts.reference)
    wrong = right.roll(1, 0)
    response = torch.stack([right, wrong], 1)
    table = Answers.of(prompts.context, response)
    first = torch.arange(n) * 2 + torch.arange(n) % 2
    better = right != wrong
    choice = torch.where(torch.arange(n) % 2 == 0, FIRST, SECOND)
    pairs = Pairs(
        torch.zeros(n, dtype=torch.int64), first, first ^ 1, choice, torch.ones(n, dtype=torch.bool)
    )
    pairs = pairs.take(better)
    return Labelled(table, ("one",), (pairs,))


def accuracy(fitted: Fitted, held_out: Labelled) -> float:
    scores = fitted.model.aggregate(fitted.model.predict(held_out.answers))
    pairs = held_out.pairs
    return float(((scores[pairs.first] > scores[pairs.second]) == (pairs.choice == FIRST)).float().mean())


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_id_can_be_fitted(name: str) -> None:
    task, table = labelled(name)
    fitted = fit(table, task, replace(QUICK, members=2))
    assert [len(history) for history in fitted.history] == [2, 2]
    assert bool(torch.isfinite(fitted.model(table.answers)).all())
    assert len(fitted.records) == 64


def test_digits_are_learnt() -> None:
    name = "MMClassify-digits-v0"
    task, _ = asked(name, 1)
    train, test = labelled_pairs(name, 800), labelled_pairs(name, 300, start=800)
    config = FitConfig(
        model=ModelConfig(features=32, width=32), epochs=15, batch=32, learning_rate=3e-3, patience=15
    )
    fitted = fit(train, task, config)
    # Chance is 0.5; right answers to other pictures are all there is to tell apart.
    assert accuracy(fitted, test) > 0.8
    losses = [epoch.loss for epoch in fitted.history[0]]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("freeze", ["nothing", "context", "trunk"])
@pytest.mark.parametrize("name", [WORDS, "MMVQA-sound-v0"])
def test_the_same_arguments_give_the_same_weights(name: str, freeze: str) -> None:
    task, table = labelled(name)
    config = replace(QUICK, members=2, bagging=True, freeze=freeze)
    torch.manual_seed(1)
    first = fit(table, task, config)
    torch.manual_seed(2)
    again = fit(table, task, config)
    other = fit(table, task, replace(config, seed=1))
    states = [list(one.model.state_dict().values()) for one in (first, again, other)]
    assert all(torch.equal(a, b) for a, b in zip(states[0], states[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(states[0], states[2], strict=True))
    assert first.history == again.history


@pytest.mark.parametrize("freeze", ["context", "trunk"])
def test_what_is_frozen_stays_as_the_policy_has_it_and_the_rest_does_not(freeze: str) -> None:
    task, table = labelled(WORDS)
    policy = ResponsePolicy(task, 8, 8, seed=7)
    fitted = fit(table, task, replace(QUICK, members=2, freeze=freeze), initial=policy)
    encoder = policy.context_encoder.state_dict()
    for member in fitted.model.members:
        now = member.context_encoder.state_dict()
        assert all(torch.equal(now[key], encoder[key]) for key in encoder)
        decoder = policy.head.decoder.state_dict()
        same = all(torch.equal(member.reader.decoder.state_dict()[key], decoder[key]) for key in decoder)
        assert same == (freeze == "trunk")
    first, second = (member.head.out.weight for member in fitted.model.members)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("freeze", ["context", "trunk"])
def test_what_is_frozen_may_be_computed_beforehand(freeze: str, monkeypatch: pytest.MonkeyPatch) -> None:
    task, table = labelled(WORDS)
    config = replace(QUICK, freeze=freeze)
    before = fit(table, task, config)
    monkeypatch.setattr(fitting, "_CACHED_BYTES", 0)
    monkeypatch.setattr(fitting, "_prepared", lambda ensemble, labelled: labelled)
    after = fit(table, task, config)
    for a, b in zip(before.model.state_dict().values(), after.model.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


def test_sizes_are_those_of_the_policy() -> None:
    task, table = labelled(WORDS)
    fitted = fit(table, task, FitConfig(epochs=1), initial=ResponsePolicy(task, 8, 16))
    assert (fitted.model.config.features, fitted.model.config.hidden) == (8, 16)


def test_bags_differ_among_members() -> None:
    task, table = labelled("MMClassify-digits-v0", n=40)
    histories = [
        fit(table, task, replace(QUICK, members=2, bagging=bagging)).history for bagging in (False, True)
    ]
    assert histories[0] != histories[1]


def test_it_stops_when_the_held_out_loss_rises_and_keeps_the_best_weights() -> None:
    name = "MMClassify-digits-v0"
    task, table = labelled(name, n=60)  # labels by the coin: there is nothing to learn but by heart
    fitted = fit(table, task, replace(QUICK, epochs=200, patience=2, learning_rate=3e-2))
    history = [epoch.held_out for epoch in fitted.history[0]]
    assert len(history) < 200
    best = min(history)
    assert history.index(best) == len(history) - 3
    model, held_out = fitted.model, fitted.held_out
    again = fitted.likelihoods[0].loss(model.raw(held_out.answers)[0], held_out)
    assert float(again.detach()) == pytest.approx(best, abs=1e-5)


def test_a_validation_set_of_ones_own_is_used_and_nothing_is_taken_from_the_training_set() -> None:
    task, table = labelled(WORDS)
    validation = labelled(WORDS, seed=5)[1]
    fitted = fit(table, task, QUICK, validation=validation)
    assert fitted.held_out is validation


def test_without_held_out_labels_it_runs_all_epochs() -> None:
    task, table = labelled(WORDS)
    fitted = fit(table, task, replace(QUICK, held_out=0.0, epochs=4))
    assert [epoch.held_out for epoch in fitted.history[0]] == [None] * 4
    assert fitted.held_out is None
    assert float(fitted.model.temperature) > 0


def test_parameters_of_the_likelihood_are_learnt_and_the_one_given_is_left_alone() -> None:
    task, table = answers("MMClassify-digits-v0", n=40)
    rating = torch.linspace(0, 1, len(table))
    who = torch.zeros(len(table), dtype=torch.int64)
    mixed = Labelled(table, ("one",), (Ratings(who, torch.arange(len(table)), rating),))
    given = Likelihood(levels=4)
    fitted = fit(mixed, task, QUICK, likelihood=given)
    fresh = Likelihood(levels=4)
    assert torch.equal(given.first_cut, fresh.first_cut)
    assert not torch.equal(fitted.likelihoods[0].first_cut, fresh.first_cut)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"members": 0}, "members=0 is below 1"),
        ({"held_out": 1.0}, "held_out=1.0 leaves nothing"),
        ({"freeze": "all"}, "freeze='all' is not one of"),
        ({"aggregation": "max"}, "aggregation='max' is not one of"),
    ],
)
def test_bad_configurations_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FitConfig(**arguments)


def test_reference_sets_are_fixed() -> None:
    task, table = labelled(WORDS)
    reference = answers(WORDS, 12, 5)[1]
    fitted = fit(table, task, QUICK, reference=reference)
    assert fitted.model.reference_size == len(reference)
    scores = fitted.model.predict(reference)
    torch.testing.assert_close(scores.mean(1), torch.zeros(1), atol=1e-4, rtol=0)


@pytest.mark.parametrize("freeze", ["nothing", "trunk"])
def test_a_kind_of_which_there_are_no_labels_changes_nothing(freeze: str) -> None:
    task, table = labelled(WORDS)
    empty_rows, config = torch.zeros(0, dtype=torch.int64), replace(QUICK, freeze=freeze)
    empty = (Ratings(empty_rows, empty_rows, empty_rows.float()), Rankings(empty_rows, empty_rows.view(0, 3)))
    once = fit(table, task, config).model(table.answers)
    again = fit(replace(table, labels=(*table.labels, *empty)), task, config).model(table.answers)
    assert torch.equal(once, again)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: replace(a, contexts={"picture": a.contexts["image"]}), "contexts lack 'image'"),
        (lambda a: replace(a, contexts={"image": a.contexts["image"][:, :1]}), r"contexts\['image'\] is of"),
        (lambda a: replace(a, response=a.response[:, :4]), "each row of response is of shape"),
        (lambda a: replace(a, response=a.response - 1), "response has the number -1, but answers are num"),
    ],
)
def test_answers_of_other_spaces_are_refused_before_a_fit(change: Callable, message: str) -> None:
    task, table = labelled(WORDS)
    with pytest.raises(ValueError, match=message):
        fit(replace(table, answers=change(table.answers)), task, QUICK)


def test_skips_alone_are_no_labels() -> None:
    task, table = labelled(WORDS)
    skipped = replace(table.pairs, choice=torch.full_like(table.pairs.choice, SKIP))
    with pytest.raises(ValueError, match="no labels, or skips alone"):
        fit(replace(table, labels=(skipped,)), task, QUICK)


def test_labels_to_check_on_that_say_nothing_do_not_stop_the_fit() -> None:
    task, table = labelled(WORDS)
    skipped = replace(table.pairs, choice=torch.full_like(table.pairs.choice, SKIP))
    config = replace(QUICK, epochs=4, patience=1)
    fitted = fit(table, task, config, validation=replace(table, labels=(skipped,)))
    assert [epoch.held_out for epoch in fitted.history[0]] == [None] * 4
    assert fitted.held_out is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 1.5), ("members", 0), ("trunk_learning_rate", -1), ("likelihood_learning_rate", -1)],
)
def test_numbers_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name}={value}"):
        FitConfig(**{name: value})
