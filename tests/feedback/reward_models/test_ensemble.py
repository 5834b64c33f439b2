"""Ensembles: normalised before they are aggregated, and shared parts run once."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reward_answers import SMALL, answers

from feedback.reward_models import Ensemble, RewardModel, aggregate
from mm_envs.tasks import CONFIGURATIONS


def ensemble(name: str, members: int = 3, shared: str = "nothing", **arguments: float) -> Ensemble:
    task, _ = answers(name)
    return Ensemble(
        [RewardModel(task, SMALL, seed=i) for i in range(members)], shared=shared, **arguments
    ).eval()


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_members_have_mean_0_and_deviation_1_on_the_reference_set(name: str) -> None:
    _, table = answers(name)
    model = ensemble(name)
    model.normalise_on(table)
    scores = model.predict(table)
    torch.testing.assert_close(scores.mean(1), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(scores.std(1, correction=0), torch.ones(3), atol=1e-4, rtol=0)
    assert model.reference_size == len(table)
    once = model.predict(table)
    model.normalise_on(table)
    assert torch.equal(model.predict(table), once)


@pytest.mark.parametrize("shared", ["nothing", "context", "trunk"])
def test_a_member_scores_as_it_does_alone(shared: str) -> None:
    _, table = answers("MMCaption-v0")
    model = ensemble("MMCaption-v0", shared=shared)
    alone = torch.stack([member(table) for member in model.members])
    torch.testing.assert_close(model.raw(table), alone)
    assert len({tuple(row.tolist()) for row in alone}) == 3


@pytest.mark.parametrize("shared", ["context", "trunk"])
def test_what_is_shared_runs_once(shared: str) -> None:
    _, table = answers("MMCaption-v0")
    model, runs = ensemble("MMCaption-v0", shared=shared), []
    model.members[0].context_encoder.register_forward_hook(lambda *_: runs.append("context"))
    for reader in {member.reader for member in model.members}:
        reader.register_forward_hook(lambda *_: runs.append("reader"))
    model(table)
    assert runs.count("context") == 1
    assert runs.count("reader") == (1 if shared == "trunk" else 3)


@pytest.mark.parametrize("chunk", [1, 5, 36])
def test_chunks_change_nothing(chunk: int) -> None:
    _, table = answers("MMVQA-sound-v0")
    table = table.take(torch.randperm(len(table), generator=torch.Generator().manual_seed(0)))
    model = ensemble("MMVQA-sound-v0")
    torch.testing.assert_close(
        model.predict(table, chunk), model.scores(table).detach(), atol=1e-5, rtol=1e-4
    )


def test_features_are_those_of_which_scores_are_a_linear_function() -> None:
    _, table = answers("MMCaption-v0")
    model = ensemble("MMCaption-v0")
    parts = model.features(table).split(SMALL.width, 1)
    raw = torch.stack([m.head.out(part)[:, 0] for m, part in zip(model.members, parts, strict=True)])
    torch.testing.assert_close(raw, model.raw(table))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.floats(-5, 5), min_size=4, max_size=4), min_size=1, max_size=6), st.floats(0, 2))
def test_aggregations_are_what_their_names_say(rows: list[list[float]], penalty: float) -> None:
    scores = torch.tensor(rows)
    mean, least, uwo = (aggregate(scores, how, penalty) for how in ("mean", "min", "uwo"))
    for column in range(4):
        values = [row[column] for row in scores.tolist()]
        average = sum(values) / len(values)
        variance = sum((value - average) ** 2 for value in values) / len(values)
        assert mean[column].item() == pytest.approx(average, abs=1e-4)
        assert least[column].item() == min(values)
        assert uwo[column].item() == pytest.approx(average - penalty * variance, abs=1e-3)


def test_what_is_no_ensemble_is_refused() -> None:
    with pytest.raises(ValueError, match="is empty"):
        Ensemble([])
    with pytest.raises(ValueError, match="aggregation='median' is not one of mean, min, uwo"):
        ensemble("MMVQA-v0", aggregation="median")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="shared='all' is not one of"):
        ensemble("MMVQA-v0", shared="all")


def test_a_member_that_says_the_same_of_everything_is_only_shifted() -> None:
    _, table = answers("MMCaption-v0")
    model = ensemble("MMCaption-v0")
    torch.nn.init.zeros_(model.members[0].head.out.weight)
    model.normalise_on(table)
    assert float(model.deviation[0]) == 1
    torch.testing.assert_close(model.predict(table)[0], torch.zeros(len(table)))
    with pytest.raises(ValueError, match=r"len\(reference\)=0 is below 1"):
        model.normalise_on(table.take(torch.arange(0)))
