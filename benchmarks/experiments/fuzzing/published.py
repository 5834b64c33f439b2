"""Published layouts that are broken: small folders of each, and one thing wrong with them."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.experiments.fuzzing.case import Fault, Maker
from benchmarks.experiments.fuzzing.media import encoded

_ITEMS = 8


def _put(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# Folders that are right -------------------------------------------------------------------------------------


def idx(root: Path, rng: Random) -> Path:
    """Twelve digits in the files of MNIST."""
    _put(root / "t10k-labels-idx1-ubyte", struct.pack(">II", 0x801, 12) + bytes(i % 3 for i in range(12)))
    pixels = rng.randbytes(12 * 28 * 28)
    return _put(root / "t10k-images-idx3-ubyte", struct.pack(">IIII", 0x803, 12, 28, 28) + pixels)


def coco(root: Path, rng: Random) -> Path:
    """Pictures with captions."""
    for i in range(_ITEMS):
        _put(root / f"val2017/{i:012}.jpg", encoded("JPEG", rng))
    content = {
        "images": [{"id": i, "file_name": f"{i:012}.jpg"} for i in range(_ITEMS)],
        "annotations": [{"id": i, "image_id": i, "caption": f"a picture of {i}"} for i in range(_ITEMS)],
    }
    return _put(root / "annotations/captions_val2017.json", json.dumps(content))


def vqa(root: Path, rng: Random) -> Path:
    """Pictures with questions and answers; the file of annotations."""
    for i in range(_ITEMS):
        _put(root / f"images/COCO_val2014_{i:012}.jpg", encoded("JPEG", rng))
    asked = [{"question_id": i, "image_id": i, "question": f"what is {i}"} for i in range(_ITEMS)]
    _put(root / "v2_OpenEnded_mscoco_val2014_questions.json", json.dumps({"questions": asked}))
    content = {
        "question_type": "what is", "answer_type": "other", "multiple_choice_answer": "red",
        "answers": [{"answer": "red"}] * 10,
    }  # fmt: skip
    answers = [{"question_id": i, "image_id": i, **content} for i in range(_ITEMS)]
    return _put(root / "v2_mscoco_val2014_annotations.json", json.dumps({"annotations": answers}))


def nlvr(root: Path, rng: Random) -> Path:
    """Sentences about pictures."""
    lines = []
    for i in range(_ITEMS):
        _put(root / f"images/{i % 2}/dev-{i}-0-0.png", encoded("PNG", rng))
        lines.append(
            {"sentence": f"there are {i}", "label": "true", "identifier": f"{i}-0", "directory": f"{i % 2}"}
        )
    return _put(root / "dev.json", "".join(json.dumps(line) + "\n" for line in lines))


def flickr8k(root: Path, rng: Random) -> Path:
    """Pictures with captions in a table."""
    for i in range(_ITEMS):
        _put(root / f"Flicker8k_Dataset/{i}.jpg", encoded("JPEG", rng))
    return _put(root / "Flickr8k.token.txt", "".join(f"{i}.jpg#0\ta picture of {i}\n" for i in range(_ITEMS)))


def esc50(root: Path, rng: Random) -> Path:
    """Sounds of classes."""
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    for i in range(_ITEMS):
        _put(root / f"audio/1-{i}-A-0.wav", encoded("WAV", rng))
        rows.append(f"1-{i}-A-0.wav,1,{i % 2},kind_{i % 2},True,{i},A")
    return _put(root / "meta/esc50.csv", "\n".join(rows) + "\n")


def fsdd(root: Path, rng: Random) -> Path:
    """Spoken digits; one of the recordings to train on."""
    for i in range(_ITEMS):
        _put(root / f"recordings/{i % 2}_{'ab'[i % 2]}_{i}.wav", encoded("WAV", rng))
    return root / "recordings/0_a_6.wav"


def voc(root: Path, rng: Random) -> Path:
    """Photos with boxes; one of the annotations."""
    for i in range(_ITEMS):
        _put(root / f"JPEGImages/{i}.jpg", encoded("JPEG", rng))
        box = "".join(
            f"<{side}>{5 + 9 * (side[1:] == 'max')}</{side}>" for side in ("xmin", "ymin", "xmax", "ymax")
        )
        found = f"<object><name>dog</name><bndbox>{box}</bndbox></object>"
        _put(
            root / f"Annotations/{i}.xml",
            f"<annotation>\n<filename>{i}.jpg</filename>\n{found}\n</annotation>\n",
        )
    return root / "Annotations/3.xml"


def classes(root: Path, rng: Random) -> Path:
    """A directory for each class; one of the pictures."""
    for i in range(_ITEMS):
        _put(root / f"{'cats' if i % 2 else 'dogs'}/{i}.png", encoded("PNG", rng))
    return root / "cats/3.png"


# What may be wrong ------------------------------------------------------------------------------------------

Build = Callable[[Path, Random], Path]
Change = Callable[[Path, Path, Random], Fault]


def cut(root: Path, path: Path, rng: Random) -> Fault:
    """A file that breaks off."""
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data) // 4, len(data) - 9)])
    return Fault((path.name,))


def in_utf16(root: Path, path: Path, rng: Random) -> Fault:
    """A text in UTF-16."""
    path.write_text(path.read_text("utf-8"), encoding="utf-16")
    return Fault((path.name,))


def in_latin1(root: Path, path: Path, rng: Random) -> Fault:
    """A byte of Latin-1 in the middle of UTF-8."""
    lines = path.read_bytes().split(b"\n")
    bad = len(lines) // 2
    index = max(0, lines[bad].rfind(b"a"))
    lines[bad] = lines[bad][:index] + "é".encode("latin-1") + lines[bad][index + 1 :]
    path.write_bytes(b"\n".join(lines))
    return Fault((path.name, f"line {bad + 1}"))


def without_picture(root: Path, path: Path, rng: Random) -> Fault:
    """A picture or sound that is not there."""
    media = sorted(one for one in root.rglob("*") if one.suffix in (".jpg", ".png", ".wav"))
    gone = rng.choice(media)
    gone.unlink()
    # Of NLVR any order of the boxes would do.
    return Fault((gone.name if "dev-" not in gone.name else gone.name.rpartition("-")[0],))


def with_broken_picture(root: Path, path: Path, rng: Random) -> Fault:
    """A picture or sound that breaks off."""
    media = sorted(one for one in root.rglob("*") if one.suffix in (".jpg", ".png", ".wav"))
    bad = rng.choice(media)
    data = bad.read_bytes()
    bad.write_bytes(data[: len(data) // 2])
    return Fault((bad.name,))


def _json_changed(change: Callable[[Any, Random], None], root: Path, path: Path, rng: Random) -> Fault:
    content = json.loads(path.read_text("utf-8"))
    change(content, rng)
    path.write_text(json.dumps(content), encoding="utf-8")
    # Where two files contradict each other, the question is named.
    return Fault(("questions[3]" if change is other_picture else path.name,))


def no_list(content: Any, rng: Random) -> None:
    """The list of annotations is missing, or something else."""
    if rng.random() < 0.5:
        content["annotations"] = rng.choice([3, "none", {"0": {}}, None])
    else:
        del content["annotations"]


def no_object(content: Any, rng: Random) -> None:
    """Something else than an object in the list."""
    content["annotations"][3] = rng.choice([3, "none", None, [1]])


def wrong_type(content: Any, rng: Random) -> None:
    """A number that is text, a list or missing."""
    content["annotations"][3]["image_id"] = rng.choice(["three", [3], None, 3.5])


def without_caption(content: Any, rng: Random) -> None:
    """A caption that is missing, empty or a number."""
    content["annotations"][3]["caption"] = rng.choice(["", 3, None, ["a"]])


def picture_twice(content: Any, rng: Random) -> None:
    """A number that two pictures have."""
    content["images"][3]["id"] = content["images"][2]["id"]


def leaving(content: Any, rng: Random) -> None:
    """A file name that leaves the folder."""
    content["images"][3]["file_name"] = rng.choice(["../../a.jpg", "/etc/hostname", "..\\a.jpg"])


def answered_twice(content: Any, rng: Random) -> None:
    """A question with two annotations, and another with none."""
    content["annotations"][3]["question_id"] = 2


def other_picture(content: Any, rng: Random) -> None:
    """An annotation about another picture than its question."""
    content["annotations"][3]["image_id"] = 77


def no_answers(content: Any, rng: Random) -> None:
    """Answers that are no list of objects."""
    content["annotations"][3]["answers"] = rng.choice(["red", 3, ["red"], [None]])


def _line_changed(change: Callable[[str, Random], str], root: Path, path: Path, rng: Random) -> Fault:
    lines = path.read_text("utf-8").split("\n")
    lines[3] = change(lines[3], rng)
    path.write_text("\n".join(lines), encoding="utf-8")
    return Fault((path.name, "line 4"))


def no_json(content: str, rng: Random) -> str:
    """No JSON."""
    return rng.choice([content[:-3], content[1:], content.replace('"', "'"), "[]", "7"])


def no_truth(content: str, rng: Random) -> str:
    """Neither true nor false."""
    return content.replace('"true"', rng.choice(['"maybe"', "true", "3", "null"]))


def no_sentence(content: str, rng: Random) -> str:
    """Without its sentence."""
    return content.replace('"sentence"', '"text"')


def no_tab(content: str, rng: Random) -> str:
    """Without the tab, the number of the caption or the caption."""
    return rng.choice(
        [content.replace("\t", " "), content.replace("#0", ""), content.partition("\t")[0] + "\t"]
    )


def ragged(content: str, rng: Random) -> str:
    """Too few or too many cells."""
    return rng.choice([content + ",more", content.rpartition(",")[0]])


def no_name(content: str, rng: Random) -> str:
    """No file."""
    return "," + content.partition(",")[2]


def no_number(content: str, rng: Random) -> str:
    """A side of a box that is no number."""
    return content.replace("<xmin>5<", rng.choice(["<xmin>left<", "<xmin><", "<xmin>nan<"]))


def no_class(content: str, rng: Random) -> str:
    """A box around nothing that is named."""
    return content.replace("<name>dog</name>", "")


def _box_changed(change: Callable[[str, Random], str], root: Path, path: Path, rng: Random) -> Fault:
    path.write_text(change(path.read_text("utf-8"), rng), encoding="utf-8")
    return Fault((path.name,))


def entities(root: Path, path: Path, rng: Random) -> Fault:
    """Declarations that make a small file a huge one."""
    path.write_text('<!DOCTYPE a [<!ENTITY b "b">]>\n' + path.read_text("utf-8"), encoding="utf-8")
    return Fault((path.name,))


def wrong_number(root: Path, path: Path, rng: Random) -> Fault:
    """A file that says it is another one, or holds less or more than it says."""
    data = bytearray(path.read_bytes())
    offset, number = rng.choice([(0, 0x801), (0, 0x12345678), (4, 11), (4, 13), (4, 2**31), (8, 29), (12, 0)])
    struct.pack_into(">I", data, offset, number)
    path.write_bytes(data)
    return Fault((path.name,))


def without_labels(root: Path, path: Path, rng: Random) -> Fault:
    """Pictures without their labels."""
    (root / "t10k-labels-idx1-ubyte").unlink()
    return Fault(("t10k",))


def too_few_labels(root: Path, path: Path, rng: Random) -> Fault:
    """Fewer labels than pictures."""
    _put(root / "t10k-labels-idx1-ubyte", struct.pack(">II", 0x801, 5) + bytes(5))
    return Fault(("t10k-labels-idx1-ubyte",))


def damaged_gzip(root: Path, path: Path, rng: Random) -> Fault:
    """A packed file that breaks off."""
    packed = gzip.compress(path.read_bytes())
    path.unlink()
    _put(root / f"{path.name}.gz", packed[: rng.randrange(20, len(packed) - 9)])
    return Fault((f"{path.name}.gz",))


def without_column(root: Path, path: Path, rng: Random) -> Fault:
    """A table without the column of classes."""
    path.write_text(path.read_text("utf-8").replace("category", "class", 1), encoding="utf-8")
    return Fault((path.name, "category"))


def _changes() -> dict[Build, Sequence[Change]]:
    """Layout -> what may be wrong with it."""
    texts: tuple[Change, ...] = (in_utf16, in_latin1, without_picture, with_broken_picture)
    lists = (no_list, no_object, wrong_type)

    def values(*changes: Callable[[Any, Random], None]) -> list[Change]:
        return [partial(_json_changed, change) for change in changes]

    def lines(*changes: Callable[[str, Random], str]) -> list[Change]:
        return [partial(_line_changed, change) for change in changes]

    return {
        idx: [cut, wrong_number, without_labels, too_few_labels, damaged_gzip],
        coco: [cut, *texts, *values(*lists, without_caption, picture_twice, leaving)],
        vqa: [cut, *texts, *values(*lists, answered_twice, other_picture, no_answers)],
        nlvr: [*texts[1:], *lines(no_json, no_truth, no_sentence)],
        flickr8k: [*texts, *lines(no_tab)],
        esc50: [*texts, without_column, *lines(ragged, no_name)],
        fsdd: [with_broken_picture, cut],
        voc: [cut, *texts, entities, *(partial(_box_changed, one) for one in (no_number, no_class))],
        classes: [with_broken_picture, cut],
    }


def broken(build: Build, change: Change, root: Path, rng: Random) -> Fault:
    """A folder of a layout with one thing wrong with it."""
    return change(root, build(root, rng), rng)


def controls() -> dict[str, Callable[[Path, Random], object]]:
    """What writes folders that are right, by name."""
    return {build.__name__: build for build in _changes()}


def makers() -> dict[str, Maker]:
    """Every kind of broken layout, by name."""
    return {
        f"{build.__name__} {_name(change)}": partial(broken, build, change)
        for build, changes in _changes().items()
        for change in changes
    }


def _name(change: Change) -> str:
    function = change.args[0] if isinstance(change, partial) else change
    return str(function.__name__).replace("_", " ")
