"""``mm-envs data`` as a user types it."""

import json
import shlex
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from PIL import Image
from shared_data import shared

from mm_envs.__main__ import main
from mm_envs.cli.sheet import spectrogram

Capture = pytest.CaptureFixture[str]

# The smallest folder of every layout is made where the layouts are tested.
_spec = util.spec_from_file_location("trees", Path(__file__).parents[1] / "data" / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
trees = util.module_from_spec(_spec)
_spec.loader.exec_module(trees)


@pytest.fixture
def make(tmp_path: Path) -> Callable[[str], Path]:
    def made(layout: str) -> Path:
        (root := tmp_path / layout).mkdir()
        trees.MAKERS[layout](root)
        return root

    return made


def run(capsys: Capture, *words: str | Path) -> tuple[int, str, str]:
    status = main(["data", *map(str, words)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def described(capsys: Capture, *words: str | Path) -> dict[str, Any]:
    status, out, _ = run(capsys, "describe", *words, "--json")
    assert status == 0
    info: dict[str, Any] = json.loads(out)
    return info


# describe ---------------------------------------------------------------------------------------------------

IDS = {
    "metadata": {"MMClassify-v0"},
    "idx": {"MMClassify-v0"},
    "coco": {"MMCaption-v0"},
    "vqa": {"MMVQA-v0"},
    "nlvr": {"MMVQA-v0"},
    "flickr8k": {"MMCaption-v0"},
    "esc50": {"MMClassify-v0"},
    "esc10": {"MMClassify-v0"},
    "fsdd": {"MMClassify-v0"},
    "voc": {"MMVQA-v0"},
    "classes": {"MMClassify-v0"},
}


@pytest.mark.parametrize("layout", sorted(IDS))
def test_a_described_folder_runs_as_it_says(
    layout: str, make: Callable[[str], Path], capsys: Capture
) -> None:
    info = described(capsys, make(layout))
    assert info["layout"] == layout
    assert sum(info["items"].values()) >= 2
    assert info["faults"] == []
    assert {one["id"] for one in info["environments"]} >= IDS[layout]
    for one in info["environments"]:
        env = eval(one["python"], {"gym": gym})  # noqa: S307 - the line that a user would paste
        observation, _ = env.reset(seed=0)
        assert set(one["sees"]) <= observation.keys()
        dataset = env.unwrapped.task.dataset
        assert {split: len(indices) for split, indices in dataset.splits.items()} == info["items"]


@pytest.mark.slow
def test_the_line_that_trains_trains(make: Callable[[str], Path], tmp_path: Path, capsys: Capture) -> None:
    (line,) = (one["train"] for one in described(capsys, make("fsdd"))["environments"])
    words = shlex.split(line)
    assert words[:2] == ["mm-envs", "train"]
    words[words.index("--out") + 1] = str(tmp_path / "run")
    assert main([*words[1:], "--steps", "64", "--num-envs", "4", "--eval-episodes", "4"]) == 0


def test_what_a_person_should_know_is_printed(make: Callable[[str], Path], capsys: Capture) -> None:
    root = make("classes")
    for i in range(20):
        trees.picture(root / f"train/dog/{i}.png", 100 + i)
    twin = root / "val/cat/c.png"
    (root / "train/cat/twin.png").write_bytes(twin.read_bytes())
    (root / "train/dog/twin.png").write_bytes((root / "train/dog/3.png").read_bytes())
    trees.picture(root / "val/owl/o.png", 7)
    info = described(capsys, root)
    notes = " ".join(info["warnings"])
    assert "the test split is empty" in notes
    assert "labels are unbalanced: 'dog' 23 times" in notes
    assert "1 labels are in no training item, e.g. 'owl'" in notes
    assert "1 files are there more than once under different names" in notes
    assert len(info["faults"]) == 1
    assert "twin.png" in info["faults"][0]
    assert info["decoded_bytes"] == sum(info["items"].values()) * 3 * 64 * 64


def test_missing_files_are_counted(make: Callable[[str], Path], capsys: Capture) -> None:
    root = make("coco")
    next(root.glob("train2017/*1.jpg")).unlink()
    info = described(capsys, root)
    assert sum(info["items"].values()) == 2
    assert len(info["faults"]) == 1
    status, out, _ = run(capsys, "describe", root)
    assert status == 0
    assert "1 left out" in out


def test_groups_are_columns_that_several_items_share(capsys: Capture) -> None:
    info = described(capsys, shared("fsdd_spoken_digits"))
    assert info["groups"] == {"speaker": 4, "index": 50}
    assert info["split_by"] == "source"
    assert info["media"]["audio"]["sample_rate"] == [8000, 8000]
    assert info["fields"]["label"]["counts"] == dict.fromkeys(map(str, range(10)), 200)
    sounds = described(capsys, shared("esc10_folds12"))
    assert (sounds["group"], sounds["others"], sounds["split_by"]) == ("source", ["classes"], "content")


def test_for_people(make: Callable[[str], Path], capsys: Capture) -> None:
    status, out, _ = run(capsys, "describe", make("voc"))
    assert status == 0
    for words in ("Pascal VOC", "6 items: 2 train, 2 validation, 2 test", "9 x 8 pixels", "photo by default"):
        assert words in out
    assert 'gym.make("MMVQA-v0", dataset="folder", path=' in out


def test_untrusted_text_commands_no_terminal(tmp_path: Path, capsys: Capture) -> None:
    rename, turn = "\x1b]0;mine\x07", "\u202e"
    folder = tmp_path / "[red]"
    folder.mkdir()
    rows = [
        {"text": f"{rename}{i}", f"of{turn}whom": i % 3, "label": f"[bold]{rename}{i % 2}"} for i in range(9)
    ]
    lines = [*map(json.dumps, rows), json.dumps({rename: 1})]
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    status, out, err = run(capsys, "describe", folder)
    assert status == 0
    assert not {"\x1b", "\x07", turn} & {*out, *err}
    assert all(info in out for info in ("[red]", "[bold]\\x1b]0;mine\\x07", "of\\u202ewhom"))


@pytest.mark.parametrize(
    ("words", "info"),
    [
        (["describe", "nowhere"], "folder nowhere does not exist: give the folder"),
        (["describe", "."], "no known layout (looked for metadata.csv or metadata.jsonl; *-images-idx3"),
        (["describe", ".", "--layout", "mnist"], "layout='mnist' is not one of auto, metadata, idx"),
        (["preview", ".", "--out", "x.txt"], "--out .txt is not one of .png"),
        (["preview", ".", "--out", "x.png", "--items", "0"], "--items 0 is below 1"),
        (["pair", "nowhere", ".", "--out", "x"], "folder nowhere does not exist"),
    ],
)
def test_errors(
    words: list[str], info: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = run(capsys, *words)
    assert (status, out) == (1, "")
    assert info in " ".join(err.split())
    assert "Traceback" not in err


# preview ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["classes", "esc10", "voc", "coco", "idx"])
def test_a_sheet_shows_the_items(
    layout: str, make: Callable[[str], Path], tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "sheets" / "sheet.png"
    words = ("preview", make(layout), "--out", out, "--items", "2", "--json")
    status, printed, _ = run(capsys, *words)
    assert status == 0
    info = json.loads(printed)
    assert len(info["items"]) == 2
    sheet = Image.open(out)
    assert list(sheet.size) == info["size"]
    assert len(np.unique(np.asarray(sheet).reshape(-1, 3), axis=0)) > 20
    whole = out.read_bytes()
    run(capsys, *words)
    assert out.read_bytes() == whole, "the seed decides what is drawn"


def test_videos_are_drawn_as_frames(tmp_path: Path, capsys: Capture) -> None:
    for name in ("one", "two"):
        (tmp_path / "clips" / name).mkdir(parents=True)
        colours = ("red", "lime", "blue", "white")
        frames = [Image.new("RGB", (40, 40), colour) for colour in colours]
        frames[0].save(
            tmp_path / f"clips/{name}/a.gif", save_all=True, append_images=frames[1:], duration=100
        )
    out = tmp_path / "sheet.png"
    assert run(capsys, "preview", tmp_path / "clips", "--out", out)[0] == 0
    shown = {tuple(colour) for colour in np.asarray(Image.open(out)).reshape(-1, 3)}
    assert {(255, 0, 0), (0, 255, 0), (0, 0, 255)} <= shown


def test_one_split_and_bad_files(make: Callable[[str], Path], tmp_path: Path, capsys: Capture) -> None:
    root, out = make("voc"), tmp_path / "sheet.png"
    status, printed, _ = run(capsys, "preview", root, "--out", out, "--split", "test", "--json")
    assert status == 0
    assert all("p2.xml" in one for one in json.loads(printed)["items"])
    (root / "JPEGImages/p0.jpg").write_bytes(b"not a picture")
    status, printed, _ = run(capsys, "preview", root, "--out", out, "--json")
    assert [fault.partition(",")[0] for fault in json.loads(printed)["faults"]] == ["Annotations/p0.xml"] * 2
    assert run(capsys, "preview", root, "--out", out, "--split", "train")[0] == 1
    status, _, err = run(capsys, "preview", make("nlvr"), "--out", out, "--split", "test")
    assert status == 1
    assert "says of no item that it is in the test split" in err


def test_a_tone_is_one_line_of_its_spectrogram() -> None:
    time = torch.arange(16_000) / 16_000
    picture = spectrogram(torch.sin(2 * torch.pi * 2000 * time))
    assert picture.shape == (3, 256, 256)
    darkest = picture[0].float().mean(1).argmin()
    assert abs(int(darkest) - (1 - 2000 / 8000) * 256) < 4
    assert torch.equal(spectrogram(torch.zeros(100)), spectrogram(torch.zeros(100)))


# pair -------------------------------------------------------------------------------------------------------


def test_one_folder_out_of_two(make: Callable[[str], Path], tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "both"
    words = ("pair", make("idx"), make("fsdd"), "--by", "label", "--out", out)
    status, printed, _ = run(capsys, *words, "--json")
    assert status == 0
    info = json.loads(printed)
    assert info["pairs"] == {"train": 2, "test": 1}
    assert info["items"] == [8, 4]
    assert info["left_out"] == [5, 1]
    described_pair = described(capsys, out)
    assert described_pair["items"] == {"train": 2, "validation": 0, "test": 1}
    assert described_pair["environments"][0]["sees"] == ["image", "audio"]
    status, _, err = run(capsys, *words)
    assert status == 1
    assert "is not empty: choose another --out, or add --overwrite" in " ".join(err.split())
    whole = (out / "metadata.jsonl").read_bytes()
    assert run(capsys, *words, "--overwrite")[0] == 0
    assert (out / "metadata.jsonl").read_bytes() == whole


def test_nothing_is_written_where_nothing_fits(
    make: Callable[[str], Path], tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "both"
    status, _, err = run(capsys, "pair", make("idx"), make("esc10"), "--out", out)
    assert status == 1
    assert "share no value of 'label' within a split" in " ".join(err.split())
    assert not out.exists()
