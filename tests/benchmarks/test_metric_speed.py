"""The speed benchmark of metrics: sides that do the same, and ratios that are those of its turns."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bench_options import QuickOptions
from shared_data import shared

from benchmarks import metric_speed
from benchmarks.baselines.plain_cider_env import cached_scorer, plain_references, public_scorer, spoken
from benchmarks.baselines.plain_env import PlainItems, plain_items
from benchmarks.metric_sides import bleu_contest, cider_contest
from benchmarks.metric_speed import Ratio
from benchmarks.metric_stepping import verify
from benchmarks.statistics import Interval
from mm_envs.tokenizers import EOS, PAD

ITEMS = 128
CANDIDATES = ["a dog runs .", "two cats", "a man", "a red ball, on grass"]
REFERENCES = [
    ["a dog runs fast .", "the dog"],
    ["two cats sit", "cats"],
    ["a man runs", "men"],
    ["a ball", "grass"],
]


@pytest.fixture(scope="module")
def items() -> PlainItems:
    return plain_items(items=ITEMS)


@pytest.mark.parametrize("seen", [None, 1])
def test_plain_environments_give_our_rewards(items: PlainItems, seen: int | None) -> None:
    arguments = {"items": ITEMS, "feedback": "cider_d", "feedback_arguments": {"references": seen}}
    most = verify(items, cached_scorer(plain_references(items), seen), arguments, rows=16)
    # Whole captions were among them, not only words at random.
    assert most > 0.5


def test_other_rewards_are_refused(items: PlainItems) -> None:
    arguments = {"items": ITEMS, "feedback": "cider_d", "feedback_arguments": {"references": None}}
    with pytest.raises(RuntimeError, match="of plain Python"):
        verify(items, cached_scorer(plain_references(items), 1), arguments, rows=16)


@pytest.mark.parametrize("seen", [None, 1, 2])
def test_both_plain_scorers_agree(items: PlainItems, seen: int | None) -> None:
    pytest.importorskip("pycocoevalcap")
    references = plain_references(items)
    mine = cached_scorer(references, seen)
    theirs = public_scorer(references, items.task.answer.vocabulary.words, seen)
    for item in range(0, ITEMS, 8):
        for caption in (references[item][1], references[item - 1][0], [3, 3, 2], []):
            assert mine(caption, item) == pytest.approx(theirs(caption, item), abs=1e-9)


def test_spoken_words() -> None:
    assert spoken([5, PAD, 6, EOS, 7]) == [5, 6]
    assert spoken([5, 6]) == [5, 6]


def test_the_sides_of_a_contest_are_compared_before_they_run(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sacrebleu")
    contest = bleu_contest(CANDIDATES, REFERENCES, bar=10)
    assert contest.name == "sentence BLEU, 2 references"
    assert [side.rows for side in contest.sides] == [4] * 4
    monkeypatch.setattr("benchmarks.metric_oracles.sacrebleu_sentences", lambda *_: [50.0] * 4)
    with pytest.raises(RuntimeError, match="do not do the same"):
        bleu_contest(CANDIDATES, REFERENCES, bar=10)


def test_all_sides_of_cider_agree() -> None:
    pytest.importorskip("pycocoevalcap")
    contest = cider_contest(CANDIDATES, REFERENCES)
    assert [(duel.bar, contest.sides[duel.other].name) for duel in contest.duels if duel.bar] == [
        (30, "pycocoevalcap"),
        (5, "plain Python, references kept"),
    ]


def test_a_ratio_without_a_bar_is_never_missed() -> None:
    one: dict[str, Any] = {"contest": "x", "ours": "a", "other": "b", "goal": None}
    assert Ratio(ratio=Interval(0.1, 0.1, 0.1), bar=None, **one).met
    assert Ratio(ratio=Interval(5.0, 4.0, 6.0), bar=5, **one).met
    assert not Ratio(ratio=Interval(4.9, 4.0, 6.0), bar=5, **one).met


@pytest.mark.slow
def test_the_benchmark_runs() -> None:
    shared("flickr8k_human_judgements")
    report = metric_speed.bench(QuickOptions(), lambda _: None)
    assert len(report.values["ratios"]) == 2 + 2 + 3 + 2 + 2
    assert report.met == all(one["met"] for one in report.values["ratios"])
    json.dumps(report.to_dict(), allow_nan=False)
