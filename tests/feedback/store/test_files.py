from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from store_examples import ITEMS, pair

from benchmarks.experiments.store_faults.examples import write_version_1
from feedback.preferences import Item
from feedback.store import PreferenceStore, schema


def version_1(file: Path) -> None:
    write_version_1(file, [pair(number) for number in range(3)], ITEMS)


def layout(file: Path) -> dict[str, set[str]]:
    """The columns of every table, and the names of indices and triggers."""
    with sqlite3.connect(file) as raw:
        made = list(raw.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"))
        found = {kind: {name for other, name in made if other == kind} for kind, _ in made}
        for table in found["table"]:
            found[table] = {row[1] for row in raw.execute(f"PRAGMA table_info({table})")}
    raw.close()
    return found


def test_a_store_of_version_1_is_migrated(file: Path, tmp_path: Path) -> None:
    version_1(file)
    with PreferenceStore(file) as store:
        assert list(store.records()) == [pair(number) for number in range(3)]
        assert list(store.items()) == ITEMS
        assert store.add([pair(0), pair(3)]) == 1
        new = Item.of_text("new")
        assert store.add_items([*ITEMS, new]) == 1
        assert store.verify() == ()
    PreferenceStore(tmp_path / "new.db").close()
    assert layout(file) == layout(tmp_path / "new.db")
    with sqlite3.connect(file) as raw:
        assert [row[0] for row in raw.execute("SELECT version FROM feedback_schema")] == [1, 2, 3]
    raw.close()


def test_a_store_of_version_2_is_migrated(file: Path, tmp_path: Path) -> None:
    with sqlite3.connect(file) as raw:
        raw.executescript((Path(__file__).parent / "version_2.sql").read_text(encoding="utf-8"))
    raw.close()
    with PreferenceStore(file) as store:
        kinds = [one.kind for one in store.records()]
        assert kinds == ["pairwise", "pairwise", "rating", "critique", "critique"]
        assert list(store.items()) == ITEMS[:2]
        assert store.add([pair(0), pair(0).revised(choice="tie")]) == 1
        assert [one.choice for one in store.records("pairwise")] == ["tie", "tie"]
        assert store.verify() == ()
    PreferenceStore(tmp_path / "new.db").close()
    assert layout(file) == layout(tmp_path / "new.db")


def test_a_migration_that_breaks_changes_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version_1(file)
    before = layout(file)

    def breaks(connection: object) -> None:
        schema._name_vocabularies(connection)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(schema._STEPS, 1, breaks)
        with pytest.raises(KeyboardInterrupt):
            PreferenceStore(file)
    assert layout(file) == before
    with PreferenceStore(file) as store:
        assert store.count() == 3


def test_a_newer_version_is_refused_by_name(file: Path) -> None:
    PreferenceStore(file).close()
    with sqlite3.connect(file) as raw:
        raw.execute("INSERT INTO feedback_schema VALUES (7, 0.0)")
    raw.close()
    before = file.read_bytes()
    with pytest.raises(
        ValueError, match=f"^{file} has schema version 7, and this mm-envs knows 1 to 3: update"
    ):
        PreferenceStore(file)
    assert file.read_bytes() == before


def test_a_database_of_something_else_stays_as_it_is(file: Path) -> None:
    with sqlite3.connect(file) as raw:
        raw.execute("CREATE TABLE contacts (name TEXT)")
    raw.close()
    before = file.read_bytes()
    with pytest.raises(
        ValueError, match=f"^{file} is a database of something else .it holds contacts.: give"
    ):
        PreferenceStore(file)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("content", [b"hello, this is no database" * 100, b"\x89PNG\r\n\x1a\n" + bytes(5000)])
def test_a_file_of_something_else_stays_as_it_is(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(
        ValueError, match=f"^{file} is no SQLite database: give the file of a store or a new name"
    ):
        PreferenceStore(file)
    assert file.read_bytes() == content


def test_paths_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere does not exist: make the folder of the store first"):
        PreferenceStore(tmp_path / "nowhere" / "a.db")
    for create in (True, False):
        with pytest.raises(ValueError, match=r"is a folder: give the file of a store, as .*feedback\.db$"):
            PreferenceStore(tmp_path, create=create)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError, match=r"a.db does not exist: collect or import feedback first"):
        PreferenceStore(tmp_path / "a.db", create=False)
    assert list(tmp_path.iterdir()) == []
    loop = tmp_path / "loop.db"
    loop.symlink_to(loop)
    with pytest.raises(OSError, match=f"^{loop} cannot be opened: is it a file"):
        PreferenceStore(loop)
    for url in ("mysql://host/db", "nonsense://", "sqlite:/x://y"):
        with pytest.raises(ValueError, match=r"is not one of sqlite, postgresql|is no URL"):
            PreferenceStore(url)


def test_an_empty_file_becomes_a_store(file: Path) -> None:
    file.touch()  # what is left of a process that was killed while it made one
    with PreferenceStore(file) as store:
        assert store.count() == 0


def test_half_a_store_is_recognized(file: Path) -> None:
    with PreferenceStore(file) as store:
        store.add_items(ITEMS)
        store.add([pair(number) for number in range(500)])
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with (
        pytest.raises(ValueError, match=f"^{file} is damaged .*: restore it from a copy"),
        PreferenceStore(file) as store,
    ):
        list(store.records())


def test_a_changed_letter_is_noticed(file: Path) -> None:
    with PreferenceStore(file) as store:
        store.add_items(ITEMS)
        store.add([pair(number) for number in range(3)])
    content = file.read_bytes()
    position = content.index(b'"choice":"first"') + len(b'"choice":"')
    file.write_bytes(content[:position] + b"worst" + content[position + 5 :])
    with PreferenceStore(file) as store:
        with pytest.raises(
            ValueError, match=f"^{file}, row 3 is damaged .its content is not that of its digest.: restore"
        ):
            list(store.records())
        assert len(store.verify()) == 1
