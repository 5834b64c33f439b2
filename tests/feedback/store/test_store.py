from __future__ import annotations

import multiprocessing
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_examples import ITEMS, pair

from feedback.labelling import Labelling, Query
from feedback.preferences import CHOICES, Approval, Item, Pairwise
from feedback.store import Conflict, PreferenceStore, UnknownItem


def test_what_was_written_is_read_by_another_process_to_be(file: Path, store: PreferenceStore) -> None:
    labels = [pair(number, annotator) for number in range(7) for annotator in ("ann", "bob")]
    receipt = store.submit(labels)
    assert receipt.new == tuple(one.id for one in labels)
    store.close()
    with PreferenceStore(file, create=False) as again:
        assert list(again.records()) == labels
        assert list(again.items()) == ITEMS
        assert list(again.records(annotator="bob")) == labels[1::2]
        assert again.annotators() == {"ann": 7, "bob": 7}
        assert (again.count(), again.count(annotator="ann"), again.count("rating")) == (14, 7, 0)
        assert again.verify() == ()


def test_the_same_again_counts_nothing(store: PreferenceStore) -> None:
    labels = [pair(0), pair(1)]
    assert store.add(labels) == 2
    again = [replace(pair(1), time=9.0, latency=1.0, reward_model="v2"), pair(0), pair(2), pair(2)]
    receipt = store.submit(again)
    assert receipt.new == (pair(2).id,)
    assert receipt.known == (pair(1).id, pair(0).id)
    assert list(store.records()) == [pair(0), pair(1), pair(2)]  # the first one stays as it is


def test_another_answer_is_refused_with_everything_in_its_batch(store: PreferenceStore) -> None:
    store.add([pair(0)])
    other = pair(0, choice="tie")
    with pytest.raises(
        Conflict, match=f"holds something else on pairwise query {other.query} of ann: "
    ) as no:
        store.add([pair(1), other])
    assert no.value.ids == (other.id,)
    with pytest.raises(Conflict, match=f"the batch holds two versions of pairwise query {pair(2).query}"):
        store.add([pair(2), pair(2, choice="tie")])
    assert list(store.records()) == [pair(0)]


def test_labels_for_unknown_items_are_refused_by_name(store: PreferenceStore) -> None:
    others = [Item.of_text(f"Which shape has number {number}?") for number in range(5)]
    with pytest.raises(
        UnknownItem, match=f"know the item {others[0].id}, .* and 2 more: add the items"
    ) as no:
        store.add([pair(0), *(pair(1, item=other) for other in others)])
    assert no.value.ids == tuple(other.id for other in others)
    assert store.count() == 0
    receipt = store.submit([pair(1, item=others[0])], items=[*ITEMS, others[0]])
    assert (len(receipt.new), receipt.items) == (1, (others[0].id,))


def test_items_and_records_are_written_together_or_not_at_all(store: PreferenceStore) -> None:
    new, missing = Item.of_text("new"), Item.of_text("missing")
    with pytest.raises(UnknownItem):
        store.submit([pair(0, item=new), pair(0, item=missing)], items=[new])
    assert list(store.items()) == ITEMS


def test_an_item_is_never_another_one(store: PreferenceStore) -> None:
    assert store.add_items(ITEMS) == 0
    with pytest.raises(Conflict, match=f"holds something else on item {ITEMS[0].id}"):
        store.add_items([replace(ITEMS[0], text="another text")])


def test_of_items_given_twice_the_fuller_one_is_written(store: PreferenceStore) -> None:
    sparse, full = Item.of_text("Why?"), Item.of_text("Why?", environment="MMVQA-v0")
    assert store.add_items([sparse, full, sparse]) == 1
    assert list(store.items()) == [*ITEMS, full]
    with pytest.raises(Conflict, match="the batch holds two versions of item"):
        store.add_items([full, Item.of_text("Why?", environment="MMCaption-v0")])
    with pytest.raises(Conflict, match="what is stored of an item is never changed; leave it out"):
        store.add_items([replace(full, vocabulary="ab")])


def test_what_is_no_record_is_refused(store: PreferenceStore) -> None:
    with pytest.raises(ValueError, match=r"{'kind': 'pairwise'} is no record"):
        store.add([pair(0), {"kind": "pairwise"}])
    assert store.count() == 0


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 7), st.sampled_from("ab"), st.sampled_from(CHOICES)), max_size=6),
        max_size=8,
    )
)
@settings(max_examples=30, deadline=None)
def test_a_store_is_a_dict_that_only_grows(batches: list[list[tuple[int, str, str]]]) -> None:
    known: dict[str, Pairwise] = {}
    with PreferenceStore("sqlite://") as store:
        store.add_items(ITEMS[:4])
        for batch in batches:
            labels = [pair(*one) for one in batch]
            grown, right = dict(known), True
            for one in labels:
                right &= grown.setdefault(one.id, one).covers(one) and one.item != ITEMS[4].id
            if right:
                assert store.add(labels) == len(grown) - len(known)
                known = grown
            else:
                with pytest.raises((Conflict, UnknownItem)):
                    store.add(labels)
            assert list(store.records()) == list(known.values())


def test_readers_go_on_from_where_they_were(store: PreferenceStore) -> None:
    store.add([pair(number) for number in range(2500)])  # more than one chunk
    end = store.last()
    store.add([pair(2500, "bob"), pair(2501)])
    assert [one.answers[1] for one in store.records(after=end)] == ["2500", "2501"]
    assert sum(1 for _ in store.records(until=end)) == 2500
    assert [one.annotator for one in store.records(annotator="bob", after=end)] == ["bob"]
    reader = store.records()
    first = [next(reader) for _ in range(3)]
    store.add([pair(2502)])  # writers do not wait for a reader
    assert len(first) + sum(1 for _ in reader) == 2503


def test_records_can_be_chosen_by_kind_and_environment(store: PreferenceStore) -> None:
    other = Item.of_text("elsewhere")
    labels = Approval(query="q", item=other.id, annotator="ann", answers=("a",), approved=True)
    store.submit([pair(0), labels], items=[other])
    assert list(store.records("approval")) == [labels]
    assert list(store.records(environment="MMVQA-v0")) == [pair(0)]
    assert store.count(environment="") == 1
    assert list(store.items(environment="")) == [other]
    with pytest.raises(ValueError, match="kind='opinion' is not one of pairwise"):
        store.records("opinion")


def test_the_database_itself_refuses_changes(file: Path, store: PreferenceStore) -> None:
    store.add([pair(0)])
    assert Labelling(store, [Query(item=ITEMS[0].id, answers=("red", "blue"))]).next("ann") is not None
    with sqlite3.connect(file) as raw:
        tables = [row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert len(tables) == 5
        for table in tables:
            column = "version" if table == "feedback_schema" else "number"
            for deed in (f"DELETE FROM {table}", f"UPDATE {table} SET {column} = {column}"):
                with pytest.raises(sqlite3.IntegrityError, match="feedback is append-only"):
                    raw.execute(deed)
    raw.close()


def test_threads_wait_for_each_other(store: PreferenceStore) -> None:
    def write(annotator: str) -> int:
        return sum(store.add([pair(number, annotator)]) for number in range(20))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(write, "aabbccdd")) == 80  # two threads say the same
    assert store.count() == 80
    assert store.verify() == ()


def test_threads_share_a_store_in_memory() -> None:
    with PreferenceStore("sqlite://") as store, ThreadPoolExecutor(4) as pool:
        store.add_items(ITEMS)
        written = pool.map(lambda number: store.add([pair(number)]), [*range(20), *range(20)])
        assert sum(written) == store.count() == 20


def _child(store: PreferenceStore, queue: object) -> None:
    try:
        store.count()
    except RuntimeError as error:
        queue.put(str(error))


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="processes are not forked here"
)
def test_a_store_is_not_taken_along_by_a_fork(store: PreferenceStore) -> None:
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_child, args=(store, queue))
    child.start()
    assert "was opened by another process: open it anew after a fork" in queue.get(timeout=30)
    child.join()
    assert store.add([pair(0)]) == 1


@pytest.mark.parametrize("words", ["'; DROP TABLE feedback_records; --", "a' OR '1'='1", 'ann"', "%", "\\"])
def test_names_are_never_read_as_sql(store: PreferenceStore, words: str) -> None:
    store.add([pair(0), pair(0, annotator=words)])
    assert [one.annotator for one in store.records(annotator=words)] == [words]
    assert store.annotators() == {"ann": 1, words: 1}
