"""Teachers and queries: the ensemble of heads, features of answers, and comparisons."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.policy import ResponsePolicy
from benchmarks.experiment import Context
from benchmarks.experiments.teachers import (
    EXPERIMENT,
    FLIPS,
    QUERIES,
    Runs,
    answer_arms,
    caption_arms,
    compared,
    teacher_arms,
)
from benchmarks.experiments.teachers.heads import Heads, Recipe, fit_heads
from benchmarks.experiments.teachers.runs import Arm, Regime, exactly_one_right
from benchmarks.experiments.teachers.trunk import Trunk, of_choices, of_words
from feedback.active_learning import Plan, draw_pairs
from feedback.annotators import TEACHERS
from feedback.preferences import FIRST, SECOND, TIE, Answers, Labelled, Pairs
from feedback.responses import Edits, RightAndWrong
from mm_envs.tasks import make_task


def labels(n: int = 120, size: int = 6, ties: int = 0, seed: int = 0) -> Labelled:
    """Pairs whose better answer has the larger sum; the first ones are called ties."""
    read = torch.randn(2 * n, size, generator=torch.Generator().manual_seed(seed))
    first, second = torch.arange(0, 2 * n, 2), torch.arange(1, 2 * n, 2)
    choice = torch.where(read[first].sum(1) > read[second].sum(1), FIRST, SECOND)
    choice[:ties] = TIE
    zeros = torch.zeros(n, dtype=torch.int64)
    answers = Answers({"nothing": torch.zeros(2 * n)}, torch.arange(2 * n), read)
    return Labelled(answers, ("teacher",), (Pairs(zeros, first, second, choice, zeros == 0),))


def test_members_fit_the_labels_and_stop_when_they_agree() -> None:
    learnt = labels()
    heads = fit_heads(learnt, 0)
    new = labels(500, seed=1)
    scores = heads.predict(new.answers)
    assert scores.shape == (3, 1000)
    right = (scores[:, ::2] > scores[:, 1::2]) == (new.pairs.choice == FIRST)
    assert float(right.double().mean()) > 0.85
    once = fit_heads(learnt, 0, Recipe(enough=0.0)).predict(new.answers)
    assert torch.equal(once, fit_heads(learnt, 0, Recipe(epochs=1)).predict(new.answers))
    assert not torch.equal(once, scores)


def test_members_are_normalised_and_start_apart() -> None:
    learnt = labels()
    scores = fit_heads(learnt, 0).predict(learnt.answers)
    torch.testing.assert_close(scores.mean(1), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(scores.std(1), torch.ones(3))
    assert not torch.equal(scores[0], scores[1])


def test_a_fit_is_a_function_of_labels_and_seed() -> None:
    learnt = labels(ties=20)
    first, again, other = (fit_heads(learnt, seed).predict(learnt.answers) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_members_in_one_product_are_networks_of_their_own() -> None:
    heads, read = Heads(6, Recipe(), 0), torch.randn(5, 6)
    for member in range(3):
        values = read
        for layer in range(3):
            values = values @ heads.weights[layer][member] + heads.biases[layer][member]
            values = torch.nn.functional.leaky_relu(values) if layer < 2 else values
        torch.testing.assert_close(heads.raw(read)[member], values[:, 0])


def test_ties_alone_and_no_labels_can_be_fitted() -> None:
    learnt = labels(10, ties=10)
    assert bool(fit_heads(learnt, 0).predict(learnt.answers).isfinite().all())
    nothing = replace(learnt, labels=(learnt.pairs.take(torch.zeros(10, dtype=torch.bool)),))
    assert bool(fit_heads(nothing, 0).predict(learnt.answers).isfinite().all())


def test_features_of_captions_sum_log_probabilities() -> None:
    task = make_task("caption")
    pairs = draw_pairs(task, Edits(task), 8, "test")
    policy = ResponsePolicy(task, features=16, hidden=16)
    encoded, episodes = policy.encode(pairs.prompts.context), pairs.episodes(0)
    read = of_words(policy, encoded, episodes).detach()
    counts, log_p, below, p = read.view(len(read), 4, len(task.answer.vocabulary)).unbind(1)
    there = policy.head.there(episodes.response, episodes.response_length)
    assert torch.equal(counts.sum(1), there.sum(1).float())
    known = policy.log_prob(encoded, episodes.response, episodes.response_length).detach()
    torch.testing.assert_close(log_p.sum(1), known)
    assert bool(((p >= 0) & (p <= counts)).all())
    assert bool(((below <= 0) & (below >= log_p)).all())


def test_terms_of_choices_sum_to_their_logits() -> None:
    task = make_task("vqa")
    pairs = draw_pairs(task, RightAndWrong(task), 8, "test")
    policy = ResponsePolicy(task, features=16)
    assert policy.head is not None
    encoded, episodes = policy.encode(pairs.prompts.context), pairs.episodes(0)
    logits = policy.head.logits(encoded).gather(1, episodes.response[:, None])[:, 0]
    terms = of_choices(policy, encoded, episodes).sum(1) + policy.head.out.bias[episodes.response]
    torch.testing.assert_close(terms, logits, atol=1e-5, rtol=1e-5)


def test_one_of_two_answers_is_right() -> None:
    task = make_task("vqa")
    pairs = draw_pairs(task, RightAndWrong(task), 50, "test")
    assert exactly_one_right(task, pairs)
    both_wrong = replace(pairs, response=(pairs.prompts.reference["answer"][:, None] + 1).expand(-1, 2))
    assert not exactly_one_right(task, both_wrong)


def test_all_cells_of_a_seed_share_candidates_and_held_out_pairs() -> None:
    task = make_task("caption")
    sampler, policy = Edits(task), ResponsePolicy(task, features=16, hidden=16)
    trunk = Trunk.of(policy, draw_pairs(task, sampler, 30))
    regime = Regime(task, sampler, trunk, Plan(12, 2, pool=2), 30, Recipe(epochs=2))
    kinds = ("oracle", "uniform"), ("again", "uniform"), ("oracle", "entropy")
    arms = [Arm(name, query, "oracle") for name, query in kinds]
    one, again, other = regime.runs(arms, 5)
    assert {**one, "teacher": "again"} == again
    assert one["curve"][0] == other["curve"][0]
    assert one["n"] == other["n"]
    assert len(one["curve"]) == 2


def runs(gap: float, gain: float, single: float) -> Runs:
    """Runs as if the mistake teacher were ``gap`` below and both queries ``gain`` above."""
    draws, seeds = np.random.default_rng(0), []
    for _ in range(8):
        found = []
        for arm in caption_arms():
            value = 0.8 - gap * (arm.name == "mistake") + gain * (arm.query in QUERIES[1:])
            value += float(draws.normal(scale=0.001))
            numbers = {"accuracy": value, "single": value - single}
            found.append({"teacher": arm.name, "query": arm.query, **numbers})
        seeds.append(found)
    return Runs(seeds)


def test_differences_are_compared_seed_by_seed() -> None:
    rows = compared(runs(0.06, 0.02, 0.01)).rows
    assert [row[2:] for row in rows] == [
        ("8", "oracle, uniform"),
        ("8", "uniform"),
        ("8", "uniform"),
        ("8", "its single members"),
    ]
    assert [float(row[1].split()[0]) for row in rows] == pytest.approx([-6, 2, 2, 1], abs=0.1)


def test_the_cells_are_all_teachers_with_the_compared_queries() -> None:
    assert {arm.annotator for arm in teacher_arms()} == set(TEACHERS)
    assert len(teacher_arms()) == 18
    flips = [arm for arm in caption_arms() if arm.name == FLIPS]
    assert [(one.members, dict(one.traits)) for one in flips] == [(5, {"mistakes": 0.25})]
    assert {arm.annotator for arm in answer_arms()} == {"oracle", "mistake"}


@pytest.mark.slow
def test_it_runs(tmp_path: Path) -> None:
    report = EXPERIMENT.report(EXPERIMENT.run(tmp_path, Context(), quick=True), "")
    assert len(report.tables) == 7
    for table in report.tables:
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_features_are_centred_and_has_no_pictures_left() -> None:
    task = make_task("vqa")
    pairs = draw_pairs(task, RightAndWrong(task), 8, "test")
    read = Trunk.of(ResponsePolicy(task, features=16), pairs).encode(pairs)
    assert dict(read.prompts.context) == {}
    assert read.read is not None
    values = read.read.flatten(0, 1)
    torch.testing.assert_close(values.mean(0), torch.zeros(16), atol=1e-4, rtol=0)
