import errno
import os
import shutil
from pathlib import Path
from time import sleep
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from folders import picture, sound

from mm_envs.data.folder import store
from mm_envs.data.folder.store import Form, decoded, digest_of
from mm_envs.data.records import Record

FORMS = {"image": Form("image", (3, 40, 40)), "audio": Form("audio", (1000,), sample_rate=4000)}


@pytest.fixture
def items(tmp_path: Path) -> Any:
    records = []
    for number in range(6):
        picture(tmp_path / f"{number}.png", number % 4)
        sound(tmp_path / f"{number}.wav", number)
        media = {"image": tmp_path / f"{number}.png", "audio": tmp_path / f"{number}.wav"}
        records.append(
            Record(f"line {number}", {key: media[key] for key in ("image", "audio")[: 1 + number % 2]})
        )
    return records


def digests(records: Any) -> Any:
    return [{field: digest_of(media) for field, media in one.media.items()} for one in records]


def made(records: Any, memory_gb: float, cache: Any = None, says: Any = None) -> Any:
    store._shared.clear()

    def fault(row: Any, sentence: Any) -> None:
        if says is None:
            raise ValueError(sentence)
        says.append((row, sentence))

    return decoded(records, digests(records), FORMS, memory_gb, cache, fault)


def same(one: Any, other: Any) -> Any:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_memory_and_disk_hold_the_same(items: Any, tmp_path: Path) -> None:
    whole, mapped = made(items, 1.0), made(items, 0.0, tmp_path / "cache")
    assert mapped.path
    assert not whole.path
    assert same(whole.fields, mapped.fields)
    for row, one in enumerate(items):
        for name, form in FORMS.items():
            value, length = (
                form.decode(one.media[name]) if name in one.media else (torch.zeros(form.shape), 0)
            )
            assert torch.equal(whole.fields[name][row], value.to(form.dtype))
            if name == "audio":
                assert whole.fields["audio_length"][row] == length


def test_a_cache_is_used_again(items: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = made(items, 0.0, tmp_path / "cache")
    kept = {key: table.clone() for key, table in first.fields.items()}
    first.fields["image"].zero_()  # a mapped table is the user's own copy
    monkeypatch.setattr(store, "_filled", lambda *_: pytest.fail("decoded twice"))
    assert same(made(items, 0.0, tmp_path / "cache").fields, kept)


def test_folders_of_the_same_files_share_their_tables(items: Any) -> None:
    one = made(items, 1.0)
    fault = lambda row, sentence: None  # noqa: E731
    assert decoded(items, digests(items), FORMS, 1.0, None, fault) is one


@pytest.mark.parametrize("memory_gb", [1.0, 0.0])
def test_bad_files_leave_no_gap(items: Any, tmp_path: Path, memory_gb: float) -> None:
    for number in (1, 4):
        (tmp_path / f"{number}.png").write_bytes(f"no picture {number}".encode())
    for _ in range(2):  # decoded, and from the cache
        says = []
        tables = made(items, memory_gb, tmp_path / "cache", says)
        assert tables.bad == [1, 4] == [row for row, _ in says]
        assert all(
            sentence.startswith(f"line {row}: ") and f"{row}.png" in sentence for row, sentence in says
        )
        rest = made([items[row] for row in (0, 2, 3, 5)], 1.0)
        assert same(tables.fields, rest.fields)
    with pytest.raises(ValueError, match=r"^line 1: .*1\.png"):
        made(items, memory_gb, tmp_path / "cache")


def test_a_kill_in_the_middle_leaves_no_cache(
    items: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: Any) -> None:
        raise Killed

    monkeypatch.setattr(store.Path, "rename", kill)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)  # a kill cleans nothing up
    with pytest.raises(Killed):
        made(items, 0.0, tmp_path / "cache")
    monkeypatch.undo()
    (left,) = (tmp_path / "cache").iterdir()
    assert left.suffix == ".part"
    monkeypatch.setattr(store, "time", lambda: left.stat().st_mtime + 2 * 24 * 3600)
    assert same(made(items, 0.0, tmp_path / "cache").fields, made(items, 1.0).fields)
    assert not left.exists()


def test_two_processes_at_once(items: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    filled = store._filled
    other = []

    def twice(*arguments: Any) -> Any:
        if not other:
            other.append(True)
            made(items, 0.0, tmp_path / "cache")
        return filled(*arguments)

    monkeypatch.setattr(store, "_filled", twice)
    assert same(made(items, 0.0, tmp_path / "cache").fields, made(items, 1.0).fields)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_beyond_the_disk_it_is_refused_with_the_number(
    items: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(
        ValueError, match=r"takes 0\.1 MB, more than memory_gb=0 and than the 0\.0 MB that are free"
    ):
        made(items, 0.0, tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_named(items: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for cache in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(
            ValueError, match=r"cache=.*file.* cannot be written to \(.*\): name another folder"
        ):
            made(items, 0.0, cache)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system cannot reserve room on a disk")
def test_room_is_reserved_on_the_disk(items: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(number: int) -> Any:
        def reserve(*_: Any) -> None:
            raise OSError(number, os.strerror(number))

        return reserve

    monkeypatch.setattr(os, "posix_fallocate", refuse(errno.ENOSPC))
    with pytest.raises(ValueError, match=r"cache=.* cannot be written to \(No space left .*\): name another"):
        made(items, 0.0, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())
    monkeypatch.setattr(os, "posix_fallocate", refuse(errno.EOPNOTSUPP))  # a disk that cannot
    assert same(made(items, 0.0, tmp_path / "cache").fields, made(items, 1.0).fields)


def test_others_may_read_a_shared_cache(items: Any, tmp_path: Path) -> None:
    (tmp_path / "usual").mkdir()
    tables = made(items, 0.0, tmp_path / "cache")
    assert tables.path.stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_huge_files_are_refused_before_they_are_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(2**40)  # takes no room on most disks, and hours to read
    with pytest.raises(ValueError, match=r"huge\.png has 1,099,511,627,776 bytes, more than"):
        digest_of(tmp_path / "huge.png")


def test_large_files_are_decoded_one_at_a_time(
    items: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, decode, running, most = made(items, 1.0), Form.decode, [], []

    def watched(form: Form, media: Any) -> Any:
        running.append(media)
        most.append(len(running))
        sleep(0.01)  # long enough for another thread to begin, if it may
        running.remove(media)
        return decode(form, media)

    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(Form, "decode", watched)
    monkeypatch.setattr(store, "_AT_ONCE", 1)
    assert same(made(items, 1.0).fields, usual.fields)
    assert set(most) == {1}
    (tmp_path / "0.png").write_bytes(b"none")  # a fault gives its part back
    says: list[Any] = []
    made(items, 1.0, says=says)
    assert [row for row, _ in says] == [0]


def test_a_damaged_cache_is_named(items: Any, tmp_path: Path) -> None:
    tables = made(items, 0.0, tmp_path / "cache")
    (tables.path / "image.npy").write_bytes(b"short")
    with pytest.raises(ValueError, match=r"is damaged .* remove it"):
        made(items, 0.0, tmp_path / "cache")
