"""The labelling service: leases, labels and revisions, compared with a plain model and between processes."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_examples import ITEMS

from feedback.labelling import Assignment, Labelling, Query
from feedback.preferences import Pairwise, in_force, read_jsonl, read_trl, write_trl
from feedback.store import Conflict, PreferenceStore, export_jsonl, import_jsonl
from feedback.store.exchange import take

QUERIES = [
    Query(item=item.id, answers=("red", f"blue {n}"), sampler="edits") for n, item in enumerate(ITEMS[:4])
]
IDS = [one.id for one in QUERIES]
NAMES = ("ann", "bob", "eve")


class Clock:
    """Seconds that pass when a test sets them."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store() -> Iterator[PreferenceStore]:
    with PreferenceStore("sqlite://") as made:
        yield made


def service(store: PreferenceStore, clock: Clock | None = None, overlap: int = 1, **more: Any) -> Labelling:
    return Labelling(store, QUERIES, ITEMS, overlap=overlap, clock=clock or Clock(), **more)


def asked(assignment: Assignment | None) -> int | None:
    return None if assignment is None else IDS.index(assignment.query.id)


def test_a_lease_is_kept_until_it_expires_is_answered_or_is_released(
    store: PreferenceStore, clock: Clock
) -> None:
    one = service(store, clock, seconds=60.0)
    assert [asked(one.next(name)) for name in ("ann", "ann", "bob", "eve")] == [0, 0, 1, 2]
    one.submit("ann", IDS[0], choice="first")
    assert asked(one.next("ann")) == 3
    assert one.next("dan") is None
    one.release("bob", IDS[1])
    assert asked(one.next("dan")) == 1
    assert one.progress().leased == 3
    clock.now += 61.0
    assert asked(one.next("bob")) == 1
    # A label that comes late is kept all the same.
    assert one.submit("dan", IDS[1], choice="tie").choice == "tie"
    found = one.progress()
    assert (found.queries, found.done, found.annotators) == (4, 2, {"ann": 1, "dan": 1})


@pytest.mark.parametrize("overlap", [1, 2, 0])
def test_every_query_is_answered_by_as_many_as_shall_answer_it(overlap: int, store: PreferenceStore) -> None:
    one = service(store, overlap=overlap)
    given: dict[str, set[str]] = {name: set() for name in IDS}
    for turn in range(30):
        name = NAMES[turn % 3]
        if (assignment := one.next(name)) is not None:
            one.submit(name, assignment.query.id, choice="first")
            given[assignment.query.id].add(name)
    assert {len(names) for names in given.values()} == {overlap or 3}
    assert one.progress().done == len(IDS)
    assert one.agreement().shared == (0 if overlap == 1 else 4)


def test_a_changed_mind_supersedes_and_history_stays(store: PreferenceStore) -> None:
    one = service(store)
    first = one.submit("ann", IDS[0], choice="first", latency=2.0)
    assert one.submit("ann", IDS[0], choice="first", latency=9.0) == first
    with pytest.raises(Conflict, match="has another label: revise it"):
        one.submit("ann", IDS[0], choice="second")
    second = one.revise("ann", IDS[0], choice="second")
    assert (second.supersedes, second.label) == (first.id, first.label)
    third = one.revise("ann", IDS[0], choice="first")
    assert list(store.records()) == one.records() == [third]
    assert one.history(IDS[0]) == list(store.records(history=True)) == [first, second, third]
    assert asked(one.undo("ann")) == 0
    assert (one.records(), store.count(), store.annotators(), one.undo("ann")) == ([], 0, {}, None)
    with pytest.raises(ValueError, match=r"ann has no label on query .*: submit one first"):
        one.revise("ann", IDS[0], choice="tie")
    fifth = one.submit("ann", IDS[0], choice="tie")
    assert one.records() == [fifth]
    assert in_force(one.history(IDS[0])) == [fifth]
    assert list(store.records(until=2)) == [second]
    for call in (lambda: one.submit("ann", "none", choice="tie"), lambda: one.release("ann", "none")):
        with pytest.raises(ValueError, match="holds no query 'none': add it first"):
            call()


def test_wrong_arguments_are_refused_in_a_sentence(store: PreferenceStore) -> None:
    one = service(store)
    for fields in ({"chioce": "first"}, {}):
        with pytest.raises(ValueError, match="is no pairwise label"):
            one.submit("ann", IDS[0], **fields)
    with pytest.raises(ValueError, match="annotator is empty: give a name"):
        one.next(" ")
    with pytest.raises(ValueError, match="seconds=-1 is below 0"):
        service(store, seconds=-1)
    assert one.progress().leased == 0


STEPS = st.tuples(
    st.sampled_from(("next", "submit", "revise", "undo", "expire", "release")),
    st.sampled_from(NAMES),
    st.integers(0, 3),
    st.sampled_from(("first", "second", "tie", "skip")),
)


@given(st.lists(STEPS, max_size=25), st.integers(0, 2))
@settings(max_examples=40, deadline=None)
def test_current_labels_are_those_of_a_dict(steps: list[tuple[str, str, int, str]], overlap: int) -> None:
    model: dict[tuple[str, str], str] = {}
    order: list[tuple[str, str]] = []
    held: dict[tuple[str, str], float] = {}
    clock = Clock()
    with PreferenceStore("sqlite://") as store:
        one = service(store, clock, overlap, seconds=60.0)
        for verb, name, number, choice in steps:
            key = (name, IDS[number])
            clock.now += 1.0
            if verb == "next" and (given := one.next(name)) is not None:
                held[name, given.query.id] = given.until
                assert (name, given.query.id) not in model
            elif verb == "submit":
                if model.get(key, choice) != choice:
                    with pytest.raises(Conflict):
                        one.submit(name, IDS[number], choice=choice)
                    continue
                one.submit(name, IDS[number], choice=choice)
                if key not in model:
                    order.append(key)
                model[key] = choice
            elif verb == "revise":
                if key not in model:
                    with pytest.raises(ValueError, match="submit one first"):
                        one.revise(name, IDS[number], choice=choice)
                    continue
                one.revise(name, IDS[number], choice=choice)
                if model[key] != choice:
                    order.append(key)
                model[key] = choice
            elif verb == "undo":
                mine = [one for one in order if one[0] == name and one in model]
                given = one.undo(name)
                assert (given is None) == (not mine)
                if given is not None:
                    assert (name, given.query.id) == mine[-1]
                    held[mine[-1]] = given.until
                    del model[mine[-1]]
            elif verb == "expire":
                clock.now += 100.0
            elif verb == "release":
                one.release(name, IDS[number])
                held.pop(key, None)
            current = {(label.annotator, label.query): label.choice for label in one.records()}
            assert current == model
            live = {key for key, until in held.items() if until > clock.now and key not in model}
            assert one.progress().leased == len(live)
            if verb == "next" and given is not None and overlap:
                others = {who for who, query in live | set(model) if query == given.query.id}
                late = {who for who, query in model if query == given.query.id}
                assert len(others) <= max(overlap, len(late) + 1)
                assert len(others - late) <= overlap
        assert store.verify() == ()
        assert in_force(store.records(history=True)) == list(store.records())


def test_revisions_go_out_and_in(tmp_path: Path, store: PreferenceStore) -> None:
    one = service(store, overlap=2)
    for name in ("ann", "bob"):
        for query in IDS:
            one.submit(name, query, choice="first")
    one.revise("ann", IDS[1], choice="second")
    one.undo("bob")
    export_jsonl(store, tmp_path / "a.jsonl")
    with PreferenceStore(tmp_path / "b.db") as other:
        assert import_jsonl(other, tmp_path / "a.jsonl").new == 10
        assert import_jsonl(other, tmp_path / "a.jsonl").known == 10
        for history in (False, True):
            assert list(other.records(history=history)) == list(store.records(history=history))
        assert list(other.queries()) == list(store.queries()) == QUERIES
    assert [one.choice for one in in_force(read_jsonl(tmp_path / "a.jsonl").records)].count("second") == 1
    prompts = {item.id: item.text for item in ITEMS}
    written, _ = write_trl(tmp_path / "a.trl", store.records(history=True), prompts)
    assert written == 7
    with PreferenceStore(tmp_path / "c.db") as third:
        take(third, read_trl(tmp_path / "a.trl"))
        assert {one.id for one in third.records()} == {one.id for one in store.records()}
        # What the revisions supersede comes later, and still does not count.
        import_jsonl(third, tmp_path / "a.jsonl", on_error="skip")
        assert {one.id for one in third.records()} == {one.id for one in store.records()}


def _label(file: str, name: str, overlap: int, pipe: Any) -> None:
    """Labels until nothing is left, and names each label once it is acknowledged."""
    with PreferenceStore(file) as store:
        one = Labelling(store, overlap=overlap, seconds=30.0)
        pipe.send("begun")
        while (assignment := one.next(name)) is not None:
            pipe.send(one.submit(name, assignment.query.id, choice="first").id)
    pipe.send(None)


def _many(file: Path, count: int) -> list[Query]:
    queries = [Query(item=ITEMS[n % 5].id, answers=("red", str(n))) for n in range(count)]
    with PreferenceStore(file) as store:
        Labelling(store, queries, ITEMS)
    return queries


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_processes_share_queries_and_a_killed_one_keeps_its_labels(tmp_path: Path) -> None:
    file = tmp_path / "labels.db"
    queries = _many(file, 40)
    context = multiprocessing.get_context("fork")
    running = []
    for name in NAMES:
        mine, its = context.Pipe(duplex=False)
        process = context.Process(target=_label, args=(str(file), name, 1, its))
        process.start()
        running.append((process, mine))
    victim, pipe = running[0]
    acknowledged = [pipe.recv(), pipe.recv()][1:]
    victim.kill()
    victim.join()
    time.sleep(0.05)
    while pipe.poll():
        try:
            acknowledged.append(pipe.recv())
        except EOFError:
            break
    for process, mine in running[1:]:
        while (label := mine.recv()) is not None:
            acknowledged.append(label)
        process.join()
    labels = {one for one in acknowledged if one not in (None, "begun")}
    with PreferenceStore(file) as store:
        stored = list(store.records())
        assert labels <= {one.id for one in stored}
        # No query was given twice; what the killed process held is given again when its lease expires.
        assert len({one.query for one in stored}) == len(stored) >= len(queries) - 1
        later = Clock()
        later.now = time.time() + 100.0
        rest = Labelling(store, clock=later)
        while (assignment := rest.next("dan")) is not None:
            rest.submit("dan", assignment.query.id, choice="tie")
        assert rest.progress().done == len(queries)
        assert store.verify() == ()


def test_display_order_is_drawn_for_every_annotator_and_query() -> None:
    orders = [
        Assignment(Query(item="mm1:a", answers=("a", str(n))), name, 0.0).displayed
        for n in range(50)
        for name in NAMES
    ]
    assert 50 < orders.count((0, 1)) < 100
    assert Assignment(QUERIES[0], "ann", 0.0).choice(0) in ("first", "second")


def test_only_pairs_of_the_scope_are_asked_and_counted(store: PreferenceStore) -> None:
    service(store).submit("ann", IDS[0], choice="first")
    narrow = Labelling(store, QUERIES[2:3], clock=Clock())
    assert asked(narrow.next("ann")) == 2
    assert narrow.records() == []
    assert narrow.undo("ann") is None
    assert narrow.progress().queries == 1
    assert all(isinstance(one, Pairwise) for one in Labelling(store).records())
