"""The documentation: blocks run, generated pages are up to date, commands parse, links resolve."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch
import tyro
from PIL import Image

from mm_envs import CONFIGURATIONS, check_vector_env
from mm_envs.__main__ import main
from mm_envs.cli.app import Commands
from mm_envs.data.dataset import DATASETS
from mm_envs.documentation.pages import END_OF_SCORES, GENERATED, SCORES, baselines_of, pages
from mm_envs.documentation.pictures import SHEET, write_pictures
from mm_envs.feedback_sources import FEEDBACKS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
WRITTEN = [README, ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
_BLOCK = re.compile(r"^```(python|sh)(?: title=\"(\S+)\")?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#\s]*)(#[^)\s]*)?\)")
_COMMAND = re.compile(r"^(?: {4})?mm-envs (.*)$", re.MULTILINE)
# Enough to show that it runs.
_SMALLER = {
    r"--steps \d+": "--steps 256 --num-envs 32 --eval-episodes 32",
    r"steps=\d+_000": "steps=256",
    r"learn\(\d+_000\)": "learn(64)",
    r"policy_kwargs=": "n_steps=8, policy_kwargs=",
    "--pairs 2000": "--pairs 200",
    "--pairs 2100": "--pairs 240",
    "--epochs 10 --curve 3": "--epochs 3 --curve 2",
    r"evaluate (\S+)": r"evaluate \1 --episodes 32",
    r"play (\S+)": r"play \1 --episodes 3",
    r"make=make, strict=True\)": "make=make, strict=True, steps=12)",
    "num_envs=1024": "num_envs=32",
    r"\(1024,\)": "(32,)",
}


def _without_scores(text: str) -> str:
    return re.sub(f"{SCORES}.*?{END_OF_SCORES}", "", text, flags=re.DOTALL)


# Generated pages --------------------------------------------------------------------------------------------


def test_pages_are_up_to_date() -> None:
    for name, text in pages(lambda _: None).items():
        stored = (DOCS / name).read_text(encoding="utf-8")
        assert _without_scores(stored) == _without_scores(text), f"docs/{name} is old: run make docs"


@pytest.mark.slow
def test_scores_are_up_to_date() -> None:
    for name, text in pages(baselines_of).items():
        assert (DOCS / name).read_text(encoding="utf-8") == text, f"docs/{name} is old: run make docs"


def test_there_is_a_page_and_a_picture_for_every_id_and_no_other() -> None:
    assert {path.stem for path in (DOCS / GENERATED).iterdir()} == {*CONFIGURATIONS, "README"}
    assert {path.stem for path in (DOCS / "pictures").glob("*.png")} >= set(CONFIGURATIONS)
    for name in CONFIGURATIONS:
        path = DOCS / "pictures" / f"{name}.png"
        assert path.stat().st_size < 100_000
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 150


def test_pictures_are_drawn(tmp_path: Path) -> None:
    card, sheet = write_pictures(tmp_path / "pictures", ["MMVQA-v0"])
    with Image.open(card) as new, Image.open(DOCS / "pictures" / "MMVQA-v0.png") as old:
        assert new.size == old.size
    assert sheet.name == SHEET
    with Image.open(sheet) as picture:
        assert len(set(picture.convert("L").tobytes())) > 10


@pytest.mark.parametrize("name", ["MMCaption-v0", "MMClassify-distribution-v0", "MMVQA-sound-v0"])
def test_the_ticket_of_a_page_reproduces_the_episode(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = (DOCS / GENERATED / f"{name}.md").read_text()
    command = re.search(r"^mm-envs (replay .*)$", text, re.MULTILINE)
    reward = re.search(r"^\| reward \| (\S+) \|$", text, re.MULTILINE)
    assert command
    assert reward
    assert main(shlex.split(command[1])) == 0
    assert re.search(rf"reward +{re.escape(reward[1])}$", capsys.readouterr().out, re.MULTILINE)


# Links, names and commands ----------------------------------------------------------------------------------


def _anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {"#" + re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_resolve() -> None:
    for page in {*ROOT.glob("*.md"), *DOCS.rglob("*.md")}:
        for target, anchor in _LINK.findall(page.read_text(encoding="utf-8")):
            if "://" in target:
                continue
            path = (page.parent / target).resolve() if target else page
            assert path.is_file(), f"{page.name}: {target}"
            assert not anchor or anchor in _anchors(path), f"{page.name}: {target}{anchor}"


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_commands_parse(page: Path) -> None:
    for command in _COMMAND.findall(page.read_text(encoding="utf-8")):
        words = shlex.split(command, comments=True)
        tyro.cli(Commands, args=words, config=(tyro.conf.FlagCreatePairsOff,))


def test_tables_of_names_are_complete() -> None:
    readme = README.read_text(encoding="utf-8")
    assert re.findall(r"^\| `(MM[\w-]+-v\d+)`", readme, re.MULTILINE) == list(CONFIGURATIONS)
    table = re.findall(r"^\| (`.*?) \|", (DOCS / "feedback.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(table))) == set(FEEDBACKS)
    headings = re.findall(r"^## (\w+)$", (DOCS / "datasets.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(headings) == set(DATASETS)
    records = {path.name for path in (DOCS / "decisions").glob("0*.md")}
    index = (DOCS / "decisions" / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\((0\S+\.md)\)", index)) == records


def test_the_readme_is_short() -> None:
    assert README.stat().st_size < 7_000
    assert (ROOT / "ARCHITECTURE.md").stat().st_size < 5_500


@pytest.mark.slow
def test_the_site_builds_without_warnings(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="pip install -e '.[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for page in (tmp_path / "site").rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=[\"']?(https?:[^\"' >]+)", text)
        assert not loaded, f"{page.name} loads {loaded[0]}"


# Blocks -----------------------------------------------------------------------------------------------------


def _run(page: Path, folder: Path) -> dict[str, Any]:
    """Runs the blocks of a page: files are written, Python shares one namespace, commands run in-process."""
    names: dict[str, Any] = {}
    for language, file, block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        for large, small in _SMALLER.items():
            block = re.sub(large, small, block, flags=re.MULTILINE)
        if file:
            (folder / file).write_text(block, encoding="utf-8")
        elif language == "python":
            exec(compile(block, page.name, "exec"), names)
        else:
            for line in block.splitlines():
                words = shlex.split(line, comments=True)
                assert words[0] == "mm-envs"
                assert main(words[1:]) == 0, line
    return names


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


_CHECKED = {"writing_a_task.md", "own_data.md", "annotators.md", "human_feedback.md"}
_OTHERS = [page for page in WRITTEN if page.name not in _CHECKED and _BLOCK.search(page.read_text())]


@pytest.mark.parametrize("page", _OTHERS, ids=lambda page: page.name)
def test_blocks_run(page: Path, there: Path) -> None:
    _run(page, there)


def test_writing_a_task(there: Path) -> None:
    try:
        names = _run(DOCS / "writing_a_task.md", there)
        assert names["report"].ok
        assert len(names["report"].of("holds")) >= 25
        again = partial(names["make"], autoreset_mode="NextStep")
        assert check_vector_env(again(3), make=again, strict=True, steps=6).ok
        scores = names["baseline_scores"](names["dots"].Count())
        assert scores["oracle"].mean == 1.0
        assert scores["random"].mean < scores["blind"].mean < 0.8
        task = names["dots"].Count(items=64)
        batch = task.dataset.batch(torch.arange(64), ["image", "count"])
        assert ((batch["image"] > 0).sum((1, 2, 3)) == 16 * batch["count"]).all()
    finally:
        gym.registry.pop("MMCount-v0", None)
        sys.modules.pop("dots", None)


def test_own_data(there: Path) -> None:
    names = _run(DOCS / "own_data.md", there)
    assert names["episode"].outcome.utility is not None
    assert {"preview.png", "runs", "shapes"} <= {path.name for path in there.iterdir()}


def test_annotators(there: Path) -> None:
    assert _run(DOCS / "annotators.md", there)["mixed"].annotator.shape == (256, 2)


def test_human_feedback(there: Path) -> None:
    assert len(_run(DOCS / "human_feedback.md", there)["batch"].pairs) == 480
    assert (there / "report.html").stat().st_size > 5_000
