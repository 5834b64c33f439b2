"""Bad input of every kind: one sentence that names the file, or a count of what was left out."""

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mm_envs.data.layouts import LAYOUTS, read_source, recognise
from mm_envs.data.layouts.idx import read_idx

Make = Callable[[str], Path]
Makers = dict[str, Callable[[Path], None]]

ANNOTATIONS = {
    "metadata": "metadata.csv",
    "idx": "train-*",
    "coco": "annotations/*train*.json",
    "vqa": "*train*.json",
    "nlvr": "dev.json",
    "flickr8k": "*.txt",
    "esc50": "meta/esc50.csv",
    "voc": "Annotations/*.xml",
}


def annotations(root: Path, layout: str) -> list[Path]:
    found = sorted(root.glob(ANNOTATIONS[layout]))
    return found + sorted(root.glob("ImageSets/Main/*.txt"))


def check(error: Exception, root: Path) -> None:
    """An error of ours: one line that names the file."""
    message = str(error)
    assert type(error) in (ValueError, FileNotFoundError) or type(error).__module__.startswith("mm_envs")
    assert "\n" not in message
    assert len(message) < 1200
    assert str(root) in message or "metadata.csv" in message


def outcome(root: Path, layout: str, on_error: str) -> str:
    """What reading gives; anything but success and our own sentence is raised on."""
    try:
        source = read_source(root, layout, on_error)
    except (ValueError, FileNotFoundError) as error:
        check(error, root)
        return "refused"
    for sentence in source.skipped:
        check(ValueError(sentence), root)
    for record in source.records:
        for media in record.media.values():
            assert not isinstance(media, Path) or media.resolve().is_relative_to(root.resolve())
    return "read"


# Mutated files ----------------------------------------------------------------------------------------------

ODD_VALUES: list[Any] = [
    *(None, True, -1, 0, 1e308, 10**400, [], {}, [None], [[[]]]),
    *("", " ", "\0", "../../x.png", "/etc/passwd", "C:\\x", "\ud800", "x" * 5000, "a\nb", "é", "#", "-"),
]
ODD_BYTES = b' \0 \xff\xfe \n \r " { ] < <!DOCTYPE \t , NaN 1e999'.split(b" ")


def mutated(data: bytes, draw: random.Random) -> bytes:
    """A file with some bytes changed, taken out, put in or cut off, or with another value in its JSON."""
    if draw.random() < 0.5:
        try:
            lines = data.decode().splitlines()
            at = draw.randrange(len(lines))
            lines[at] = json.dumps(_with_odd_value(json.loads(lines[at]), draw))
            return "\n".join(lines).encode()
        except (ValueError, IndexError):
            pass
    for _ in range(draw.randint(1, 3)):
        i = draw.randrange(len(data) + 1)
        kind = draw.randrange(4)
        if kind == 0:
            data = data[:i]
        elif kind == 1:
            data = data[:i] + draw.choice(ODD_BYTES) + data[i:]
        elif kind == 2:
            data = data[:i] + draw.randbytes(draw.randint(1, 4)) + data[i + 2 :]
        else:
            data = data[:i] + data[i + draw.randint(1, 20) :]
    return data


def _with_odd_value(value: Any, draw: random.Random) -> Any:
    if isinstance(value, dict) and value and draw.random() < 0.9:
        key = draw.choice(sorted(value))
        if draw.random() < 0.1:
            return {name: one for name, one in value.items() if name != key}
        return {**value, key: _with_odd_value(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.9:
        i = draw.randrange(len(value))
        return [*value[:i], _with_odd_value(value[i], draw), *value[i + 1 :]]
    return draw.choice(ODD_VALUES)


@pytest.mark.parametrize("layout", sorted(ANNOTATIONS))
def test_a_mutated_file_is_read_or_refused_in_one_sentence(layout: str, make: Make) -> None:
    root, draw = make(layout), random.Random(f"mutations of {layout}")
    seen = set()
    for path in annotations(root, layout):
        whole = path.read_bytes()
        for _ in range(30):
            path.write_bytes(mutated(whole, draw))
            recognise(root)
            seen |= {outcome(root, layout, "raise"), outcome(root, layout, "skip")}
        path.write_bytes(whole)
    assert seen == {"read", "refused"}
    assert outcome(root, layout, "raise") == "read"


@pytest.mark.parametrize("layout", sorted(ANNOTATIONS))
def test_a_file_replaced_by_something_else(layout: str, make: Make) -> None:
    root = make(layout)
    for path in annotations(root, layout):
        whole = path.read_bytes()
        for content in (
            b"",
            b"\0" * 64,
            b"\xff\xd8\xff\xe0JFIF",
            b"[" * 100_000,
            b"null",
            "é".encode("utf-16"),
        ):
            path.write_bytes(content)
            recognise(root)
            outcome(root, layout, "raise")
            outcome(root, layout, "skip")
        path.unlink()
        path.mkdir()
        outcome(root, layout, "raise")
        path.rmdir()
        path.write_bytes(whole)


# One fault at a time ----------------------------------------------------------------------------------------


def idx_bytes(kind: int, *shape: int, size: int) -> bytes:
    return bytes((0, 0, kind, len(shape))) + b"".join(side.to_bytes(4, "big") for side in shape) + bytes(size)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "begins with nothing, an IDX file of bytes in 3 dimensions with 00000803"),
        (idx_bytes(8, 2, size=2), "begins with 00000801"),
        (idx_bytes(9, 2, 3, 3, size=18), "begins with 00000903"),
        (idx_bytes(8, 2, 3, 3, size=17), "ends early the 18 bytes"),
        (idx_bytes(8, 2, 3, 3, size=19), "goes on after the 18 bytes"),
        (idx_bytes(8, 0, 3, 3, size=0), "says it holds 0x3x3 bytes"),
        (idx_bytes(8, 2**32 - 1, 2**32 - 1, 2**32 - 1, size=9), "says it holds 4294967295x4294967295x42949"),
        (idx_bytes(8, 60_000, 28, 28, size=9), "says it holds 60000x28x28 bytes"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_that_lie(data: bytes, message: str, packed: bool, tmp_path: Path) -> None:
    path = tmp_path / f"images{'.gz' * packed}"
    path.write_bytes(gzip.compress(data) if packed else data)
    with pytest.raises(ValueError, match=message) as error:
        read_idx(path, 3)
    assert str(path) in str(error.value)


def test_a_gzip_bomb_is_not_unpacked_further_than_it_says(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(idx_bytes(8, 2, 3, 3, size=18) + bytes(50_000_000)))
    with pytest.raises(ValueError, match="goes on after the 18 bytes"):
        read_idx(path, 3)


def test_damaged_gzip(tmp_path: Path) -> None:
    whole = gzip.compress(idx_bytes(8, 2, 3, 3, size=18))
    for data in (whole[:-9], b"no gzip at all", whole[:12] + b"\xff\xff\xff\xff" + whole[16:]):
        path = tmp_path / "images.gz"
        path.write_bytes(data)
        with pytest.raises(ValueError, match="a damaged gzip file"):
            read_idx(path, 3)


def change(path: Path, old: str, new: str) -> None:
    content = path.read_text(encoding="utf-8")
    assert old in content
    path.write_text(content.replace(old, new, 1), encoding="utf-8")


COCO = "annotations/captions_train2017.json"
QUESTIONS, ANSWERS = "v2_OpenEnded_mscoco_train2014_questions.json", "v2_mscoco_train2014_annotations.json"
PHOTO, VAL = "Annotations/p0.xml", "ImageSets/Main/val.txt"

# Layout, file, what is replaced by what there, and the message.
OF_ITEMS = [
    ("coco", COCO, '"id": 2, "file_name"', '"id": 1, "file_name"', r"images\[1\]: id=1 is used twice"),
    ("coco", COCO, "000000000001.jpg", "../../secret.jpg", r"images\[0\]: .*leaves its folder"),
    ("coco", COCO, '"image_id": 2', '"image_id": true', r"annotations\[2\]: image_id=True is not a whole"),
    ("coco", COCO, '"caption 0 of 1\\n"', '"  "', r"annotations\[0\]: caption is empty"),
    ("coco", COCO, '"images": [', '"images": [7, ', r"images\[0\]: 7 is not an object"),
    (
        "vqa",
        ANSWERS,
        '"question_id": 70',
        '"question_id": 5',
        r"questions\[0\]: question 70 has no annotation",
    ),
    ("vqa", ANSWERS, '"image_id": 7', '"image_id": 8', r"questions\[0\]: image_id=7 is 8 in its annotation"),
    (
        "vqa",
        ANSWERS,
        '"question_id": 71',
        '"question_id": 70',
        r"annotations\[1\]: question_id=70 is used twice",
    ),
    ("vqa", ANSWERS, '"yes/no"', "3", "answer_type=3 is not a text"),
    (
        "vqa",
        ANSWERS,
        '"answer": "no"',
        '"answer": null',
        r"annotations\[0\], answers\[7\]: answer=None is not a",
    ),
    (
        "vqa",
        ANSWERS,
        '"answer": "no"',
        '"reply": "no"',
        r"annotations\[0\], answers\[7\]: 'answer' is missing",
    ),
    (
        "vqa",
        ANSWERS,
        '"answer": "no"',
        '"answer": "\\ud800"',
        r"answers\[7\]: answer=.* holds half a character",
    ),
    ("vqa", QUESTIONS, '"Is it 0?"', '"\\ud800"', "question=.*ud800' holds half a character"),
    ("nlvr", "dev.json", '"true"', '"yes"', "line 1: label='yes' is not one of true, false"),
    ("nlvr", "dev.json", '"directory": "1"', '"directory": "../nlvr"', "line 2: no picture"),
    (
        "flickr8k",
        "Flickr8k.token.txt",
        "0_ab.jpg#1\t",
        "0_ab.jpg#1 ",
        "line 2: '0_ab.jpg#1 caption 1 .' is not {",
    ),
    ("esc50", "meta/esc50.csv", "1-0-A-0.wav", "../meta/esc50.csv", "line 2: .*leaves its folder"),
    ("esc50", "meta/esc50.csv", "sea_waves", "", "line 3: 'category' is missing"),
    ("esc50", "meta/esc50.csv", "sea_waves,True", "sea_waves", "line 3: there are 6 cells for 7 columns"),
    ("voc", PHOTO, "<annotation>", "<!DOCTYPE a [<!ENTITY b 'c'>]><annotation>", "p0.xml: declares types or"),
    ("voc", PHOTO, "</annotation>", "</annotatio>", "line 1, column .*: not XML"),
    ("voc", PHOTO, "<xmin>1<", "<xmin>nan<", r"object\[0\]: xmin='nan' is not a number"),
    ("voc", PHOTO, "<name>dog</name>", "", r"object\[0\]: name is missing"),
    ("voc", VAL, "p1", "../../x", "leaves its folder"),
    ("voc", VAL, "p1", "p9", "'p9.xml' is not in Annotations"),
]
OF_FILES = [
    ("coco", COCO, '"images"', '"pictures"', "'images' is missing: add it"),
    ("coco", COCO, "{", "[", "line 1, column 10: not JSON"),
    ("flickr8k", "Flickr_8k.testImages.txt", "2_ab", "0_ab", "'0_ab.jpg' is in Flickr_8k.trainImages.txt"),
    ("voc", VAL, "p1", "p1 p0", "'p0' is in train.txt, too"),
]


def refused(root: Path, layout: str, message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
        read_source(root, layout)
    check(error.value, root)


@pytest.mark.parametrize(("layout", "file", "old", "new", "message"), OF_ITEMS)
def test_a_bad_item_is_refused_or_counted(
    layout: str, file: str, old: str, new: str, message: str, make: Make
) -> None:
    root = make(layout)
    whole = read_source(root).records
    change(root / file, old, new)
    refused(root, layout, message)
    source = read_source(root, layout, "skip")
    assert source.skipped
    assert 0 < len(source.records) <= len(whole)


@pytest.mark.parametrize(("layout", "file", "old", "new", "message"), OF_FILES)
def test_a_bad_file_is_refused_whatever_may_be_skipped(
    layout: str, file: str, old: str, new: str, message: str, make: Make
) -> None:
    root = make(layout)
    change(root / file, old, new)
    refused(root, layout, message)
    with pytest.raises(ValueError, match=message):
        read_source(root, layout, "skip")


def test_names_that_do_not_fit(make: Make) -> None:
    root = make("fsdd")
    (root / "recordings/seven_ann_1.wav").write_bytes(b"")
    with pytest.raises(ValueError, match=r"seven_ann_1\.wav: not called {digit}_{speaker}"):
        read_source(root)
    assert len(read_source(root, on_error="skip").skipped) == 1
    other = make("esc10")
    (other / "002 - Rain/rain.ogg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"rain\.ogg: not called {fold}-{source}"):
        read_source(other)
    assert len(read_source(other, on_error="skip").skipped) == 1


def test_labels_and_pictures_of_different_number(make: Make) -> None:
    root = make("idx")
    (root / "train-labels-idx1-ubyte").write_bytes((root / "t10k-labels-idx1-ubyte").read_bytes())
    with pytest.raises(ValueError, match=r"3 labels for the 5 pictures of train-images-idx3-ubyte\.gz"):
        read_source(root)
    (root / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="its labels are missing: put train-labels-idx"):
        read_source(root)


def test_two_sets_of_the_family_in_one_folder(make: Make) -> None:
    root = make("idx")
    for path in list(root.glob("t10k-*")):
        path.rename(root / f"emnist-{path.name}")
    with pytest.raises(ValueError, match="put each set into a folder of its own"):
        read_source(root)


def test_all_layouts_were_mutated_that_have_something_to_mutate() -> None:
    assert LAYOUTS.keys() - ANNOTATIONS.keys() == {"esc10", "fsdd", "classes"}
