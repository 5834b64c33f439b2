from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedback.preferences import (
    CHOICES,
    Approval,
    Correction,
    Critique,
    Demonstration,
    Item,
    Pairwise,
    Ranking,
    Rating,
    Record,
    from_json,
    query_id,
    to_json,
)

ITEM = "sha256:" + "0f" * 32
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.floats(0, 1e9)


def pair(**changed: Any) -> Pairwise:
    labels = {"query": "q", "item": ITEM, "annotator": "ann", "answers": ("a b", "c"), "choice": "first"}
    return Pairwise(**{**labels, **changed})


@st.composite
def records(draw: Any) -> Record:
    kind = draw(st.sampled_from([Pairwise, Ranking, Rating, Approval, Correction, Demonstration, Critique]))
    least, most = kind.counts
    answers = tuple(draw(st.lists(TEXTS, min_size=least, max_size=most or 5)))
    shared: dict[str, Any] = {
        "query": draw(TEXTS.filter(bool)),
        "item": ITEM,
        "annotator": draw(TEXTS.filter(bool)),
        "answers": answers,
        "displayed": draw(st.just(()) | st.permutations(range(len(answers))).map(tuple)),
        "sampler": draw(TEXTS),
        "latency": draw(st.none() | NUMBERS),
        "time": draw(NUMBERS),
        "reward_model": draw(TEXTS),
    }
    low = draw(st.floats(-1e6, 1e6))
    labels: dict[type[Record], dict[str, Any]] = {
        Pairwise: {"choice": draw(st.sampled_from(CHOICES))},
        Ranking: {"order": tuple(draw(st.permutations(range(len(answers)))))},
        Rating: {"low": low, "high": low + 3.0, "rating": draw(st.floats(low, low + 3.0))},
        Approval: {"approved": draw(st.booleans())},
        Correction: {"corrected": draw(TEXTS)},
        Demonstration: {"demonstration": draw(TEXTS)},
        Critique: {"start": 1, "stop": 3, "verdict": "bad", "comment": draw(TEXTS)},
    }
    if kind is Critique:
        shared["answers"], shared["displayed"] = ("one two three four",), ()
    return kind(**shared, **labels[kind])


@given(records())
@settings(max_examples=80)
def test_every_record_comes_back_from_json(record: Record) -> None:
    written = json.dumps(to_json(record))
    assert from_json(json.loads(written)) == record
    assert from_json(json.loads(written)).id == record.id


def test_the_name_of_a_record_is_kind_question_and_annotator() -> None:
    one = pair()
    assert one.id == replace(one, choice="tie", time=5.0, sampler="x").id
    others = {one.id}
    others |= {pair(query="q2").id, pair(annotator="bob").id}
    shared = {"query": "q", "item": ITEM, "annotator": "ann", "answers": ("a b",)}
    others |= {Approval(**shared, approved=True).id, Rating(**shared, rating=1.0).id}
    parts = ((0, 1), (0, 2), (1, 2))
    others |= {Critique(**shared, start=i, stop=j, verdict="bad").id for i, j in parts}
    assert len(others) == 8


def test_names_are_the_same_on_every_machine_and_in_every_version() -> None:
    # Stores and files hold these digests: they never change.
    assert query_id(ITEM, ("a b", "c"), "edits") == "d2b433af0bdaf08782b872be9357d31c"
    assert pair().id == "677fd0bcc4cdcaada8e4e45850c37fc6"


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_no_two_questions_share_a_name_because_of_where_texts_end(a: str, b: str, c: str, d: str) -> None:
    assert (query_id(ITEM, (a, b), "") == query_id(ITEM, (c, d), "")) == ((a, b) == (c, d))


def test_who_clicks_twice_says_the_same() -> None:
    one = pair(time=1.0, latency=2.0)
    assert one.covers(replace(one, time=3.0, latency=None))
    assert not one.covers(replace(one, choice="second"))
    assert not one.covers(replace(one, displayed=(1, 0)))


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"choice": "left"}, "pairwise record: choice='left' is not one of first, second, tie, skip"),
    ({"choice": 1}, "choice=1 is not one of"),
    ({"answers": ("a",)}, "answers has 1 texts: give 2"),
    ({"answers": ["a", "b"]}, "answers is a list: give a tuple"),
    ({"answers": ("a", 3)}, "answers=3 is no text"),
    ({"answers": ("a", "b\0")}, "holds a character that is no text"),
    ({"answers": ("a", "\ud800")}, "holds a character that is no text"),
    ({"answers": ("a", "b" * 70_000)}, "answers has 70,000 characters"),
    ({"displayed": (0, 0)}, "displayed=(0, 0) does not name each of the places 0 to 1 once"),
    ({"displayed": (True, False)}, "displayed=(True, False) does not name"),
    ({"item": "cat.png"}, "item='cat.png' is neither a ticket"),
    ({"item": "sha256:12"}, "item='sha256:12' is neither a ticket"),
    ({"query": ""}, "query is empty"),
    ({"annotator": ""}, "annotator is empty"),
    ({"latency": -1.0}, "latency=-1.0 is below 0"),
    ({"latency": float("inf")}, "latency=inf is no finite number"),
    ({"time": "now"}, "time='now' is no finite number"),
    ({"time": True}, "time=True is no finite number"),
    ({"time": 10**400}, "time=1000"),
]


@pytest.mark.parametrize(("changed", "sentence"), WRONG)
def test_a_pair_that_is_none_is_refused(changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as refused:
        pair(**changed)
    assert sentence in str(refused.value)
    assert str(refused.value).startswith("pairwise record: ")


def test_a_demonstration_needs_nothing_to_choose_from() -> None:
    info = {"query": "q", "item": ITEM, "annotator": "ann"}
    assert Demonstration(**info, demonstration="a") == Demonstration(**info, answers=(), demonstration="a")
    with pytest.raises(TypeError, match="answers"):
        Approval(**info, approved=True)  # type: ignore[call-arg]


def test_other_kinds_are_checked_too() -> None:
    shared = {"query": "q", "item": ITEM, "annotator": "ann", "answers": ("a b",)}
    wrong = [
        (lambda: Ranking(**{**shared, "answers": ("a", "b")}, order=(0, 2)), "order=(0, 2) does not name"),
        (lambda: Rating(**shared, rating=6.0), "rating=6.0 is not within 1.0 to 5.0"),
        (lambda: Rating(**shared, rating=1.0, low=5.0), "low=5.0 is not below high=5.0"),
        (lambda: Rating(**shared, rating=float("nan")), "rating=nan is no finite number"),
        (lambda: Rating(**shared, rating=0.0, low=-1e308, high=1e308), "high - low=inf is no finite number"),
        (lambda: Approval(**shared, approved=1), "approved=1 is not true or false"),
        (
            lambda: Critique(**shared, start=1, stop=3, verdict="bad"),
            "start=1 and stop=3 are no part of an answer of 2",
        ),
        (lambda: Critique(**shared, start=1, stop=1, verdict="bad"), "are no part of an answer"),
        (
            lambda: Critique(**shared, start=0, stop=1, verdict="ugly"),
            "verdict='ugly' is not one of good, bad",
        ),
        (lambda: Correction(**shared, corrected=None), "corrected=None is no text"),
        (lambda: Item(id="x"), "item: id='x' is neither a ticket"),
        (lambda: Item(id=ITEM, media=("/etc/passwd",)), "media='/etc/passwd' is not sha256:"),
    ]
    for make, sentence in wrong:
        with pytest.raises(ValueError) as refused:
            make()
        assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ([], "[] is no JSON object"),
        ({}, "kind=None is not one of pairwise"),
        ({"kind": ["pairwise"]}, "is not one of pairwise"),
        ({**to_json(pair()), "colour": 1}, "pairwise has no field 'colour'"),
        ({"kind": "pairwise", "query": "q"}, "pairwise lacks the field 'item'"),
        ({"kind": "item", "id": ITEM}, "kind='item' is not one of pairwise"),
        ({**to_json(pair()), "answers": [["a"], "b"]}, "answers=['a'] is no text"),
        ({**to_json(pair()), "answers": {"a": 1, "b": 2}}, "answers is a dict"),
    ],
)
def test_json_that_is_no_record_is_refused(value: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as refused:
        from_json(value)
    assert sentence in str(refused.value)
