"""Pools: who is asked, what is displayed first, what it all amounts to, and how pools are described."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from answered import pairs, utility
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feedback.annotators import AnnotatorPool, PoolComparison, SimulatedAnnotator, make_annotator, make_pool
from feedback.preferences import FIRST, SECOND
from mm_envs.tasks import make_task

SPEC = "7 good, 4 coin, 1 adversary"
TASK = make_task("caption", items=64)


def test_who_is_asked_is_drawn_fairly_and_no_one_twice() -> None:
    n = 6000
    task, first, second = pairs(n)
    pool = make_pool(SPEC, task, votes=3)
    result = pool.compare(first, second)
    assert (
        result.annotator.shape
        == result.choice.shape
        == result.shown_first.shape
        == result.latency.shape
        == (n, 3)
    )
    assert (result.annotator.sort(1).values.diff(dim=1) > 0).all()
    counts = torch.bincount(result.annotator.flatten(), minlength=12).double()
    # Each is asked with probability 1/4; five standard errors for twelve of them.
    assert ((counts - n / 4).abs() < 5 * math.sqrt(n * 3 / 16)).all()
    assert abs(result.shown_first.double().mean() - 0.5) < 4 * 0.5 / math.sqrt(3 * n)
    every = make_pool(SPEC, task, votes=12).compare(first, second).annotator
    assert torch.equal(every.sort(1).values, torch.arange(12).expand(n, -1))


def rows_of(result: PoolComparison, rows: torch.Tensor) -> dict[str, torch.Tensor]:
    return {name: value[rows] for name, value in vars(result).items() if name != "label"}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_what_a_pool_says_depends_on_no_other_row() -> None:
    task, first, second = pairs(100)
    pool = make_pool("3 good, 2 hasty, 2 verbose, 1 noisy, 1 myopic", task, votes=4)
    together = pool.compare(first, second)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(3))
    shuffled = pool.compare(first.take(order), second.take(order))
    assert same(rows_of(together, order), rows_of(shuffled, torch.arange(100)))
    for row in (0, 50, 99):
        here = torch.tensor([row])
        alone = pool.compare(first.take(here), second.take(here))
        assert same(rows_of(together, here), rows_of(alone, torch.tensor([0])))


def test_swapped_pairs_get_the_mirror_image() -> None:
    task, first, second = pairs(1000)
    different = torch.where((first.response != second.response).any(1))[0]
    first, second = first.take(different), second.take(different)
    pool = make_pool("2 good, 3 hasty, 1 equal", task, votes=3)
    there, back = pool.compare(first, second), pool.compare(second, first)
    assert torch.equal(there.annotator, back.annotator)
    assert torch.equal(there.shown_first, ~back.shown_first)
    assert torch.equal(there.choice, torch.tensor([1, 0, 2, 3])[back.choice])
    assert torch.equal(there.latency, back.latency)


def test_position_bias_acts_on_what_is_displayed_first() -> None:
    task, first, second = pairs(6000, times=(2, 2))
    pool = AnnotatorPool([make_annotator("coin", task, position=2.0)])
    result = pool.compare(first, second)
    displayed = (result.choice == FIRST) == result.shown_first
    expected = 1 / (1 + math.exp(-2.0))
    assert abs(displayed.double().mean() - expected) < 4 * math.sqrt(expected * (1 - expected) / 6000)
    assert abs((result.choice == FIRST).double().mean() - 0.5) < 4 * 0.5 / math.sqrt(6000)


def test_labels_are_counted_in_order_and_make_tired() -> None:
    task, first, second = pairs(300)
    pool = make_pool("5 coin", task, votes=2)
    start = torch.tensor([0, 10, 20, 30, 40])
    result = pool.compare(first, second, start)
    counts = start.tolist()
    for row in range(300):
        for vote in range(2):
            who = int(result.annotator[row, vote])
            assert result.label[row, vote] == counts[who]
            counts[who] += 1
    halves = [torch.arange(150), torch.arange(150, 300)]
    one = pool.compare(first.take(halves[0]), second.take(halves[0]), start)
    then = start + torch.bincount(one.annotator.flatten(), minlength=len(pool))
    other = pool.compare(first.take(halves[1]), second.take(halves[1]), then)
    assert torch.equal(torch.cat([one.label, other.label]), result.label)
    tired = AnnotatorPool([make_annotator("oracle", task, fatigue=10.0)])
    late = tired.compare(first, second, torch.tensor([1000])).choice[:, 0]
    early = tired.compare(first, second).choice[:2, 0]
    better = utility(task, first) - utility(task, second)
    clear = better.abs() > 1e-6
    right = ((late == FIRST) == (better > 0))[clear].double()
    assert abs(right.mean() - 0.5) < 4 * 0.5 / math.sqrt(len(right))
    assert ((early == FIRST) == (better[:2] > 0))[clear[:2]].all()
    with pytest.raises(ValueError, match="start has shape"):
        pool.compare(first, second, torch.zeros(3))


def test_skill_is_how_often_a_member_is_right() -> None:
    task, first, second = pairs(3000)
    pool = make_pool(SPEC + ", 1 hasty, 1 verbose, 1 myopic", task, votes=15)
    result = pool.compare(first, second)
    skill = pool.skill(task, first, second)
    better = utility(task, first) - utility(task, second)
    clear = better != 0
    for member in range(len(pool)):
        choice = result.choice[result.annotator == member]
        counted = clear & (choice <= SECOND)
        right = ((choice == FIRST) == (better > 0))[counted].double().mean()
        spread = math.sqrt(float(skill[member] * (1 - skill[member])) / int(counted.sum()))
        # The display of a myopic or verbose person is no matter, that of a hasty one is drawn.
        assert abs(right - skill[member]) < 5 * spread + 1e-6, pool.names[member]
    assert (skill[:7].diff() < 0).all()
    assert 0.7 < skill[6] < skill[0] < 0.96
    assert skill[7:11].tolist() == [0.5] * 4
    assert 0.15 < skill[11] < 0.3


# Descriptions -----------------------------------------------------------------------------------------------


def test_pools_in_a_few_words() -> None:
    pool = make_pool(SPEC, TASK, votes=2, seed=4)
    assert pool.names[0] == "good-0"
    assert pool.names[6:8] == ("good-6", "coin-0")
    assert pool.names[-1] == "adversary"
    assert (len(pool), pool.votes, pool.seed) == (12, 2, 4)
    seeds = {member.seed for member in pool.members if isinstance(member, SimulatedAnnotator)}
    assert len(seeds) == 12
    assert make_pool("1 good", TASK).names == ("good",)
    assert make_pool("2 good, 1 coin, 1 good", TASK).names == ("good-0-0", "good-0-1", "coin", "good-2")


def test_pools_from_a_file(tmp_path: Path) -> None:
    spec = {
        "votes": 2,
        "seed": 9,
        "members": [
            {"kind": "oracle", "name": "anna", "rationality": 3, "fatigue": "infinity"},
            {
                "kind": "good",
                "count": 3,
                "mistakes": 0.2,
                "biases": [{"kind": "blind", "modalities": ["image"]}],
            },
        ],
    }
    path = tmp_path / "pool.json"
    path.write_text(json.dumps(spec))
    pool = make_pool(path, TASK)
    assert pool.names == ("anna", "good-0", "good-1", "good-2")
    assert (pool.votes, pool.seed) == (2, 9)
    assert make_pool(str(path), TASK, votes=1).votes == 1
    assert all(one.decision.mistakes == 0.2 for one in pool.members[1:])  # type: ignore[attr-defined]
    assert make_pool(spec, TASK).names == pool.names


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("", "'' is no number with a kind"),
        ("seven good", "'seven good' is no number with a kind"),
        ("7 god", "member 0: annotator='god' is not one of oracle"),
        ("0 good", "the pool is empty"),
        ({"member": []}, "did you mean members"),
        ({}, "members=None is no list of objects"),
        ({"members": ["good"]}, "is no list of objects"),
        ({"members": [{"kind": 3}]}, "member 0: kind=3 is no name"),
        ({"members": [{"kind": "good", "mistakes": "many"}]}, "member 0: mistakes='many' is no number"),
        ({"members": [{"kind": "good", "mistakes": True}]}, "mistakes=True is no number"),
        ({"members": [{"kind": "good", "mistakes": 2}]}, "mistakes=2.0 is not within 0 to 1"),
        ({"members": [{"kind": "good", "count": 1.5}]}, "count=1.5 is no whole number"),
        ({"members": [{"kind": "good", "count": 10**9}]}, "is not within 0 to 10000"),
        ({"members": [{"kind": "good", "biases": [3]}]}, "biases=.* is no list of objects"),
        ({"members": [{"kind": "good", "biases": [{"kind": "x"}]}]}, "bias kind='x' is not one of"),
        ({"members": [{"kind": "good", "task": 1}]}, "has no argument 'task'"),
        ({"members": [{"kind": "good", "name": ""}]}, "name='' is no text"),
        ({"members": [{"kind": "good", "name": "a"}, {"kind": "coin", "name": "a"}]}, "are called 'a'"),
        ({"members": [{"kind": "good"}], "votes": 2}, "votes=2 is not within 1 to 1"),
        ({"members": [{"kind": "good"}], "votes": "2"}, "votes='2' is no whole number"),
    ],
)
def test_descriptions_that_are_wrong_are_refused(spec: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make_pool(spec, TASK)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{", r"pool\.json, line 1: is no JSON"),
        (b'{"members":\n [}', r"pool\.json, line 2: is no JSON"),
        (b"\xff\xfe", r"pool\.json': is no JSON text"),
        (b"[]", r"pool\.json: is no object"),
        (b"[" * 100_000, r"pool\.json': is no JSON text"),
        (b'{"members": [{"kind": "god"}]}', r"pool\.json: member 0: annotator='god'"),
        (b'{"members": [{"kind": "good", "mistakes": NaN}]}', r"pool\.json: member 0: mistakes=nan"),
    ],
)
def test_files_that_are_wrong_are_refused_by_name(content: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "pool.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        make_pool(path, TASK)
    with pytest.raises(ValueError, match="cannot be read"):
        make_pool(str(tmp_path / "nowhere.json"), TASK)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_KEYS = st.sampled_from(["kind", "count", "name", "mistakes", "rationality", "biases", "seed", "levels", "x"])
_LENSES = st.lists(
    st.dictionaries(
        st.sampled_from(["kind", "modalities", "gamma", "strength", "word"]),
        st.sampled_from(["blind", "myopic", "length", "favourite", "image", "red", ["image"], 0.5]) | _VALUES,
    ),
    max_size=2,
)
_MEMBERS = st.dictionaries(
    _KEYS, st.sampled_from(["good", "coin", 1, 0.5, [{"kind": "length"}]]) | _VALUES | _LENSES
)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(_VALUES | st.fixed_dictionaries({"members": st.lists(_MEMBERS, max_size=3)}))
def test_any_description_is_a_pool_or_a_sentence(spec: Any) -> None:
    try:
        pool = make_pool(spec, TASK)
    except ValueError as error:
        result = str(error)
    else:
        result = ", ".join(map(repr, pool.names))
    assert result
    assert "\n" not in result


def test_members_of_a_pool_have_noise_of_their_own() -> None:
    task, first, second = pairs(2000, times=(2, 2))
    spec = {"members": [{"kind": "coin", "count": 3, "seed": 5}], "votes": 3}
    choice = make_pool(spec, task).compare(first, second).choice
    unanimous = (choice == choice[:, :1]).all(1).double().mean()
    assert abs(unanimous - 0.25) < 4 * math.sqrt(0.25 * 0.75 / 2000)
    alike = [make_annotator("coin", task, name=name, seed=5) for name in ("ann", "bob")]
    with pytest.raises(ValueError, match="2 annotators have seed 5, and so the same noise: give each one"):
        AnnotatorPool(alike)
