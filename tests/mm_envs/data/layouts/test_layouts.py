"""Every layout, whole: what is recognised, what is read, and what a missing file does."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shared_data import shared

from mm_envs import CONFIGURATIONS
from mm_envs.data.layouts import LAYOUTS, read_source, recognise
from mm_envs.data.records import Record

Make = Callable[[str], Path]

# What the smallest folder of each layout holds, in the order of the names of the files.
EXPECTED: dict[str, list[tuple[str | None, dict[str, Any]]]] = {
    "metadata": [(None, {"label": "cat"}), (None, {"label": "dog"})],
    "idx": [("train", {"label": str(i)}) for i in range(5)] + [("test", {"label": str(i)}) for i in range(3)],
    "coco": [
        (split, {"captions": [f"caption 0 of {n}", f"caption 1 of {n}"]})
        for n, split in ((1, "train"), (2, "train"), (3, "validation"))
    ],
    "vqa": [
        (
            split,
            {
                "question": f"Is it {k}?",
                "answer": "yes",
                "answers": ["yes"] * 7 + ["no"] * 3,
                "kind": "yes/no",
            },
        )
        for split in ("train", "validation")
        for k in (0, 1)
    ],
    "nlvr": [
        (None, {"question": f"There are {n} boxes.", "answer": answer, "kind": "true/false"})
        for n, answer in ((0, "true"), (0, "true"), (1, "false"))
    ],
    "flickr8k": [
        (split, {"captions": ["caption 0 .", "caption 1 ."]}) for split in ("train", "validation", "test")
    ],
    "esc50": [(None, {"label": label}) for label in ("dog", "sea waves", "dog")],
    "esc10": [(None, {"label": label}) for label in ("dog bark", "dog bark", "rain")],
    "fsdd": [
        (split, {"label": digit})
        for digit, split in (("0", "test"), ("0", "train"), ("3", "test"), ("3", "train"))
    ],
    "voc": [
        ("train", {"question": "how many cat are there", "answer": "0"}),
        ("train", {"question": "how many dog are there", "answer": "2"}),
        ("validation", {"question": "how many cat are there", "answer": "1"}),
        ("validation", {"question": "how many dog are there", "answer": "0"}),
        ("test", {"question": "how many cat are there", "answer": "0"}),
        ("test", {"question": "how many dog are there", "answer": "1"}),
    ],
    "classes": [
        ("train", {"label": "cat"}),
        ("train", {"label": "dog"}),
        ("train", {"label": "dog"}),
        ("validation", {"label": "cat"}),
    ],
}
GROUPS = {"nlvr": "set", "vqa": "image_id", "voc": "photo", "esc10": "source", "esc50": "src_file"}


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def same(one: Record, other: Record) -> bool:
    media = one.media.keys() == other.media.keys() and all(
        np.array_equal(value, other.media[key])
        if isinstance(value, np.ndarray)
        else value == other.media[key]
        for key, value in one.media.items()
    )
    values = (one.location, one.values, one.split, one.columns) == (
        other.location,
        other.values,
        other.split,
        other.columns,
    )
    return media and values


def test_every_layout_is_tested() -> None:
    assert LAYOUTS.keys() == EXPECTED.keys()


def test_a_layout_is_recognised_and_read(tree: tuple[str, Path]) -> None:
    name, root = tree
    found = recognise(root)
    assert found[0][0] == name
    assert {one for one, _ in found} <= {name, "classes"}, "no other layout but the fallback fits"
    source = read_source(root)
    assert (source.layout, source.root, source.skipped) == (name, root, ())
    assert source.group == GROUPS.get(name)
    assert [record.split for record in source.records] == [split for split, _ in EXPECTED[name]]
    for record, (_, values) in zip(source.records, EXPECTED[name], strict=True):
        assert values.items() <= record.values.items()


def test_records_name_their_location_and_files_inside_the_folder(tree: tuple[str, Path]) -> None:
    _, root = tree
    source = read_source(root)
    assert len({record.location for record in source.records}) == len(source.records)
    for record in source.records:
        assert (root / record.location.partition(",")[0]).is_file(), "it begins with the name of a file"
        for media in record.media.values():
            assert isinstance(media, np.ndarray) or (media.is_file() and media.is_relative_to(root))
        if source.group is not None:
            assert source.group in record.columns


def test_reading_twice_by_name_or_leniently_gives_the_same(tree: tuple[str, Path]) -> None:
    name, root = tree
    first = read_source(root).records
    for other in (read_source(root), read_source(root, name), read_source(root, name, "skip")):
        assert all(same(*pair) for pair in zip(first, other.records, strict=True))


def test_a_missing_file_is_named_or_counted(tree: tuple[str, Path]) -> None:
    name, root = tree
    if name in ("idx", "esc10", "fsdd", "classes", "metadata"):
        pytest.skip("its items are its files, or are looked at later")
    whole = read_source(root).records
    victim = whole[0].media[next(iter(whole[0].media))]
    assert isinstance(victim, Path)
    victim.unlink()
    if name == "nlvr":  # Another order of the boxes is still there.
        assert len(read_source(root).records) == len(whole) - 1
        return
    with pytest.raises(FileNotFoundError, match="on_error='skip'") as error:
        read_source(root, name)
    assert victim.name in str(error.value)
    source = read_source(root, name, "skip")
    lost = [record for record in whole if victim in record.media.values()]
    assert [record.location for record in source.records] == [
        record.location for record in whole if record.location not in {one.location for one in lost}
    ]
    assert len(source.skipped) >= 1
    assert victim.name in source.skipped[0]


def test_links_are_not_followed_out_of_the_folder(make: Make, tmp_path: Path) -> None:
    root, secret = make("classes"), tmp_path / "secret"
    make("esc10").rename(secret)
    (root / "train" / "dog" / "link.png").symlink_to(next(secret.rglob("*.ogg")))
    (root / "train" / "linked").symlink_to(secret / "002 - Rain", target_is_directory=True)
    assert len(read_source(root).records) == len(EXPECTED["classes"])


@pytest.mark.parametrize(
    ("layout", "directory"), [("fsdd", "recordings"), ("coco", "annotations"), ("nlvr", "images")]
)
def test_directories_that_are_links_out_of_the_folder(
    layout: str, directory: str, make: Make, tmp_path: Path
) -> None:
    root = make(layout)
    (root / directory).rename(tmp_path / "elsewhere")
    (root / directory).symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises((ValueError, FileNotFoundError)):
        read_source(root, layout)


def test_a_directory_of_pictures_that_is_a_link_is_named(make: Make, tmp_path: Path) -> None:
    root = make("esc50")
    (root / "audio").rename(tmp_path / "elsewhere")
    (root / "audio").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(ValueError, match=r"audio: a link that leads out of .*: put the files there"):
        read_source(root)
    (root / "audio").unlink()
    (tmp_path / "elsewhere").rename(root / "sounds")
    (root / "audio").symlink_to(root / "sounds", target_is_directory=True)
    assert len(read_source(root).records) == 3


def test_a_folder_that_is_reached_by_a_link(make: Make, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(make("coco"), target_is_directory=True)
    assert len(read_source(link).records) == 3


# Choosing ---------------------------------------------------------------------------------------------------


def test_unknown_folders_and_names_are_refused(tmp_path: Path, make: Make) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist"):
        recognise(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_source(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"no known layout .*Flickr8k.token.txt.*: write a metadata.csv"):
        read_source(tmp_path)
    root = make("fsdd")
    with pytest.raises(ValueError, match="layout='os:system' is not one of auto, metadata, idx"):
        read_source(root, "os:system")
    with pytest.raises(ValueError, match="on_error='ignore' is not one of raise, skip"):
        read_source(root, on_error="ignore")


def test_a_folder_of_links_is_refused_with_the_cure(tmp_path: Path, make: Make) -> None:
    root, linked = make("classes"), tmp_path / "linked"
    for file in files(root):
        link = linked / file.relative_to(root)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file)
    message = rf"{len(files(root))} links are passed over, such as train/.*\(cp -rL\)"
    with pytest.raises(ValueError, match=f"no known layout .*{message}"):
        read_source(linked)
    with pytest.raises(FileNotFoundError, match=message):
        read_source(linked, "classes")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("metadata.parquet", "metadata.parquet is not read: save it as metadata.csv"),
        ("train/data-00000.parquet", "train/data-00000.parquet is not read: save it as"),
        ("Metadata.CSV", "Metadata.CSV is not read by that name: make it metadata.csv"),
        ("metadata.tsv", "metadata.tsv is not read by that name: make it metadata.csv"),
    ],
)
def test_tables_by_names_that_are_not_read(name: str, says: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("file_name,label\n")
    if (tmp_path / "metadata.csv").exists():
        pytest.skip("this disk does not tell capital letters from small ones")
    with pytest.raises(ValueError, match=f"no known layout .*: {says}"):
        read_source(tmp_path)


def test_splits_are_not_taken_for_classes(tmp_path: Path, make: Make) -> None:
    picture = next(make("classes").rglob("*.png"))
    for name in ("train", "test"):
        (tmp_path / "splits" / name).mkdir(parents=True)
        (tmp_path / "splits" / name / "a.png").write_bytes(picture.read_bytes())
    (tmp_path / "splits" / "metadata.parquet").write_bytes(b"")
    with pytest.raises(ValueError, match=r"no known layout .*metadata\.parquet is not read"):
        read_source(tmp_path / "splits")


def test_directories_of_one_class_in_two_unicode_forms(tmp_path: Path, make: Make) -> None:
    picture = next(make("classes").rglob("*.png"))
    for name in ("train/caf\u00e9/a.png", "test/cafe\u0301/b.png", "train/tea/c.png"):
        (tmp_path / "forms" / name).parent.mkdir(parents=True)
        (tmp_path / "forms" / name).write_bytes(picture.read_bytes())
    source = read_source(tmp_path / "forms")
    assert {record.values["label"] for record in source.records} == {"caf\u00e9", "tea"}
    assert "of 2 classes" in source.says


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_a_layout_that_is_not_there_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        read_source(tmp_path, name)
    assert str(tmp_path) in str(error.value)


def test_metadata_goes_first_and_two_that_are_equally_good_are_for_the_user(
    tmp_path: Path, makers: dict[str, Callable[[Path], None]]
) -> None:
    makers["fsdd"](tmp_path)
    makers["voc"](tmp_path)
    with pytest.raises(ValueError, match="layouts fsdd, voc fit: choose one with layout='fsdd'"):
        read_source(tmp_path)
    assert read_source(tmp_path, "voc").layout == "voc"
    makers["metadata"](tmp_path)
    assert read_source(tmp_path).layout == "metadata"


# The table of public sets -----------------------------------------------------------------------------------

SETS = Path(__file__).parents[4] / "docs" / "public_sets.md"


def test_every_layout_is_in_the_table_of_public_sets_and_no_other() -> None:
    lines = SETS.read_text(encoding="utf-8").partition("## Used by")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    named = {row[1].strip("`") for row in rows[1:]}
    assert named == LAYOUTS.keys() - {"metadata", "classes"}
    assert {row[3].partition(" ")[0] for row in rows[1:]} <= CONFIGURATIONS.keys()
    assert all(row[5] for row in rows), "every set says its licence, or that none is stated"


def test_every_source_of_the_real_data_that_is_used_is_in_the_table() -> None:
    table = SETS.read_text(encoding="utf-8")
    root = SETS.parent.parent
    code = "".join(
        file.read_text() for name in ("tests", "benchmarks") for file in (root / name).rglob("*.py")
    )
    sources = [one for one in shared(".").glob("*/SOURCE.md") if one.parent.name in code]
    assert len(sources) > 10
    for source in sources:
        line = next(line for line in source.read_text().splitlines() if line.startswith("- **Source:**"))
        for repository in re.findall(r"https://github\.com/([\w.-]+/[\w.-]+)", line):
            assert f"(https://github.com/{repository})" in table, source.parent.name


# As a dataset -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", sorted(GROUPS.keys() - {"vqa", "voc"}))
def test_what_belongs_together_stays_in_one_split(layout: str, make: Make) -> None:
    from mm_envs.data.folder import Folder

    source = read_source(make(layout))
    assert source.group is not None
    # Many copies of each group with files of their own: by content alone they would be torn apart.
    records = [
        replace(record, media={"image": np.full((2, 2), 8 * i + copy, np.uint8)})
        for copy in range(8)
        for i, record in enumerate(source.records)
    ]
    groups = {record.location: record.columns[source.group] for record in records}
    folder = Folder(replace(source, records=records), size=36)
    splits: dict[str, set[str]] = {}
    for split, indices in folder.splits.items():
        for i in indices:
            splits.setdefault(groups[folder.locations[i]], set()).add(split)
    assert all(len(found) == 1 for found in splits.values())


def test_scores_where_there_is_no_validation_split(make: Make) -> None:
    from mm_envs.tasks import make_task
    from mm_envs.tasks.scores import baseline_scores

    task = make_task("classify", dataset="folder", path=str(make("fsdd")))
    assert len(task.dataset.splits["validation"]) == 0
    assert baseline_scores(task)["oracle"].mean == 1
    with pytest.raises(ValueError, match="split='validation' of dataset 'folder' is empty"):
        baseline_scores(task, split="validation")
