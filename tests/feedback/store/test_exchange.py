from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from store_examples import ITEMS, pair

from feedback.collection import draw_prompts
from feedback.preferences import (
    KINDS,
    Approval,
    Correction,
    Critique,
    Demonstration,
    Item,
    Ranking,
    Rating,
    read_jsonl,
    read_trl,
    ticket_items,
    write_jsonl,
    write_trl,
)
from feedback.store import Conflict, PreferenceStore, UnknownItem, export_jsonl, import_jsonl
from feedback.store.exchange import take


def test_one_store_becomes_another(tmp_path: Path, store: PreferenceStore) -> None:
    shown = Item(
        id="sha256:" + "1" * 64, media=(store.put_media(b"a picture", ".png"),), environment="MMVQA-v0"
    )
    labels = [pair(number) for number in range(8)]
    store.submit([*labels, pair(9, item=shown)], items=[shown])
    assert export_jsonl(store, tmp_path / "a.jsonl") == 9
    assert read_jsonl(tmp_path / "a.jsonl").header.environment == "MMVQA-v0"
    with PreferenceStore(tmp_path / "b.db") as other:
        first = import_jsonl(other, tmp_path / "a.jsonl", environment="MMVQA-v0")
        again = import_jsonl(other, tmp_path / "a.jsonl")
        assert (first.new, first.known, first.items, first.skipped) == (9, 0, 6, ())
        assert (again.new, again.known, again.items) == (0, 9, 0)
        assert list(other.records()) == list(store.records())
        assert list(other.items()) == list(store.items())
        assert other.get_media(shown.media[0]) == b"a picture"


def test_one_environment_can_be_exported(tmp_path: Path, store: PreferenceStore) -> None:
    other = Item.of_text("elsewhere", environment="MMCaption-v0")
    store.submit([pair(0), pair(1, item=other)], items=[other])
    assert export_jsonl(store, tmp_path / "a.jsonl", "MMCaption-v0") == 1
    assert read_jsonl(tmp_path / "a.jsonl").items == (other,)
    export_jsonl(store, tmp_path / "b.jsonl")
    assert read_jsonl(tmp_path / "b.jsonl").header.environment == ""


def test_a_file_is_taken_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    write_jsonl(file, [pair(0), pair(1)], ITEMS[:1])
    with PreferenceStore(tmp_path / "a.db") as store:
        with pytest.raises(UnknownItem, match=ITEMS[1].id):
            import_jsonl(store, file)
        assert (store.count(), list(store.items())) == (0, [])
        with file.open("ab") as out:
            out.write(b'{"kind": "pairw')
        with pytest.raises(ValueError, match="line 5: is half-written"):
            import_jsonl(store, file)
        assert list(store.items()) == []


def test_what_is_skipped_is_counted_and_reported(tmp_path: Path, store: PreferenceStore) -> None:
    file = tmp_path / "a.jsonl"
    store.add([pair(0), pair(4)])
    unknown, changed = Item.of_text("unknown"), replace(ITEMS[3], text="changed")
    hidden = Item(id="sha256:" + "5" * 64, media=("sha256:" + "6" * 64,))
    labels = [
        *(pair(0, choice="tie"), pair(1), pair(1, choice="second"), pair(2), pair(2), pair(4)),
        *(pair(7, item=unknown), pair(3), pair(8, item=hidden)),
    ]
    write_jsonl(file, labels, [changed, hidden])
    with file.open("ab") as out:
        out.write(b"nonsense\n")
    with pytest.raises(ValueError, match="line 13: it is no JSON"):
        import_jsonl(store, file)
    found = import_jsonl(store, file, on_error="skip")
    assert (found.new, found.known, found.items) == (2, 2, 0)
    # A line, what the file contradicts itself, item and record of two items, an unknown item, another answer.
    assert len(found.skipped) == 8
    assert all(
        any(part in one for one in found.skipped) for part in ("line 13", "from an earlier", "shows sha256:6")
    )
    assert store.count() == 4
    assert store.verify() == ()


def test_another_environment_or_vocabulary_is_refused(tmp_path: Path, store: PreferenceStore) -> None:
    file = tmp_path / "a.jsonl"
    write_jsonl(file, [pair(0)], ITEMS, "MMVQA-v0", "abcd")
    with pytest.raises(
        ValueError, match=r"a.jsonl is of environment 'MMVQA-v0', and 'MMCaption-v0' is wanted"
    ):
        import_jsonl(store, file, environment="MMCaption-v0")
    with pytest.raises(ValueError, match=r"a.jsonl is of vocabulary 'abcd', and 'efgh' is wanted"):
        import_jsonl(store, file, vocabulary="efgh")
    assert store.count() == 0


def test_a_contradiction_is_refused(tmp_path: Path, store: PreferenceStore) -> None:
    store.add([pair(0)])
    write_jsonl(tmp_path / "a.jsonl", [pair(1), pair(0, choice="tie")])
    with pytest.raises(Conflict):
        import_jsonl(store, tmp_path / "a.jsonl")
    assert store.count() == 1


def test_every_kind_is_kept_and_goes_on(tmp_path: Path, store: PreferenceStore) -> None:
    shared = {"query": "q", "item": ITEMS[0].id, "annotator": "ann", "answers": ("röt und blau",)}
    labels = [
        pair(0),
        Ranking(**{**shared, "answers": ("a", "b", "c")}, order=(2, 0, 1), displayed=(1, 0, 2)),
        Rating(**shared, rating=2.5, latency=3.25, time=1.5e9),
        Approval(**shared, approved=False),
        Correction(**shared, corrected="röt"),
        Demonstration(**shared, demonstration="grün"),
        *(Critique(**shared, start=part, stop=3, verdict="bad", comment="no\nno") for part in (1, 2)),
    ]
    assert {type(one) for one in labels} == set(KINDS.values())
    assert store.add(labels) == len(labels)
    export_jsonl(store, tmp_path / "a.jsonl")
    with PreferenceStore(tmp_path / "b.db") as other:
        import_jsonl(other, tmp_path / "a.jsonl")
        assert list(other.records()) == labels
        assert list(other.records("critique")) == labels[-2:]


def test_items_of_an_environment_say_their_vocabulary(tmp_path: Path, store: PreferenceStore) -> None:
    _, tickets = draw_prompts("MMVQA-v0", 3)
    items = ticket_items(tickets.task, [*tickets, tickets[0]])
    assert [one.id for one in items] == list(tickets)
    store.add_items(items)
    with PreferenceStore(tmp_path / "b.db") as other:
        other.add_items(items)
        export_jsonl(other, tmp_path / "a.jsonl")
    header = read_jsonl(tmp_path / "a.jsonl").header
    assert (header.environment, header.vocabulary) == ("MMVQA-v0", tickets.task.answer.digest)


def test_pairs_of_the_public_layout_go_into_a_store(tmp_path: Path, store: PreferenceStore) -> None:
    _, tickets = draw_prompts("MMVQA-v0", 3)
    items = ticket_items(tickets.task, tickets, ["What is it?"] * 3)
    labels = [pair(number, item=item) for number, item in enumerate(items)]
    store.submit(labels, items)
    write_trl(tmp_path / "a.jsonl", store.records(), {item.id: item.text for item in items})
    found = take(store, read_trl(tmp_path / "a.jsonl", annotator="crowd"))
    # An item may leave out what is known of it.
    assert (found.items, found.new, found.known) == (0, 0, 3)
    assert list(store.items()) == [*ITEMS, *items]


def test_labels_on_an_item_of_which_less_is_stored_are_taken(tmp_path: Path) -> None:
    sparse = Item.of_text("Why?")
    full = replace(sparse, environment="MMVQA-v0", vocabulary="ab")
    write_jsonl(tmp_path / "a.jsonl", [pair(0, item=full), pair(1, item=full)], [full])
    with PreferenceStore(tmp_path / "b.db") as other:
        other.submit([pair(0, item=sparse)], [sparse])
        with pytest.raises(Conflict, match=f"holds something else on item {full.id}: what is stored"):
            import_jsonl(other, tmp_path / "a.jsonl")
        found = import_jsonl(other, tmp_path / "a.jsonl", on_error="skip")
        assert (found.new, found.known, found.items) == (1, 1, 0)
        assert found.skipped == (f"item {full.id} is left out: the store holds less of it, and keeps that",)
        assert list(other.items()) == [sparse]
