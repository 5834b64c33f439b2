import json
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from folders import clip, everything, picture, sound, write_rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Picture
from shared_data import shared

from mm_envs.data.dataset import make_dataset
from mm_envs.data.folder import Folder
from mm_envs.data.records import Record, Source
from mm_envs.engine.pool import shared_pool
from mm_envs.spaces import Audio, Count, Image, Tokens, Video
from mm_envs.tasks import make_task

SMALL = {"size": 40, "frames": 2}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return everything(tmp_path_factory.mktemp("all"))


def opened(path: Path, **arguments: Any) -> Any:
    return Folder(path, **{**SMALL, **arguments})


def refused(path: Path, **arguments: Any) -> Any:
    with pytest.raises(ValueError) as found:
        opened(path, **arguments)
    assert "\n" not in str(found.value)
    return str(found.value)


def labelled(folder: Path, count: int = 9, **more: Any) -> Any:
    rows = [{"file_name": picture(folder / f"{i}.png", i), "label": f"{i % 3}", **more} for i in range(count)]
    return write_rows(folder, rows), rows


def everything_of(folder: Path) -> Any:
    """All fields of all items."""
    n = sum(map(len, folder.splits.values()))
    return folder.batch(torch.arange(n), sorted(folder._tables))


def equal(one: Any, other: Any) -> Any:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_spaces_fields_and_classes(root: Path) -> None:
    folder = opened(root)
    kinds = {name: type(space) for name, space in folder.spaces.items()}
    assert kinds == {
        "image": Image, "video": Video, "audio": Audio, "text": Tokens, "question": Tokens,
        "audio_length": Count, "text_length": Count, "question_length": Count,
    }  # fmt: skip
    assert folder.spaces["audio"] == Audio(1000, 4000)
    assert folder.spaces["video"].shape == (2, 3, 40, 40)
    assert folder.classes == {
        "label": ("blue", "green", "red"),
        "answer": ("blue", "green", "red"),
        "kind": ("question",),
    }
    assert folder.max_tokens == 7
    fields = everything_of(folder)
    for name, space in folder.spaces.items():
        assert all(space.contains(value) for value in fields[name].numpy())
    first = json.loads(
        (root / "metadata.jsonl").read_text().splitlines()[int(folder.locations[0].split()[-1]) - 1]
    )
    assert folder.classes["label"][fields["label"][0]] == first["label"]
    assert folder.vocabularies["caption"].decode(fields["captions"][0, 0]) == first["captions"][0]
    assert fields["text_length"][0] == 2
    assert fields["audio_length"][0] == 1000


def test_a_batch_is_its_rows_one_by_one(root: Path) -> None:
    folder = opened(root)
    fields, whole = sorted(folder._tables), everything_of(folder)
    order = torch.tensor([5, 0, 23, 5])
    batch = folder.batch(order, fields)
    for row, index in enumerate(order):
        one = folder.batch(index[None], fields)
        assert all(torch.equal(one[name][0], batch[name][row]) for name in fields)
        assert all(torch.equal(whole[name][index], batch[name][row]) for name in fields)
    with pytest.raises(ValueError, match="field='images' is not one of"):
        folder.batch(order, ["images"])


def test_neither_the_order_nor_the_path_matters(root: Path, tmp_path: Path) -> None:
    first = opened(root)
    lines = (root / "metadata.jsonl").read_text().splitlines(keepends=True)
    other = tmp_path / "elsewhere"
    other.mkdir()
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.suffix != ".jsonl")
    for path in reversed(files):
        (other / path.relative_to(root)).parent.mkdir(exist_ok=True)
        shutil.copy(path, other / path.relative_to(root))
    (other / "metadata.jsonl").write_text("".join(reversed(lines)))
    second = opened(other)
    assert second.fingerprint() == first.fingerprint()
    assert second.splits == first.splits
    assert equal(everything_of(first), everything_of(second))


def change_value(folder: Path) -> None:
    text = (folder / "metadata.jsonl").read_text()
    (folder / "metadata.jsonl").write_text(text.replace('"number 3"', '"number 4"'))


def change_name(folder: Path) -> None:
    (folder / "pictures" / "3.png").rename(folder / "pictures" / "33.png")
    text = (folder / "metadata.jsonl").read_text()
    (folder / "metadata.jsonl").write_text(text.replace("pictures/3.png", "pictures/33.png"))


def drop_a_line(folder: Path) -> None:
    lines = (folder / "metadata.jsonl").read_text().splitlines(keepends=True)
    (folder / "metadata.jsonl").write_text("".join(lines[1:]))


CHANGES = {
    "content": lambda folder: picture(folder / "pictures" / "3.png", 99),
    "sound": lambda folder: sound(folder / "sounds" / "3.wav", 99),
    "clip": lambda folder: clip(folder / "clips" / "3.gif", 99),
    "value": change_value,
    "name": change_name,
    "line": drop_a_line,
}
OPTIONS = [
    {"size": 44}, {"channels": 1}, {"fit": "crop"}, {"sample_rate": 2000}, {"seconds": 0.1}, {"frames": 3},
    {"group": "speaker"}, {"classes": ("red", "green", "blue")}, {"vocabulary": ["red", "green", "blue"]},
    {"max_tokens": 5}, {"columns": {"text": "speaker"}},
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_changes_the_fingerprint(root: Path, tmp_path: Path, change: str) -> None:
    other = shutil.copytree(root, tmp_path / "copy")
    before = opened(other).fingerprint()
    CHANGES[change](other)
    assert opened(other).fingerprint() != before


def test_any_option_changes_the_fingerprint(root: Path) -> None:
    prints = [opened(root, **option).fingerprint() for option in [{}, *OPTIONS]]
    assert len(set(prints)) == len(prints)
    assert opened(root, memory_gb=1.0, on_error="skip").fingerprint() == prints[0]


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=12),
    st.booleans(),
)
def test_no_content_lies_in_two_splits(
    tmp_path_factory: pytest.TempPathFactory, items: Any, grouped: Any
) -> None:
    root = tmp_path_factory.mktemp("random")
    rows = [
        {
            "image_file_name": picture(root / f"{i}.png", a),
            "audio_file_name": sound(root / f"{i}.wav", b),
            "speaker": who,
        }
        for i, (a, b, who) in enumerate(items)
    ]
    folder_arguments = {"group": "speaker"} if grouped else {}
    write_rows(root, rows)
    folder = opened(root, **folder_arguments)
    assert len(folder.splits["train"])
    where = defaultdict(set)
    for split, indices in folder.splits.items():
        for index in indices:
            row = rows[int(folder.locations[index].split()[-1]) - 1]
            for key in ("image_file_name", "audio_file_name"):
                where[(root / row[key]).read_bytes()].add(split)
            if grouped:
                where[row["speaker"]].add(split)
    assert all(len(found) == 1 for found in where.values())


def test_a_named_split_is_taken_and_checked(tmp_path: Path) -> None:
    _, rows = labelled(tmp_path)
    for i, row in enumerate(rows):
        row["fold"] = ("training", "dev", "test")[i % 3]
    folder = opened(write_rows(tmp_path, rows), split_by="fold")
    assert {name: len(indices) for name, indices in folder.splits.items()} == {
        "train": 3,
        "validation": 3,
        "test": 3,
    }
    assert {folder.locations[i] for i in folder.splits["test"]} == {
        f"metadata.jsonl, line {n}" for n in (3, 6, 9)
    }
    shutil.copy(tmp_path / "0.png", tmp_path / "1.png")
    sentence = refused(tmp_path, split_by="fold")
    assert "line 1" in sentence
    assert "line 2" in sentence
    assert "train and validation" in sentence
    assert opened(tmp_path, split_by="fold", on_error="skip").report.faults == {"split": 1}
    rows[4]["fold"] = "somewhere"
    assert "line 5: fold='somewhere' names no split" in refused(write_rows(tmp_path, rows), split_by="fold")
    # A column called split is never passed over.
    rows = [{**row, "split": "fold 1"} for row in rows]
    assert "line 1: split='fold 1' names no split" in refused(write_rows(tmp_path, rows))
    opened(tmp_path, columns={"text": "split"})
    assert "split_by='folds' is neither auto, hash nor a column: there are file_name" in refused(
        tmp_path, split_by="folds"
    )


def test_values_of_a_column_stand_for_splits(tmp_path: Path) -> None:
    rows = [
        {"file_name": picture(tmp_path / f"{i}.png", i), "label": f"{i % 2}", "fold": fold}
        for i, fold in enumerate([1, 2, 3.0, "4", 5, 5, 1, 4, 2])
    ]
    write_rows(tmp_path, rows)
    split_by = json.loads('{"fold": {"5": "test", "4": "val"}}')  # as a file or the command line holds it
    folder = opened(tmp_path, split_by=split_by)
    lines = {
        name: sorted(int(folder.locations[i].split()[-1]) for i in s) for name, s in folder.splits.items()
    }
    assert lines == {"train": [1, 2, 3, 7, 9], "validation": [4, 8], "test": [5, 6]}
    assert opened(tmp_path, split_by={"fold": {5: "test", 4: "val"}}).fingerprint() == folder.fingerprint()
    for wrong, says in [
        ({"fold": {"6": "test"}}, "split_by: no item has fold='6': there are 1, 2, 3, 4, 5"),
        (
            {"fold": {"5": "tests"}},
            "'tests' of fold='5' names no split: give for instance {'fold': {'5': 'test'",
        ),
        ({"fould": {"5": "test"}}, "split_by: 'fould' is no column: there are file_name, label, fold"),
        ({"fold": "test"}, "is not one column with splits for values"),
        ({"fold": dict.fromkeys("12345", "test")}, "none of 9 items is for training"),
    ]:
        assert says in refused(tmp_path, split_by=wrong)
    write_rows(tmp_path, [*rows, {**rows[0], "fold": 5}, {**rows[1], "fold": None}])
    assert "line 11: it has no fold, which tells the split" in refused(tmp_path, split_by=split_by)
    assert opened(tmp_path, split_by=split_by, on_error="skip").report.faults == {"split": 2}


def test_splits_that_have_nothing(tmp_path: Path) -> None:
    _, rows = labelled(tmp_path, 3)
    folder = opened(write_rows(tmp_path, [{**row, "split": "train"} for row in rows]))
    task = make_task("classify", dataset=folder)
    with pytest.raises(ValueError, match="split='test' of dataset 'folder' is empty: choose another split"):
        shared_pool(task, "test", torch.device("cpu"))
    assert "none of 3 items is for training" in refused(
        write_rows(tmp_path, [{**row, "split": "test"} for row in rows])
    )
    assert "has no item" in refused(write_rows(tmp_path, []))


def test_every_fault_is_found_when_the_folder_is_opened(tmp_path: Path) -> None:
    _, rows = labelled(tmp_path, 10)
    (tmp_path / "2.png").unlink()
    assert refused(tmp_path).startswith(f"metadata.jsonl, line 3: there is no file {tmp_path / '2.png'}")
    whole = (tmp_path / "5.png").read_bytes()
    (tmp_path / "5.png").write_bytes(whole[: len(whole) // 2])
    del rows[7]["label"]
    rows[8]["label"] = "9"
    write_rows(tmp_path, rows)
    folder = opened(tmp_path, on_error="skip", classes=["0", "1", "2"])
    assert folder.report.faults == {"missing": 1, "media": 1, "value": 2}
    assert (folder.report.items, folder.report.skipped) == (6, 4)
    assert len(folder.locations) == 6
    assert str(folder.report).startswith("6 items, 4 left out (media 1, missing 1, value 2)")
    text = "\n".join(folder.report.sentences)
    assert "line 6: " in text
    assert "5.png" in text
    assert "line 8 has no label, as others do" in text
    assert "line 9: label='9' is not one of the classes 0, 1, 2" in text
    rest = [row for i, row in enumerate(rows) if i not in (2, 5, 7, 8)]
    kept = opened(write_rows(tmp_path, rest), classes=["0", "1", "2"])
    assert kept.fingerprint() == folder.fingerprint()
    assert equal(everything_of(kept), everything_of(folder))


def test_a_sound_with_a_wrong_header(tmp_path: Path) -> None:
    rows = [{"file_name": sound(tmp_path / f"{i}.wav", i), "label": i % 2} for i in range(6)]
    (tmp_path / "3.wav").write_bytes(b"RIFF\x00\x00\x00\x00WAVEnothing")
    assert refused(write_rows(tmp_path, rows)).startswith("metadata.jsonl, line 4: ")
    assert refused(tmp_path, sample_rate=4000, seconds=0.2).startswith("metadata.jsonl, line 4: ")
    assert opened(tmp_path, on_error="skip").report.faults == {"media": 1}


def test_missing_media_and_texts_are_marked(tmp_path: Path) -> None:
    rows = []
    for i in range(8):
        row = {"label": i % 2, "text": f"item {i}"} if i % 2 else {"label": i % 2}
        row["image_file_name" if i < 4 else "audio_file_name"] = (
            picture(tmp_path / f"{i}.png", i) if i < 4 else sound(tmp_path / f"{i}.wav", i)
        )
        rows.append(row)
    folder = opened(write_rows(tmp_path, rows))
    fields = everything_of(folder)
    number = torch.tensor([int(one.split()[-1]) - 1 for one in folder.locations])
    assert torch.equal(fields["image_present"][:, 0], (number < 4).long())
    assert torch.equal(fields["audio_present"][:, 0], (number >= 4).long())
    assert torch.equal(fields["text_present"][:, 0], number % 2)
    assert bool((fields["image"][number >= 4] == 0).all())
    assert bool((fields["audio_length"][number < 4] == 0).all())
    assert folder.spaces["image_present"] == Count(1)


def test_words_are_those_of_the_training_items(tmp_path: Path) -> None:
    rows = [{"text": f"shared {name}", "label": 0, "split": name} for name in ("train", "validation", "test")]
    folder = opened(write_rows(tmp_path, rows))
    assert folder.vocabularies["text"].words[3:] == ("shared", "train")
    assert folder.batch(torch.tensor([2]), ["text"])["text"].tolist() == [[3, 2]]
    pinned = opened(tmp_path, vocabulary=["test", "shared"])
    assert pinned.batch(torch.tensor([2]), ["text"])["text"].tolist() == [[4, 3]]


def test_long_captions_are_cut_and_noted(tmp_path: Path) -> None:
    rows = [
        {"file_name": picture(tmp_path / f"{i}.png", i), "caption": "word " * (60 if i else 3)}
        for i in range(4)
    ]
    folder = opened(write_rows(tmp_path, rows))
    assert folder.max_tokens == 40
    assert "3 of 4 captions are cut to 40 words" in folder.report.notes
    texts = opened(
        write_rows(tmp_path / "texts", [{"text": f"{i} " * 65, "label": f"{i}"} for i in range(4)])
    )
    assert texts.spaces["text"].shape == (64,)  # as the documentation of Folder says
    assert "4 of 4 texts are cut to 64 words" in texts.report.notes


def test_words_that_would_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"text": f"{i}", "captions": ["one word"] * (1 + 99 * (i == 3)), "facts": f"fact {i}"}
        for i in range(9)
    ]
    opened(write_rows(tmp_path, rows))
    monkeypatch.setattr("mm_envs.data.folder.values._MAX_BYTES", 20_000)
    assert "captions of 9 x 100 x 3 entries take 0.0 GB" in refused(tmp_path)
    monkeypatch.setattr("mm_envs.data.folder.values._MAX_BYTES", 80)
    assert "facts of 9 x 9 entries" in refused(tmp_path)


def test_sounds_of_several_rates_and_lengths(tmp_path: Path) -> None:
    rates = [8000] * 12 + [44100] * 8
    rows = [
        {"file_name": sound(tmp_path / f"{i}.wav", i, seconds=0.1 if i else 2.0, rate=rate), "label": 0}
        for i, rate in enumerate(rates)
    ]
    folder = opened(write_rows(tmp_path, rows))
    assert folder.spaces["audio"] == Audio(800, 8000)  # 95 % of them last 0.1 s
    assert bool((everything_of(folder)["audio_length"] == 800).all())
    assert opened(tmp_path, sample_rate=16000, seconds=1).spaces["audio"] == Audio(16000, 16000)


def test_pictures_that_are_handed_over_decoded(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pictures = random.integers(0, 255, (12, 28, 28), np.uint8)
    records = [Record(f"digits, {i}", {"image": one}, {"label": str(i)}) for i, one in enumerate(pictures)]
    folder = opened(Source("test", tmp_path, records), channels=1)
    assert folder.classes["label"] == tuple(str(i) for i in range(12))  # by their value, not as text
    assert folder.spaces["image"].shape == (1, 40, 40)
    assert len(everything_of(folder)["image"].unique(dim=0)) == 12


def test_the_pool_reads_what_is_stored(root: Path) -> None:
    folder = opened(root)
    pool = shared_pool(make_task("classify", dataset=folder, inputs="image"), "train", torch.device("cpu"))
    assert pool.tables["image"].data_ptr() == folder.stored("image").data_ptr()
    assert torch.equal(
        pool.rows("image", torch.tensor([3])), folder.batch(torch.tensor([3]), ["image"])["image"]
    )


def test_copies_that_were_saved_again_are_noted(tmp_path: Path) -> None:
    _, rows = labelled(tmp_path)
    Picture.open(tmp_path / "0.png").save(tmp_path / "copy.bmp")
    splits = [*["train"] * 9, "test"]
    rows = [
        {**row, "split": split}
        for row, split in zip([*rows, {"file_name": "copy.bmp", "label": "0"}], splits, strict=True)
    ]
    (note,) = opened(write_rows(tmp_path, rows)).report.notes
    assert "1 files of image are, once decoded, equal to one in another split" in note
    assert "metadata.jsonl, line 10 and metadata.jsonl, line 1" in note
    assert opened(write_rows(tmp_path, rows[:9])).report.notes == ()


def test_equal_texts_are_one_content_whatever_their_labels(tmp_path: Path) -> None:
    rows = [{"text": f"text {i % 9}", "label": i % 2} for i in range(36)]
    folder = opened(write_rows(tmp_path, rows))
    tables = everything_of(folder)
    seen = {name: {tuple(tables["text"][i].tolist()) for i in split} for name, split in folder.splits.items()}
    assert not seen["train"] & (seen["validation"] | seen["test"])
    sentence = refused(
        write_rows(
            tmp_path,
            [{**row, "split": name} for row, name in zip(rows[::9], ("train", "test"), strict=False)],
        )
    )
    assert "the text has the content of the text" in sentence


def test_values_in_two_unicode_forms_are_one_and_names_of_files_stay(tmp_path: Path) -> None:
    forms = ["caf\u00e9", "cafe\u0301"]
    rows = [
        {"file_name": picture(tmp_path / f"{i}{forms[1]}.png", i), "label": forms[i % 2], "by": forms[i % 2]}
        for i in range(4)
    ]
    rows += [{"file_name": picture(tmp_path / f"{i}.png", i), "label": "tea", "by": i} for i in range(4, 9)]
    folder = opened(write_rows(tmp_path, rows), group="by", classes=["tea", forms[1]])
    assert folder.classes["label"] == ("tea", forms[0])
    assert len(folder.locations) == 9
    tied = {split for split, rows in folder.splits.items() for row in rows
            if int(folder.locations[row].split()[-1]) <= 4}  # fmt: skip
    assert len(tied) == 1


def test_numbers_of_classes_become_their_names(tmp_path: Path) -> None:
    root, _ = labelled(tmp_path)  # labels 0, 1 and 2
    plain, named = opened(root), opened(root, classes=["tern", "cat", "dog"])
    assert named.classes["label"] == ("tern", "cat", "dog")
    rows = torch.arange(9)
    assert named.locations == plain.locations
    assert torch.equal(named.batch(rows, ["label"])["label"], plain.batch(rows, ["label"])["label"])
    # Names that are numbers themselves are names.
    backwards = opened(root, classes=["2", "1", "0"]).batch(rows, ["label"])["label"]
    assert torch.equal(backwards, 2 - plain.batch(rows, ["label"])["label"])
    assert " is not one of the classes cat, 2, dog" in refused(root, classes=["cat", "2", "dog"])
    assert "is not one of the classes cat, dog" in refused(root, classes=["cat", "dog"])


def test_captions_without_a_word_are_refused(tmp_path: Path) -> None:
    rows = [{**row, "caption": "..." if i == 4 else "a dog"} for i, row in enumerate(labelled(tmp_path)[1])]
    assert "line 5: there is no word in caption '...'" in refused(write_rows(tmp_path, rows))
    assert opened(tmp_path, on_error="skip").report.faults == {"value": 1}


def test_photos_with_nothing_in_them_are_items(tmp_path: Path) -> None:
    records = [
        Record(f"{i}", {"image": np.full((40, 40), i, np.uint8)}, {"facts": ["cat"] * (i % 2)})
        for i in range(8)
    ]
    folder = opened(Source("made", tmp_path, records))
    assert sorted(folder._tables["facts"].sum(1).tolist()) == [0] * 4 + [1] * 4


def test_a_folder_without_a_path_is_asked_for() -> None:
    with pytest.raises(ValueError, match=r"dataset 'folder' needs path: give path=\.\.\."):
        make_dataset("folder")


def test_mapped_folders_are_the_same_dataset(root: Path, tmp_path: Path) -> None:
    whole = opened(root)
    from mm_envs.data.folder import store

    store._shared.clear()
    mapped = opened(root, memory_gb=0, cache=tmp_path / "cache")
    assert mapped._store.path
    assert mapped.fingerprint() == whole.fingerprint()
    assert equal(everything_of(whole), everything_of(mapped))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"fit": "squeeze"}, "fit='squeeze' is not one of pad, stretch, crop"),
        ({"size": (40, 40, 3)}, "neither one number nor"),
        ({"size": 20}, "below 36x36"),
        ({"channels": 2}, "neither 1 (grey) nor 3"),
        ({"frames": 0}, "frames=0 is below 1"),
        ({"seconds": -1}, "seconds=-1 is not above 0"),
        ({"seconds": float("inf")}, "seconds=inf is not above 0, or has no end"),
        ({"size": 40.5}, "size=40.5 is not a whole number"),
        ({"on_error": "ignore"}, "on_error='ignore' is not one of raise, skip"),
        ({"group": "author"}, "group='author' is no column: there are image_file_name"),
        ({"columns": {"label": "colour"}}, "line 1: there is no column 'colour' for label"),
        ({"classes": ["red", "blue"]}, "label='green' is not one of the classes red, blue"),
        ({"classes": {"colour": ["red"]}}, "classes are given for 'colour'"),
        ({"layout": "nothing"}, "layout='nothing' is not one of"),
        ({"max_tokens": 0}, "max_tokens=0 is below 1"),
        ({"classes": 5}, "classes=5 is not a list of names: give ['cat', 'dog']"),
        ({"classes": {"label": None}}, "classes={'label': None} is not a list of names"),
        ({"classes": "red"}, "classes='red' is not a list of names"),
        ({"memory_gb": "2"}, "memory_gb='2' is not a number from 0 on: give gigabytes"),
        ({"memory_gb": float("nan")}, "memory_gb=nan is not a number from 0 on"),
        ({"memory_gb": -1}, "memory_gb=-1 is not a number from 0 on"),
        ({"path": None}, "path=None is not the path of a folder: give the one"),
        ({"path": b"folder"}, "path=b'folder' is not the path of a folder"),
        ({"cache": 5}, "cache=5 is not the path of a folder"),
        ({"columns": "label"}, "columns='label' is not names of ours with their columns"),
        ({"columns": {"label": 5}}, "columns={'label': 5} is not names of ours"),
        ({"split_by": ["split"]}, "split_by=['split'] is not 'auto', 'hash', a column"),
        ({"group": ["speaker"]}, "group=['speaker'] is not the name of a column"),
        ({"layout": ["idx"]}, "layout=['idx'] is not the name of a layout"),
        ({"seconds": "5"}, "seconds='5' is not a number of seconds"),
        ({"channels": 1.0}, "channels=1.0 is not a whole number"),
        ({"sample_rate": 1}, "sample_rate=1 is not between 1,000 and 384,000 hertz: give"),
    ],
)
def test_arguments_that_do_not_fit(root: Path, arguments: Any, says: str) -> None:
    assert says in refused(**{"path": root, **arguments})


def test_real_sounds_of_speakers() -> None:
    folder = Folder(
        shared("fsdd_spoken_digits"), split_by="hash", group="speaker", sample_rate=4000, seconds=0.5
    )
    assert folder.classes["label"] == tuple("0123456789")
    assert folder.spaces["audio"] == Audio(2000, 4000)
    assert sum(map(len, folder.splits.values())) == 2000
    assert all(map(len, folder.splits.values()))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**25) | st.floats() | st.text(max_size=5)
    | st.sampled_from(["a", "train", "test", "!!", "[1]", "a;b", "x" * 300]),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=2), values, max_size=1),
    max_leaves=4,
)  # fmt: skip
FILES = st.sampled_from(
    ["a.png", "b.png", "s.wav", "c.gif", "bad.png", "dir.png", "../x.png", "none.png", ""]
)
COLUMNS = (
    "label", "text", "question", "answer", "answers", "kind", "facts",
    "caption", "captions", "caption_2", "split", "speaker",
)  # fmt: skip
ROWS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(COLUMNS, VALUES)
    | {f"{kind}file_name": FILES | VALUES for kind in ("", "image_", "audio_", "video_")},
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(ROWS, min_size=1, max_size=4), st.sampled_from(["raise", "skip"]), st.data())
def test_no_manifest_ends_in_an_exception_of_a_library(
    tmp_path_factory: pytest.TempPathFactory, rows: Any, on_error: str, data: Any
) -> None:
    root = tmp_path_factory.mktemp("fuzz")
    for number, name in enumerate(("a.png", "b.png")):
        picture(root / name, number)
    sound(root / "s.wav", 1)
    clip(root / "c.gif", 1)
    (root / "bad.png").write_bytes(b"no picture")
    (root / "dir.png").mkdir()
    text = "\n".join(map(json.dumps, rows))  # escaped: half a surrogate pair is for the reader to refuse
    (root / "metadata.jsonl").write_text(text)
    arguments = {
        "group": data.draw(st.sampled_from([None, "speaker"])),
        "split_by": data.draw(st.sampled_from(["auto", "hash", "split"])),
    }
    try:
        folder = opened(root, on_error=on_error, **arguments)
    except ValueError as error:
        if str(error) and "\n" not in str(error) and type(error).__module__.split(".")[0] != "PIL":
            return
        raise
    assert all(len(rows) == folder.report.items for rows in everything_of(folder).values())
