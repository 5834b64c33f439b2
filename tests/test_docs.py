"""The documentation: what is written runs, what is made from the code is up to date, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch
from PIL import Image

from mm_envs import CONFIGURATIONS, check_vector_env
from mm_envs.__main__ import main
from mm_envs.cli.docs import WRITTEN, draw, scores_of, texts
from mm_envs.cli.pages import END_OF_SCORES, SCORES

DOCS = Path(__file__).parents[1] / "docs"
_BLOCK = re.compile(r"^```(python|sh)(?: file=(\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#\s]*)(#[^)\s]*)?\)")
# Enough to show that it runs.
_SMALLER = {
    "--steps 40000": "--steps 256 --num-envs 32 --eval-episodes 32",
    "--pairs 2000": "--pairs 200",
    "--pairs 2100": "--pairs 240",
    "--epochs 10 --curve 3": "--epochs 3 --curve 2",
    "--steps 20000": "--steps 256 --num-envs 32 --eval-episodes 32",
    "evaluate runs/shapes": "evaluate runs/shapes --episodes 32",
    "play runs/shapes": "play runs/shapes --episodes 3",
    "steps=100_000": "steps=256",
    "make=make, strict=True)": "make=make, strict=True, steps=12)",
    "num_envs=1024": "num_envs=32",
    "(1024,)": "(32,)",
}


def _without_scores(text: str) -> str:
    return re.sub(f"{SCORES}.*?{END_OF_SCORES}", "", text, flags=re.DOTALL)


# What is made from the code ---------------------------------------------------------------------------------


def test_pages_are_up_to_date() -> None:
    for name, text in texts(lambda _: None).items():
        stored = (DOCS / name).read_text(encoding="utf-8")
        assert _without_scores(stored) == _without_scores(text), f"docs/{name} is old: run make docs"


@pytest.mark.slow
def test_scores_are_up_to_date() -> None:
    for name, text in texts(scores_of).items():
        assert (DOCS / name).read_text(encoding="utf-8") == text, f"docs/{name} is old: run make docs"


def test_there_is_a_page_and_a_picture_for_every_id_and_no_other() -> None:
    assert {path.stem for path in (DOCS / "environments").iterdir()} == set(CONFIGURATIONS)
    assert {path.stem for path in (DOCS / "pictures").glob("*.png")} >= set(CONFIGURATIONS)
    for name in CONFIGURATIONS:
        path = DOCS / "pictures" / f"{name}.png"
        assert path.stat().st_size < 100_000
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 150


def test_pictures_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mm_envs.cli.docs.CONFIGURATIONS", ["MMVQA-v0"])
    (drawn,) = draw(tmp_path / "pictures")
    with Image.open(drawn) as new, Image.open(DOCS / "pictures" / "MMVQA-v0.png") as old:
        assert new.size == old.size


@pytest.mark.parametrize("name", ["MMCaption-v0", "MMClassify-distribution-v0", "MMVQA-sound-v0"])
def test_the_ticket_of_a_page_gives_the_episode_back(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = (DOCS / "environments" / f"{name}.md").read_text()
    command = re.search(r"^mm-envs (replay .*)$", text, re.MULTILINE)
    reward = re.search(r"^\| reward \| (\S+) \|$", text, re.MULTILINE)
    assert command
    assert reward
    assert main(shlex.split(command[1])) == 0
    assert re.search(rf"reward +{re.escape(reward[1])}$", capsys.readouterr().out, re.MULTILINE)


# Links ------------------------------------------------------------------------------------------------------


def _anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {"#" + re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere() -> None:
    pages = sorted(DOCS.rglob("*.md"))
    assert {path.name for path in pages} >= {*WRITTEN, "README.md", "gallery.md"}
    for page in pages:
        for target, anchor in _LINK.findall(page.read_text(encoding="utf-8")):
            if "://" in target:
                continue
            path = (page.parent / target).resolve() if target else page
            assert path.is_file(), f"{page.name}: {target}"
            assert not anchor or anchor in _anchors(path), f"{page.name}: {target}{anchor}"


# What is written by hand ------------------------------------------------------------------------------------


def _run(page: str, folder: Path, space: dict[str, Any]) -> None:
    """Runs the code of a page: files are written, Python runs in one space, commands as a user types them."""
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = _BLOCK.findall(text)
    assert len(blocks) >= 2
    for language, file, block in blocks:
        for large, small in _SMALLER.items():
            block = block.replace(large, small)
        if file:
            (folder / file).write_text(block, encoding="utf-8")
        elif language == "python":
            exec(compile(block, page, "exec"), space)
        else:
            for line in block.splitlines():
                words = shlex.split(line, comments=True)
                assert words[0] == "mm-envs"
                assert main(words[1:]) == 0, line


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_task_of_ones_own(there: Path) -> None:
    space: dict[str, Any] = {}
    try:
        _run("writing_a_task.md", there, space)
        assert space["report"].ok
        assert len(space["report"].of("holds")) >= 25
        again = partial(space["make"], autoreset_mode="NextStep")
        assert check_vector_env(again(3), make=again, strict=True, steps=6).ok
        scores = space["baseline_scores"](space["dots"].Count())
        assert scores["oracle"].mean == 1.0
        assert scores["random"].mean < scores["blind"].mean < 0.8
        task = space["dots"].Count(items=64)
        batch = task.dataset.batch(torch.arange(64), ["image", "count"])
        assert ((batch["image"] > 0).sum((1, 2, 3)) == 16 * batch["count"]).all()
    finally:
        gym.registry.pop("MMCount-v0", None)
        sys.modules.pop("dots", None)


def test_ones_own_data(there: Path) -> None:
    space: dict[str, Any] = {}
    _run("own_data.md", there, space)
    assert space["episode"].outcome.utility is not None
    assert {"preview.png", "runs", "shapes"} <= {path.name for path in there.iterdir()}


def test_tickets_and_resume(there: Path) -> None:
    _run("tickets_and_resume.md", there, {})


def test_annotators(there: Path) -> None:
    space: dict[str, Any] = {}
    _run("annotators.md", there, space)
    assert space["mixed"].annotator.shape == (256, 2)


def test_human_feedback(there: Path) -> None:
    space: dict[str, Any] = {}
    _run("human_feedback.md", there, space)
    assert len(space["batch"].pairs) == 480
    assert (there / "report.html").stat().st_size > 5_000
