"""The smallest whole folder of every layout, made on the spot."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


def picture(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 9, 3), np.uint8)).save(path)


def sound(path: Path, seed: int = 0) -> None:
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).uniform(-0.5, 0.5, 400).astype(np.float32), 8000)


def idx(path: Path, values: Any) -> None:
    array = np.asarray(values, np.uint8)
    data = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def metadata(root: Path) -> None:
    text(root / "metadata.csv", "file_name,label\na.png,cat\nb.png,dog\n")
    picture(root / "a.png", 0)
    picture(root / "b.png", 1)


def mnist(root: Path) -> None:
    for part, count in (("train", 5), ("t10k", 3)):
        idx(root / f"{part}-images-idx3-ubyte.gz", np.arange(count * 20).reshape(count, 4, 5) + count)
        idx(root / f"{part}-labels-idx1-ubyte", np.arange(count))


def coco(root: Path) -> None:
    for subset, numbers in (("train2017", (1, 2)), ("val2017", (3,))):
        images = [{"id": n, "file_name": f"{n:012}.jpg"} for n in numbers]
        captions = [
            {"id": 2 * n + k, "image_id": n, "caption": f"caption {k} of {n}\n"}
            for n in numbers
            for k in (0, 1)
        ]
        text(
            root / f"annotations/captions_{subset}.json",
            json.dumps({"images": images, "annotations": captions}),
        )
        for n in numbers:
            picture(root / subset / f"{n:012}.jpg", n)


def vqa(root: Path) -> None:
    for subset, number in (("train2014", 7), ("val2014", 9)):
        questions = [
            {"question_id": number * 10 + k, "image_id": number, "question": f"Is it {k}?"} for k in (0, 1)
        ]
        answers = [
            {"answer": answer, "answer_id": i + 1} for i, answer in enumerate(["yes"] * 7 + ["no"] * 3)
        ]
        annotations = [
            {
                "question_id": one["question_id"],
                "image_id": number,
                "question_type": "is it",
                "answer_type": "yes/no",
                "multiple_choice_answer": "yes",
                "answers": answers,
            }
            for one in questions
        ]
        text(root / f"v2_OpenEnded_mscoco_{subset}_questions.json", json.dumps({"questions": questions}))
        text(root / f"v2_mscoco_{subset}_annotations.json", json.dumps({"annotations": annotations}))
        picture(root / f"images/{subset}/COCO_{subset}_{number:012}.jpg", number)
    text(root / "v2_OpenEnded_mscoco_test2015_questions.json", json.dumps({"questions": []}))


def nlvr(root: Path) -> None:
    lines = [
        {"sentence": f"There are {n} boxes.", "label": label, "identifier": f"{n}-0", "directory": str(n)}
        for n, label in ((0, "true"), (1, "false"))
    ]
    text(root / "dev.json", "".join(json.dumps(line) + "\n" for line in lines))
    for n, k in ((0, 0), (0, 3), (1, 1)):
        picture(root / f"images/{n}/dev-{n}-0-{k}.png", 10 * n + k)


def flickr8k(root: Path) -> None:
    names = [f"{n}_ab.jpg" for n in range(4)]
    text(
        root / "Flickr8k.token.txt", "".join(f"{name}#{k}\tcaption {k} .\n" for name in names for k in (0, 1))
    )
    for part, name in zip(("train", "dev", "test"), names, strict=False):
        text(root / f"Flickr_8k.{part}Images.txt", f"{name}\n")
    for n, name in enumerate(names):
        picture(root / "Flicker8k_Dataset" / name, n)


def esc50(root: Path) -> None:
    lines = ["filename,fold,target,category,esc10,src_file,take"]
    for n, kind in enumerate(("dog", "sea_waves", "dog")):
        lines.append(f"1-{n}-A-{n}.wav,1,{n},{kind},True,{n},A")
        sound(root / f"audio/1-{n}-A-{n}.wav", n)
    text(root / "meta/esc50.csv", "\n".join(lines) + "\n")


def esc10(root: Path) -> None:
    for i, name in enumerate(
        ("001 - Dog bark/1-100-A.ogg", "001 - Dog bark/1-100-B.ogg", "002 - Rain/2-7-A.ogg")
    ):
        sound(root / name, i)


def fsdd(root: Path) -> None:
    for i, name in enumerate(("0_ann_0", "0_ann_12", "3_bob_4", "3_bob_5")):
        sound(root / f"recordings/{name}.wav", i)


def box(name: str, left: float, top: float, right: float, bottom: float) -> str:
    sides = zip(("xmin", "ymin", "xmax", "ymax"), (left, top, right, bottom), strict=True)
    inner = "".join(f"<{side}>{value}</{side}>" for side, value in sides)
    return f"<object><name>{name}</name><bndbox>{inner}</bndbox></object>"


def voc(root: Path) -> None:
    photos = {
        "p0": box("dog", 1, 1, 4, 4) + box("dog", 2, 2, 5, 5.5) + box("cat", 1, 1, 1, 3),
        "p1": box("cat", 0, 0, 8, 8),
        "p2": box("dog", 3, 3, 7, 7),
    }
    for i, (name, objects) in enumerate(photos.items()):
        text(
            root / f"Annotations/{name}.xml",
            f"<annotation><filename>{name}.jpg</filename>{objects}</annotation>",
        )
        picture(root / f"JPEGImages/{name}.jpg", i)
    for part, name in zip(("train", "val", "test"), photos, strict=True):
        text(root / f"ImageSets/Main/{part}.txt", f"{name}\n")


def classes(root: Path) -> None:
    for i, name in enumerate(("train/cat/a.png", "train/dog/a.png", "train/dog/b.png", "val/cat/c.png")):
        picture(root / name, i)
    text(root / "train/dog/Thumbs.db", "not a picture")


MAKERS: dict[str, Callable[[Path], None]] = {
    "metadata": metadata,
    "idx": mnist,
    "coco": coco,
    "vqa": vqa,
    "nlvr": nlvr,
    "flickr8k": flickr8k,
    "esc50": esc50,
    "esc10": esc10,
    "fsdd": fsdd,
    "voc": voc,
    "classes": classes,
}


@pytest.fixture(scope="session")
def makers() -> dict[str, Callable[[Path], None]]:
    """What writes the smallest folder of each layout."""
    return MAKERS


@pytest.fixture
def make(tmp_path: Path) -> Callable[[str], Path]:
    """A fresh folder of a layout."""

    def made(layout: str) -> Path:
        root = tmp_path / layout
        root.mkdir()
        MAKERS[layout](root)
        return root

    return made


@pytest.fixture(params=sorted(MAKERS))
def tree(request: pytest.FixtureRequest, make: Callable[[str], Path]) -> tuple[str, Path]:
    """The name of a layout and a fresh folder of it; a test runs for each."""
    return request.param, make(request.param)
