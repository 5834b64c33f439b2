"""Teachers and queries: the ensemble of heads, what is read of answers, and what the bars are made of."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from bench_options import QuickOptions

from agents.policy import ResponsePolicy
from benchmarks.teachers import QUICK, answer_cells, bench, caption_cells, teacher_cells
from benchmarks.teachers.heads import Heads, Recipe, fit_heads
from benchmarks.teachers.report import FLIPS, Findings, bars, report
from benchmarks.teachers.runs import Cell, Regime, Run, exactly_one_right
from benchmarks.teachers.trunk import Trunk, of_choices, of_words
from feedback.active_learning import Plan, draw_pairs
from feedback.annotators import TEACHERS
from feedback.preferences import FIRST, SECOND, TIE, Answers, Labelled, Pairs
from feedback.responses import Edits, PairAccuracy, RightAndWrong
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


def test_members_learn_what_labels_say_and_stop_when_they_agree_enough() -> None:
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


def test_what_is_read_of_captions_is_what_the_policy_thinks_of_their_words() -> None:
    task = make_task("caption")
    pairs = draw_pairs(task, Edits(task), 8, "test")
    policy = ResponsePolicy(task, features=16, hidden=16)
    encoded, episodes = policy.encode(pairs.prompts.context), pairs.episodes(0)
    read = of_words(policy, encoded, episodes).detach()
    said, log_p, below, p = read.view(len(read), 4, len(task.answer.vocabulary)).unbind(1)
    there = policy.head.there(episodes.response, episodes.response_length)
    assert torch.equal(said.sum(1), there.sum(1).float())
    known = policy.log_prob(encoded, episodes.response, episodes.response_length).detach()
    torch.testing.assert_close(log_p.sum(1), known)
    assert bool(((p >= 0) & (p <= said)).all())
    assert bool(((below <= 0) & (below >= log_p)).all())


def test_terms_of_choices_sum_to_their_logits() -> None:
    task = make_task("vqa")
    pairs = draw_pairs(task, RightAndWrong(task), 8, "test")
    policy = ResponsePolicy(task, features=16)
    assert policy.head is not None
    encoded, episodes = policy.encode(pairs.prompts.context), pairs.episodes(0)
    logits = policy.head.logits(policy.context(encoded)).gather(1, episodes.response[:, None])[:, 0]
    terms = of_choices(policy, encoded, episodes).sum(1) + policy.head.out.bias[episodes.response]
    torch.testing.assert_close(terms, logits, atol=1e-5, rtol=1e-5)


def test_one_of_two_answers_is_right_or_it_is_noticed() -> None:
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
    cells = [Cell(name, query, "oracle") for name, query in kinds]
    one, again, other = regime.runs(cells, 5)
    assert (one.accuracy, one.curve) == (again.accuracy, again.curve)
    assert one.curve[0] == other.curve[0]
    assert one.accuracy.n == other.accuracy.n
    assert len(one.curve) == 2


def findings(gap: float, gain: float, single: float, noise: float = 0.001) -> Findings:
    """Runs as if the mistake teacher were ``gap`` below and both queries ``gain`` above."""
    draws = np.random.default_rng(0)
    runs = []
    for cell in caption_cells():
        for seed in range(8):
            value = 0.8 - gap * (cell.name == "mistake") + gain * (cell.query in ("disagreement", "entropy"))
            value += float(draws.normal(scale=noise))
            accuracy = PairAccuracy(value, value - 0.01, value + 0.01, 0.05, 1000, "made up")
            runs.append(Run(cell, seed, accuracy, (0.7, value), value - single, 0.05, 0.0))
    return Findings(runs)


def test_bars_say_what_was_found() -> None:
    assert [bar.met for bar in bars(findings(0.06, 0.02, 0.01))] == [True] * 4
    assert [bar.met for bar in bars(findings(0.04, 0.02, 0.01))] == [False, True, True, True]
    assert [bar.met for bar in bars(findings(0.06, -0.02, 0.01))] == [True, False, False, True]
    assert not bars(findings(0.06, 0.02, -0.01))[3].met
    found = bars(findings(0.06, 0.02, 0.01, noise=0.0))
    assert found[0].found.startswith("+6.0 points")


def test_the_report_is_missed_if_a_pair_has_no_right_answer() -> None:
    good = findings(0.06, 0.02, 0.01)
    assert report(good, [], good, True).met
    missed = report(good, [], good, False)
    assert not missed.met
    json.dumps(missed.to_dict())


def test_the_cells_are_all_teachers_with_all_queries_of_the_bars() -> None:
    assert {cell.annotator for cell in teacher_cells()} == set(TEACHERS)
    assert len(teacher_cells()) == 18
    flips = [cell for cell in caption_cells() if cell.name == FLIPS]
    assert [(one.members, dict(one.traits)) for one in flips] == [(5, {"mistakes": 0.25})]
    assert {cell.annotator for cell in answer_cells()} == {"oracle", "mistake"}


@pytest.mark.slow
def test_it_runs() -> None:
    found = bench(QuickOptions(), lambda said: None)
    assert len(found.tables()) == 7
    assert QUICK.seeds == 2
    assert found.values["bars"][-1]["met"]


def test_what_a_trunk_reads_is_centred_and_has_no_pictures_left() -> None:
    task = make_task("vqa")
    pairs = draw_pairs(task, RightAndWrong(task), 8, "test")
    read = Trunk.of(ResponsePolicy(task, features=16), pairs).read(pairs)
    assert dict(read.prompts.context) == {}
    assert read.read is not None
    values = read.read.flatten(0, 1)
    torch.testing.assert_close(values.mean(0), torch.zeros(16), atol=1e-4, rtol=0)
