"""The layouts on real data, compared with torchvision where it reads them."""

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from shared_data import shared

from mm_envs.data.faults import Faults
from mm_envs.data.layouts import read_source, recognise
from mm_envs.data.layouts.flickr8k import captions_of
from mm_envs.data.layouts.idx import read_idx
from mm_envs.data.layouts.voc import boxes_of

Make = Callable[[str], Path]


def counted(values: Any) -> dict[Any, int]:
    return dict(Counter(values))


# What the SOURCE.md files say -------------------------------------------------------------------------------


def test_mnist() -> None:
    source = read_source(shared("mnist_t10k"))
    labels = Counter(record.values["label"] for record in source.records)
    assert [labels[str(digit)] for digit in range(10)] == [
        980,
        1135,
        1032,
        1010,
        982,
        892,
        958,
        1028,
        974,
        1009,
    ]
    assert {record.split for record in source.records} == {None}


def test_spoken_digits() -> None:
    records = read_source(shared("fsdd_spoken_digits")).records
    assert counted(record.columns["speaker"] for record in records) == dict.fromkeys(
        ("george", "jackson", "nicolas", "theo"), 500
    )
    assert counted(record.split for record in records) == {"train": 1800, "test": 200}
    assert set(counted(record.values["label"] for record in records).values()) == {200}


def test_esc10() -> None:
    root = shared("esc10_folds12")
    assert [name for name, _ in recognise(root)] == ["esc10", "classes"]
    source = read_source(root)
    assert set(counted(record.values["label"] for record in source.records).values()) == {16}
    folds: dict[str, set[str]] = {}
    for record in source.records:
        folds.setdefault(record.columns["source"], set()).add(record.columns["fold"])
    assert all(len(found) == 1 for found in folds.values()), "clips of one recording are in one fold"
    assert len(folds) < len(source.records)


def test_nlvr() -> None:
    source = read_source(shared("nlvr1_dev"))
    assert len(source.records) == 2967
    assert len({record.columns["identifier"] for record in source.records}) == 989
    assert source.group == "set"


def test_blood_cells() -> None:
    root = shared("bccd_blood_cells")
    source = read_source(root)
    assert source.says.endswith("364 photos, 2 empty boxes left out")
    photos = {record.columns["photo"]: record for record in source.records}
    assert counted(record.split for record in photos.values()) == {"train": 205, "validation": 87, "test": 72}
    boxes = Counter(box[0] for record in photos.values() for box in record.values["boxes"])
    assert sum(boxes.values()) == 4888 - 2
    for record in source.records:
        count = sum(box[0] == record.columns["class"] for box in record.values["boxes"])
        assert record.values["answer"] == (str(count) if count < 20 else "20+")


def test_flickr8k_tokens() -> None:
    root = shared("flickr8k_human_judgements")
    captions = captions_of(root / "Flickr8k.token.txt", Faults())
    assert len(captions) == 8092
    assert {len(texts) for _, texts in captions.values()} == {5}
    with pytest.raises(FileNotFoundError, match=r"1000268201_693b08cb0e.jpg' is not in Flicker8k_Dataset or"):
        read_source(root)


def test_folders_that_no_layout_describes() -> None:
    assert recognise(shared("crema_d_human_votes")) == []
    assert recognise(shared("kilogram_tangrams")) == []


# Beside torchvision -----------------------------------------------------------------------------------------


def test_idx_as_torchvision_reads_it(make: Make) -> None:
    mnist = pytest.importorskip("torchvision.datasets.mnist")
    root = make("idx")
    packed = root / "train-images-idx3-ubyte.gz"
    plain = root / "plain"
    plain.write_bytes(gzip.decompress(packed.read_bytes()))
    theirs = mnist.read_image_file(str(plain))
    assert torch.equal(theirs, torch.from_numpy(read_idx(packed, 3).copy()))
    assert np.array_equal(read_idx(packed, 3), read_idx(plain, 3))
    labels = root / "train-labels-idx1-ubyte"
    assert mnist.read_label_file(str(labels)).tolist() == read_idx(labels, 1).tolist()


def test_boxes_as_torchvision_reads_them() -> None:
    from xml.etree import ElementTree

    voc = pytest.importorskip("torchvision.datasets.voc")
    for path in sorted((shared("bccd_blood_cells") / "BCCD" / "Annotations").glob("*.xml"))[:50]:
        parsed = voc.VOCDetection.parse_voc_xml(ElementTree.parse(path).getroot())["annotation"]
        theirs = [
            (one["name"], *(float(one["bndbox"][side]) for side in ("xmin", "ymin", "xmax", "ymax")))
            for one in parsed["object"]
        ]
        ours, empty = boxes_of(path)
        assert ours == [box for box in theirs if box[1] < box[3] and box[2] < box[4]]
        assert len(ours) + empty == len(theirs)


def test_coco_captions_as_torchvision_reads_them(make: Make) -> None:
    pytest.importorskip("pycocotools")
    from torchvision.datasets import CocoCaptions

    root = make("coco")
    records = {record.columns["image_id"]: record for record in read_source(root).records}
    for subset in ("train2017", "val2017"):
        theirs = CocoCaptions(str(root / subset), str(root / f"annotations/captions_{subset}.json"))
        for i, number in enumerate(theirs.ids):
            record = records.pop(number)
            assert [caption.strip() for caption in theirs[i][1]] == record.values["captions"]
            assert theirs.coco.loadImgs(number)[0]["file_name"] == Path(str(record.media["image"])).name
    assert not records


def test_class_directories_as_torchvision_reads_them(make: Make) -> None:
    from torchvision.datasets import ImageFolder

    root = make("classes")
    records = [record for record in read_source(root).records if record.split == "train"]
    theirs = ImageFolder(str(root / "train"))
    assert [(str(record.media["image"]), record.values["label"]) for record in records] == [
        (path, theirs.classes[number]) for path, number in theirs.samples
    ]


# Choices of our own -----------------------------------------------------------------------------------------


def test_questions_about_absent_classes_are_as_many_as_about_present_ones(tmp_path: Path) -> None:
    names = [f"thing{i}" for i in range(12)]
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "JPEGImages").mkdir()
    rng = np.random.default_rng(0)
    for photo in range(40):
        present = rng.choice(names, int(rng.integers(0, 6)), replace=False)
        inner = "<xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax>"
        objects = "".join(f"<object><name>{name}</name><bndbox>{inner}</bndbox></object>" for name in present)
        (tmp_path / f"Annotations/{photo}.xml").write_text(f"<annotation>{objects}</annotation>")
        (tmp_path / f"JPEGImages/{photo}.jpg").write_bytes(b"")
    records = read_source(tmp_path, "voc").records
    absent: Counter[str] = Counter()
    for photo in range(40):
        asked = [record for record in records if record.columns["photo"] == str(photo)]
        there = sum(record.values["answer"] != "0" for record in asked)
        assert len(asked) == there + max(1, there)
        absent.update(record.columns["class"] for record in asked if record.values["answer"] == "0")
    assert len(absent) == 12, "the absent classes asked about vary from photo to photo"


def test_counts_share_an_answer_from_twenty_on(tmp_path: Path) -> None:
    inner = "<xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax>"
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "JPEGImages").mkdir()
    for count in (19, 20, 31):
        objects = f"<object><name>cell</name><bndbox>{inner}</bndbox></object>" * count
        (tmp_path / f"Annotations/{count}.xml").write_text(f"<annotation>{objects}</annotation>")
        (tmp_path / f"JPEGImages/{count}.png").write_bytes(b"")
    answers = [record.values["answer"] for record in read_source(tmp_path, "voc").records]
    assert answers == ["19", "20+", "20+"]


def test_one_part_alone_says_no_split(make: Make) -> None:
    for layout, pattern in (("idx", "t10k-*"), ("coco", "annotations/*val*"), ("vqa", "*val2014*")):
        root = make(layout)
        for path in root.glob(pattern):
            path.unlink()
        assert {record.split for record in read_source(root).records} == {None}


def test_nlvr_parts_in_directories_of_their_own(make: Make, tmp_path: Path) -> None:
    root = tmp_path / "nlvr_all"
    (root / "train").mkdir(parents=True)
    dev = make("nlvr").rename(root / "dev")
    text = (dev / "dev.json").read_text()
    (root / "train" / "train.json").write_text(text)
    for path in sorted(dev.rglob("*.png")):
        copy = root / "train" / path.relative_to(dev).with_name(path.name.replace("dev-", "train-"))
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    records = read_source(root).records
    assert counted(record.split for record in records) == {"train": 3, "validation": 3}
    assert json.loads(text.splitlines()[0])["sentence"] == records[0].values["question"]
