from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from feedback.preferences import Item
from feedback.store import MediaFolder, MissingMedia, PreferenceStore


def test_a_file_is_there_once_and_whole(tmp_path: Path) -> None:
    folder = MediaFolder(tmp_path / "media")
    content = os.urandom(100_000)
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: folder.put(content, ".png"), range(32)))
    (name,) = names
    files = [path for path in folder.root.rglob("*") if path.is_file()]
    assert files == [folder.path(name)]
    assert folder.get(name) == content
    assert name in folder


def test_a_damaged_file_is_noticed_and_can_be_put_again(tmp_path: Path) -> None:
    folder = MediaFolder(tmp_path)
    name = folder.put(b"a picture")
    folder.path(name).write_bytes(b"another 1")
    with pytest.raises(
        ValueError, match=f"^{folder.path(name)} is damaged: its content is not that of its name"
    ):
        folder.get(name)
    folder.put(b"a picture")
    assert folder.get(name) == b"a picture"


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "sha256:../../../../etc/passwd",
        "sha256:" + "A" * 64,
        "sha256:" + "a" * 64 + "/../x",
        "sha256:" + "a" * 64 + ".png\n",
        "sha256:" + "a" * 64 + ".PNG",
        "sha256:" + "a" * 64 + ".toolongending",
    ],
)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    folder = MediaFolder(tmp_path)
    for ask in (folder.get, folder.path, folder.__contains__):
        with pytest.raises(ValueError, match="is not sha256:, 64 hexadecimal digits and an ending"):
            ask(name)


def test_endings_and_sizes_are_checked(tmp_path: Path) -> None:
    folder = MediaFolder(tmp_path, largest=10)
    with pytest.raises(ValueError, match="a file of 11 bytes is larger than 10"):
        folder.put(b"x" * 11)
    for suffix in ("/x", "..", ".p/g", "png"):
        with pytest.raises(ValueError, match="is not sha256:"):
            folder.put(b"x", suffix)
    assert list(tmp_path.iterdir()) == []


def test_items_show_what_is_there(file: Path, store: PreferenceStore) -> None:
    name = store.put_media(b"a picture", ".png")
    shown = Item(id="sha256:" + "1" * 64, media=(name,))
    store.add_items([shown])
    missing = Item(id="sha256:" + "2" * 64, media=("sha256:" + "3" * 64,))
    with pytest.raises(
        MissingMedia, match=f"item {missing.id} shows {missing.media[0]}, not in {file}.media"
    ):
        store.add_items([missing])
    store.folder().path(name).unlink()
    assert [str(store.folder().path(name)) in labels for labels in store.verify()] == [True]
    with pytest.raises(FileNotFoundError, match="does not exist: copy the media along with the store"):
        store.get_media(name)


def test_a_store_in_memory_has_no_media() -> None:
    with (
        PreferenceStore("sqlite://") as store,
        pytest.raises(ValueError, match="has no folder of media: give media="),
    ):
        store.put_media(b"x")
