"""One folder out of two."""

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from shared_data import shared

from mm_envs.data.folder import Folder
from mm_envs.data.folder.pairs import Pairing, pair, write
from mm_envs.data.layouts import read_source
from mm_envs.data.records import Record, Source

Make = Callable[[str], Path]
Split = str | None


def array(seed: int) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (4, 4), np.uint8)


def made(media: str, items: list[tuple[str, Split]], root: str = "one") -> Source:
    """A source of different arrays with a label and a split each."""
    records = [
        Record(f"x, {media} {i}", {media: array(i + 1000 * (media == "audio"))}, {"label": label}, split)
        for i, (label, split) in enumerate(items)
    ]
    return Source("made", Path(root), records)


def locations(pairing: Pairing) -> list[tuple[str, str]]:
    return [(one.record.location, other.record.location) for one, other in pairing.pairs]


splits = st.sampled_from(["train", "validation", "test"])
items = st.lists(st.tuples(st.sampled_from("abc"), splits), min_size=1, max_size=20)


@settings(max_examples=40, deadline=None)
@given(items, items, st.integers(1, 4), st.integers(0, 5))
def test_pairs_share_value_and_split_and_are_handed_out_evenly(
    left: list[tuple[str, Split]], right: list[tuple[str, Split]], per_item: int, seed: int
) -> None:
    # A folder without any training item is refused, hence one that finds no partner.
    left, right = [*left, ("left", "train")], [*right, ("right", "train")]
    one, other = made("image", left), made("audio", right)
    there = Counter(right)
    expected = {key: Counter(left)[key] * min(per_item, there[key]) for key in set(left) & set(right)}
    if not expected:
        with pytest.raises(ValueError, match="share no value of 'label' within a split"):
            pair(one, other, seed=seed, per_item=per_item)
        return
    pairing = pair(one, other, seed=seed, per_item=per_item)
    for (first, second), value in zip(pairing.pairs, pairing.values, strict=True):
        assert first.split == second.split
        assert first.record.values["label"] == second.record.values["label"] == value
    assert len(set(locations(pairing))) == len(pairing.pairs), "no pair is there twice"
    found = Counter((value, both[0].split) for both, value in zip(pairing.pairs, pairing.values, strict=True))
    assert found == expected
    uses = Counter(second.record.location for _, second in pairing.pairs)
    for key in expected:
        inside = [
            uses[record.location] for record in other.records if (record.values["label"], record.split) == key
        ]
        assert max(inside) - min(inside) <= 1
    assert pairing.left_out()[0] == sum(key not in expected for key in left)


def test_the_seed_decides_and_the_order_does_not() -> None:
    one = made("image", [("a", "train")] * 12)
    other = made("audio", [("a", "train")] * 12)
    first = pair(one, other, seed=1)
    assert locations(first) == locations(pair(one, other, seed=1)) != locations(pair(one, other, seed=2))
    shuffled = random.Random(0).sample(list(other.records), 12)
    assert sorted(locations(first)) == sorted(locations(pair(one, replace(other, records=shuffled), seed=1)))


@pytest.mark.parametrize("parts", [("train", "test"), ("train", "validation", "test"), ("train",)])
def test_a_side_without_splits_takes_those_of_the_other(parts: tuple[str, ...]) -> None:
    one = made("image", [("a", None)] * 60)
    other = made("audio", [("a", part) for part in parts])
    pairing = pair(one, other)
    assert pairing.splits().keys() == set(parts)
    assert pairing.left_out() == (0, 0)


def test_two_sides_without_splits_are_split_by_content() -> None:
    pairing = pair(made("image", [("a", None)] * 80), made("audio", [("a", None)] * 80))
    assert pairing.splits().keys() == {"train", "validation", "test"}
    assert all(first.split == second.split for first, second in pairing.pairs)


def test_columns_serve_as_values_and_others_are_refused() -> None:
    one, other = made("image", [("a", "train")] * 2), made("audio", [("b", "train")] * 2)
    one = replace(one, records=[replace(record, columns={"number": 7}) for record in one.records])
    other = replace(other, records=[replace(record, columns={"number": "7"}) for record in other.records])
    assert pair(one, other, by="number").values == ["7", "7"]
    with pytest.raises(ValueError, match=r"x, audio \d: by='colour' is not one of label, number"):
        pair(one, other, by="colour")
    with pytest.raises(ValueError, match="both hold image: pair different media"):
        pair(one, one)
    with pytest.raises(ValueError, match="per_item=0 is below 1"):
        pair(one, other, per_item=0)


# Written ----------------------------------------------------------------------------------------------------


@pytest.fixture
def two(make: Make) -> tuple[Source, Source]:
    """Pictures of digits (IDX, splits) and spoken digits (splits) that share 0 and 3."""
    return read_source(make("idx")), read_source(make("fsdd"))


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("link", ["copy", "hard"])
def test_a_written_folder_reads_back(two: tuple[Source, Source], tmp_path: Path, link: str) -> None:
    one, other = two
    out = tmp_path / "out"
    out.mkdir()
    pairing = pair(one, other)
    write(pairing, (one.root, other.root), out, link)
    again = read_source(out)
    assert again.layout == "metadata"
    assert [record.split for record in again.records] == [both[0].split for both in pairing.pairs]
    for record, (picture, sound), row in zip(again.records, pairing.pairs, rows(out), strict=True):
        assert record.values == {"label": picture.record.values["label"]}
        written, original = record.media["image"], picture.record.media["image"]
        assert isinstance(written, Path)
        assert np.array_equal(np.asarray(Image.open(written)), original)
        copied, source = record.media["audio"], sound.record.media["audio"]
        assert isinstance(copied, Path)
        assert isinstance(source, Path)
        assert copied.read_bytes() == source.read_bytes()
        assert copied.samefile(source) == (link == "hard")
        assert (row["speaker"], row["image_index"], row["audio_index"]) == (
            sound.record.columns["speaker"],
            picture.record.columns["index"],
            sound.record.columns["index"],
        )
    folder = Folder(out, size=36)
    assert folder.report.skipped == 0
    assert {"image", "audio"} <= folder.spaces.keys()


def test_columns_that_a_reader_would_take_for_something_else_stay_behind(make: Make, tmp_path: Path) -> None:
    pictures, sounds = read_source(make("coco")), read_source(make("esc10"))
    records = [replace(one, columns={**one.columns, "digit": "5"}) for one in pictures.records]
    other = [replace(one, columns={**one.columns, "digit": "5"}, split="train") for one in sounds.records]
    pairing = pair(replace(pictures, records=records), replace(sounds, records=other), by="digit")
    (out := tmp_path / "out").mkdir()
    write(pairing, (pictures.root, sounds.root), out)
    for row in rows(out):
        assert "file_name" not in row
        assert row["digit"] == "5"
        assert {"captions", "label", "image_id", "source"} <= row.keys()


@pytest.mark.parametrize("link", ["hard", "copy"])
def test_a_folder_that_is_written_again(two: tuple[Source, Source], tmp_path: Path, link: str) -> None:
    one, other = two
    pairing, roots = pair(one, other), (one.root, other.root)
    (out := tmp_path / "out").mkdir()
    write(pairing, roots, out, "hard")
    copied = next(path for path in out.rglob("*.wav"))
    source = next(other.root.rglob(copied.name))
    assert copied.samefile(source)
    content = source.read_bytes()
    first = rows(out)
    write(pairing, roots, out, link)
    assert rows(out) == first
    assert copied.samefile(source) == (link == "hard")
    assert source.read_bytes() == copied.read_bytes() == content


def test_numbers_without_an_end_are_neither_written_nor_read(
    two: tuple[Source, Source], make: Make, tmp_path: Path
) -> None:
    one, other = two
    records = [replace(record, columns={"weight": float("nan")}) for record in one.records]
    (out := tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match=r"a number is infinite or none \(NaN\): mend it"):
        write(pair(replace(one, records=records), other), (one.root, other.root), out)
    assert not (out / "metadata.jsonl").exists()
    root = make("coco")
    text = next(root.glob("annotations/captions_*.json")).read_text()
    for number, says in [("NaN", "NaN is not a number"), ("1e999", "1e999 is too large a number")]:
        (out / "metadata.jsonl").write_text(f'{{"text": "a", "weight": {number}}}\n')
        with pytest.raises(ValueError, match=f"metadata.jsonl, line 1: {says}"):
            read_source(out)
        path = next(root.glob("annotations/captions_*.json"))
        path.write_text(text.replace("{", f'{{"weight": {number}, ', 1))
        with pytest.raises(ValueError, match="no JSON of a data set"):
            read_source(root, "coco")


def test_links_between_disks_and_unknown_ones(
    two: tuple[Source, Source], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = two
    pairing, roots = pair(one, other), (one.root, other.root)
    with pytest.raises(ValueError, match="link='soft' is not one of copy, hard"):
        write(pairing, roots, tmp_path, "soft")

    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    with pytest.raises(
        ValueError, match=r"cannot be linked .* \(Invalid cross-device link\): use link='copy'"
    ):
        write(pairing, roots, tmp_path, "hard")


def test_mnist_with_spoken_digits() -> None:
    pictures, sounds = read_source(shared("mnist_t10k")), read_source(shared("fsdd_spoken_digits"))
    pairing = pair(pictures, sounds)
    assert len(pairing.pairs) == 10_000
    assert pairing.splits().keys() == {"train", "test"}
    parts: dict[str, set[str]] = {"train": set(), "test": set()}
    for both in pairing.pairs:
        parts[both[0].split] |= {digest for item in both for digest in item.digests.values()}
    assert not parts["train"] & parts["test"]
