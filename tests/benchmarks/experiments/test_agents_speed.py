"""Speed of training: what stock PPO imitates, when clocks stop, and the tables."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from agents.examples import Examples
from benchmarks.baselines.plain_env import PlainCaptionEnv, plain_items
from benchmarks.experiment import Cell, Context, Finding
from benchmarks.experiments.agents_speed import (
    OURS,
    STOCK,
    _Clocked,
    _stock,
    _word_by_word,
    clone,
    profile,
    tables,
)
from benchmarks.report import Measurement

NOWHERE = Measurement("2026-01-01", "abc", {})
SMALL = {"pixels": 48, "items": 64}


def test_words_are_imitated_where_the_environment_shows_the_beginning() -> None:
    items = plain_items(**SMALL)
    drawn = Examples(items.task, 8).batch(0, 3)
    observations, words = _word_by_word(items.task, drawn.context, drawn.response[:, 0])
    env, row = PlainCaptionEnv(items), 0
    for answer in drawn.response[:, 0]:
        shown, _ = env.reset(seed=0)
        for word in answer:
            for key in ("tokens", "tokens_length"):
                assert observations[key][row].tolist() == shown[key].tolist()
            assert words[row] == word
            shown, _, ended, _, _ = env.step(int(word))
            row += 1
            if ended:
                break
    assert row == len(words)


def test_stock_ppo_imitates() -> None:
    items = plain_items(**SMALL)
    model = _stock(partial(PlainCaptionEnv, items), seed=0, rollout=64)
    drawn = Examples(items.task, 16).batch(0, 16)
    observations, words = _word_by_word(items.task, drawn.context, drawn.response[:, 0])

    def likelihood() -> float:
        with torch.no_grad():
            return float(model.policy.evaluate_actions(observations, words)[1].mean())

    before = likelihood()
    clone(model, items.task, 1024, seed=0)
    assert likelihood() > before + 0.3


def test_a_clock_counts_training_alone_and_stops_at_the_score() -> None:
    scores = iter((0.1, 0.5, 0.9))
    clocked = _Clocked(score=0.5, probe=0.01, most=60.0)
    clocked.run(lambda: sum(range(200_000)), lambda: next(scores))
    assert clocked.reached == 0.5
    late = _Clocked(score=0.5, probe=1.0, most=0.02)
    late.run(lambda: sum(range(200_000)), lambda: 1.0)
    assert late.reached < 0 < 0.02 <= late.seconds


def test_shares_of_a_profile_are_those_of_the_whole() -> None:
    found = profile(Context(), seed=0, demonstration_steps=32, updates=2, items=64)
    assert sum(found.values()) == pytest.approx(1.0)
    assert min(found.values()) >= 0


def test_tables_name_quotients_and_what_did_not_arrive() -> None:
    speeds = {name: 100.0 * (i + 1) for i, name in enumerate((*STOCK, *OURS))}
    result = {
        "sides": [{"name": name, "speeds": [speed, speed]} for name, speed in speeds.items()],
        "words": dict.fromkeys(OURS, 11.0),
    }
    given = {"task": "digits", "score": 0.8}
    late, early = ({"seconds": 50.0, "score": score} for score in (0.3, 0.9))
    ours = {"seconds": 5.0, "score": 0.9}
    times = [
        Finding(Cell("f:time_to", given, seed), {"ours": ours, "stock": stock}, NOWHERE)
        for seed, stock in enumerate((late, early))
    ]
    shares = Finding(Cell("f:profile", {}, 0), {"encoder": 0.4, "the rest": 0.6}, NOWHERE)
    speed, to, profiled = tables(
        {"speeds": [Finding(Cell("f:speeds", {}, 0), result, NOWHERE)], "time_to": times, "profile": [shares]}
    )
    last = speed.rows[-1]
    assert last[:3] == (list(OURS)[-1], "600", "6.0 [6.0, 6.0]")
    assert last[-1] == "11.0"
    assert [row[-1] for row in to.rows] == ["above 10.0", "10.0"]
    assert profiled.rows == [("encoder", "40%"), ("the rest", "60%")]
