"""Feedback on the command line: collected, fitted, reported on, handed on, and trained on."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image

from feedback.aggregation import AnnotatorSkill
from feedback.calibration import ReliabilityCurve
from feedback.preferences import Approval, Demonstration, Pairwise, Rating, Record, read_trl
from feedback.reports.findings import Annotator, Point
from feedback.reports.plots import calibration_plot, curve_plot, skill_plot
from feedback.store import PreferenceStore
from mm_envs.__main__ import main

ID = "MMClassify-digits-v0"
COLLECT = ["feedback", "collect", ID, "--sampler", "right_and_wrong", "--members", "2"]
POOL = "2 good, 1 coin"


def records(db: Path) -> list[Record]:
    with PreferenceStore(db, create=False) as store:
        return list(store.records())


def label_records(db: Path) -> list[tuple[str, str, str, tuple[int, ...], str]]:
    """What records say, without when."""
    found = [one for one in records(db) if isinstance(one, Pairwise)]
    return [(one.query, one.annotator, one.choice, one.displayed, one.reward_model) for one in found]


def collect(db: Path, pairs: int, *more: str, pool: str = POOL) -> int:
    return main([*COLLECT, "--annotators", pool, "--pairs", str(pairs), "--db", str(db), *more])


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[[], Any]:
    capsys.readouterr()
    return lambda: json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two votes on each of 60 pairs, and a few records of other kinds."""
    path = tmp_path_factory.mktemp("store") / "feedback.db"
    assert collect(path, 60, "--votes", "2") == 0
    one = records(path)[0]
    common = {"item": one.item, "annotator": "<script>alert(1)</script>", "answers": one.answers[:1]}
    with PreferenceStore(path) as store:
        store.add(
            [
                Rating(query="a", rating=4.0, **common),
                Approval(query="b", approved=True, **common),
                Demonstration(query="c", demonstration=one.answers[0], **{**common, "answers": ()}),
                Pairwise(
                    query=one.query, choice="tie", **{**common, "answers": one.answers}, sampler=one.sampler
                ),
            ]
        )
    return path


@pytest.fixture(scope="module")
def model(db: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "reward"
    words = ["--loss", "joint", "--members", "2", "--epochs", "2", "--held-out", "0.25"]
    assert main(["feedback", "fit", "--db", str(db), "--out", str(folder), *words]) == 0
    return folder


# Collecting -------------------------------------------------------------------------------------------------


def test_the_same_again_adds_nothing_and_more_pairs_go_on(tmp_path: Path, printed: Callable[[], Any]) -> None:
    db = tmp_path / "feedback.db"
    online = ("--query", "disagreement", "--rounds", "3", "--json")
    assert collect(db, 12, *online) == 0
    first = printed()
    assert (first["new"], first["pairs"], first["records"]) == (12, 12, 12)
    assert sum(first["choices"].values()) == sum(first["annotators"].values()) == 12
    before = label_records(db)
    assert collect(db, 12, *online) == 0
    assert printed()["new"] == 0
    assert label_records(db) == before
    assert collect(db, 9, *online) == 0
    assert label_records(db) == before
    assert collect(db, 20, *online) == 0
    assert label_records(db)[:12] == before
    assert len({query for query, *_ in label_records(db)}) == 20
    # The first round knows nothing; later ones were chosen by models.
    versions = [version for *_, version in label_records(db)]
    assert versions[:4] == [""] * 4
    assert all(versions[4:12])


def test_an_interrupted_collection_becomes_the_unbroken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    online = ("--query", "entropy", "--rounds", "3", "--votes", "2")
    assert collect(tmp_path / "unbroken.db", 12, *online) == 0
    submit, calls = PreferenceStore.submit, iter(range(100))

    def stopped(self: PreferenceStore, *words: Any) -> Any:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return submit(self, *words)

    with monkeypatch.context() as patch:
        patch.setattr(PreferenceStore, "submit", stopped)
        assert collect(tmp_path / "broken.db", 12, *online) == 130
    assert len(label_records(tmp_path / "broken.db")) == 16
    assert collect(tmp_path / "broken.db", 12, *online) == 0
    assert label_records(tmp_path / "broken.db") == label_records(tmp_path / "unbroken.db")


def test_another_seed_is_another_collection_and_others_are_asked_the_same(tmp_path: Path) -> None:
    db = tmp_path / "feedback.db"
    assert collect(db, 6) == collect(db, 6, "--seed", "1") == collect(db, 6, pool="oracle") == 0
    queries = [query for query, *_ in label_records(db)]
    assert len(queries) == 18
    assert set(queries[:6]) == set(queries[12:])
    assert not set(queries[:6]) & set(queries[6:12])


def test_more_questions_are_drawn_where_answers_are_often_equal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for most, status in ((1, 0), (0, 1)):
        assert collect(tmp_path / "feedback.db", 30, "--sampler", f"edits:0-{most}") == status
    assert len(label_records(tmp_path / "feedback.db")) == 30
    assert "take another sampler" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--query", "doubt"], "--query doubt is not one of uniform"),
        (["--schedule", "none"], "--schedule none is not one of constant"),
        (["--sampler", "edit"], "sampler='edit' is not one of"),
        (["--annotators", "7 goood"], "annotator='goood' is not one of"),
        (["--annotators", "missing.json"], "cannot be read"),
        (["--pairs", "0"], "--pairs 0 is below 1"),
        (["--votes", "9"], "votes=9 is not within 1 to 3"),
        (["--set", "feedback=truth"], "is not for --set"),
        (["--set", "num_envs=3"], "is not for --set"),
        (["--db", "nowhere/feedback.db"], "nowhere does not exist"),
        (["--db", "docs"], "mm-envs: docs is a folder: give the file of a store"),
        (["--split", "tost"], "split='tost' is not one of train"),
    ],
)
def test_what_does_not_fit_is_refused(
    words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert collect(tmp_path / "feedback.db", 4, *words) == 1
    info = " ".join(capsys.readouterr().err.split())
    assert sentence in info
    assert "Traceback" not in info


def test_rounds_are_counted_where_there_are_several(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert collect(tmp_path / "one.db", 4) == 0
    assert capsys.readouterr().err.splitlines() == ["4 of 4 pairs"]
    assert collect(tmp_path / "two.db", 8, "--query", "k_center", "--rounds", "2") == 0
    assert capsys.readouterr().err.splitlines() == ["round 1: 4 of 8 pairs", "round 2: 8 of 8 pairs"]


def test_help_names_every_query() -> None:
    from feedback.queries import QUERIES
    from mm_envs.cli.feedback.collect import Collect

    text = Path("docs/human_feedback.md").read_text(encoding="utf-8")
    for name in QUERIES:
        assert re.search(rf"\b{name}\b", Collect.__doc__ or "")
        assert f"`{name}`" in text


def test_other_votes_than_before_are_refused(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert collect(db, 70, "--votes", "1") == 1
    assert "ask for 2 votes, or use another seed" in " ".join(capsys.readouterr().err.split())


# Fitting ----------------------------------------------------------------------------------------------------


def test_a_fit_says_how_right_it_is_on_items_that_it_has_not_seen(model: Path, db: Path) -> None:
    summary = json.loads((model / "fit.json").read_text())
    assert summary["records"]["fitted"] + summary["records"]["held_out"] == len(records(db)) == 124
    assert {"good-0", "good-1", "coin"} <= set(summary["skill"])
    found = summary["held_out"]
    for what in ("labels", "truth"):
        assert 0 <= found[what]["low"] <= found[what]["accuracy"] <= found[what]["high"] <= 1
        assert found[what]["sampler"] == "one right, others wrong"
    assert found["truth"]["tie_rate"] == 0.0
    assert 0 <= found["ece"] <= 1
    indices = {int(one.item.split(":")[4].split(".")[1]) for one in records(db)}
    assert set(summary["held_out_items"]) < indices
    assert len(summary["held_out_items"]) == round(0.25 * len(indices))


def test_the_next_command_that_is_named_finds_the_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, db = tmp_path / "own files", str(tmp_path / "own labels.db")
    folder.mkdir()
    lines = []
    for number in range(20):
        Image.new("RGB", (8, 8), (12 * number, 0, 0)).save(folder / f"{number}.png")
        colours = ("red", "blue", "green", "brown")
        text = (
            f"a {colours[number % 4]} field {'above' if number % 3 else 'below'} a {colours[number // 5]} one"
        )
        lines.append(json.dumps({"file_name": f"{number}.png", "text": text}))
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    columns = "columns=" + json.dumps({"captions": "text"})
    ask = ["collect", "MMCaption-v0", "--set", columns, "--data", str(folder), "--annotators", "oracle"]
    assert main(["feedback", *ask, "--pairs", "12", "--db", db]) == 0
    (command,) = re.findall("next: mm-envs (.*)", capsys.readouterr().out)
    reward = str(tmp_path / "own reward")
    words = [reward if one == "FOLDER" else one for one in shlex.split(command)]
    assert main([*words, "--members", "1", "--epochs", "1"]) == 0
    (command,) = re.findall("next: mm-envs (.*)", capsys.readouterr().out)
    words = [str(tmp_path / "run") if one == "RUN" else one for one in shlex.split(command)]
    assert words[:4] == ["train", "MMCaption-v0", "--set", columns]
    assert main([*words, "--steps", "8", "--num-envs", "4", "--eval-episodes", "0"]) == 0


@pytest.mark.parametrize("loss", ["bradley_terry", "noise_mix", "davidson"])
def test_every_loss_learns_from_records_of_all_kinds(loss: str, db: Path, tmp_path: Path) -> None:
    words = ["--loss", loss, "--members", "1", "--epochs", "1", "--held-out", "0"]
    assert main(["feedback", "fit", "--db", str(db), "--out", str(tmp_path / "model"), *words]) == 0
    assert json.loads((tmp_path / "model" / "fit.json").read_text())["held_out"] is None


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--loss", "trust"], "--loss trust is not one of bradley_terry"),
        (["--id", "MMVQA-v0"], "holds no records on MMVQA-v0"),
        (["--initial", "nowhere"], "config.json does not exist"),
        (["--held-out", "-1"], "--held-out -1.0 is below 0"),
        (["--held-out", "1"], "--held-out 1.0 leaves nothing to fit"),
        (["--db", "nothing.db"], "nothing.db does not exist: collect or import feedback first"),
    ],
)
def test_a_fit_that_cannot_be_leaves_no_folder(
    words: list[str], sentence: str, db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model"
    assert main(["feedback", "fit", "--db", str(db), "--out", str(out), *words]) == 1
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert not out.exists()


# Training ---------------------------------------------------------------------------------------------------


def test_an_agent_is_trained_on_the_model_and_stored_with_it(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = ["--steps", "64", "--num-envs", "8", "--eval-episodes", "16", "--threads", "1"]
    source = f"reward_model:{model}"
    assert main(["train", ID, "--feedback", source, "--out", str(run), *words]) == 0
    stored = json.loads((run / "agent" / "config.json").read_text())["environment"]["kwargs"]
    assert stored["feedback"] == "reward_model"
    assert stored["feedback_arguments"] == {"path": str(model)}
    capsys.readouterr()
    rewards = []
    for more in ([], ["--feedback", source], ["--feedback", "truth"]):
        assert main(["evaluate", str(run), "--episodes", "16", "--json", *more]) == 0
        rewards.append(json.loads(capsys.readouterr().out)["policies"]["trained"]["reward"])
    assert rewards[0] == rewards[1] != rewards[2]
    assert main(["evaluate", str(run), "--feedback", "reward_model:nowhere"]) == 1
    assert "there is no folder nowhere" in " ".join(capsys.readouterr().err.split())
    config = (run / "agent" / "config.json").read_text()
    (run / "agent" / "config.json").write_text(config.replace(str(model), "os:system"))
    assert main(["evaluate", str(run)]) == 1
    assert "'os:system' in feedback_arguments, which could run code" in " ".join(
        capsys.readouterr().err.split()
    )


# Reporting --------------------------------------------------------------------------------------------------


class Strict(HTMLParser):
    """Every tag is closed, in order; nothing is loaded, nothing runs."""

    empty = ("meta", "br", "img")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        assert not {name for name, _ in attributes} & {"src", "href", "onload", "onerror", "onclick"}
        if tag not in self.empty:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("with_model", [True, False])
def test_a_report_is_one_page_that_loads_nothing(
    with_model: bool, db: Path, model: Path, tmp_path: Path, printed: Callable[[], Any]
) -> None:
    out = tmp_path / "deep" / "report.html"
    words = ["--model", str(model)] if with_model else []
    words += ["--epochs", "1", "--curve", "2", "--json"]
    assert main(["feedback", "report", "--db", str(db), "--out", str(out), *words]) == 0
    found = printed()
    page = out.read_text()
    parser = Strict()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    assert parser.seen.count("svg") == 3
    assert "script" not in parser.seen
    assert "default-src 'none'" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    figures = re.findall(r"<figure.*?</figure>", page, re.DOTALL)
    assert len(figures) == 3
    for figure in figures:
        root = ElementTree.fromstring(figure)
        assert root.get("role") == "img"
        assert root.get("aria-label")
    assert [one["name"] for one in found["annotators"]] == sorted(one["name"] for one in found["annotators"])
    by_name = {one["name"]: one for one in found["annotators"]}
    assert by_name["good-0"]["truth"] > 0.8 > by_name["coin"]["truth"]
    assert found["agreement"]["shared"] == 60
    assert [point["labels"] for point in found["curve"]] == sorted(
        point["labels"] for point in found["curve"]
    )
    assert ("has not seen" in found["scored_by"]) == with_model


def test_skills_come_from_other_votes_where_models_know_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    db, out = tmp_path / "feedback.db", tmp_path / "report.html"
    assert collect(db, 250, "--votes", "3", pool="3 good, 1 coin, 1 adversary") == 0
    capsys.readouterr()
    words = ["--epochs", "1", "--curve", "0", "--json"]
    assert main(["feedback", "report", "--db", str(db), "--out", str(out), *words]) == 0
    found = json.loads(capsys.readouterr().out)
    for one in found["annotators"]:
        assert abs(one["skill"] - one["truth"]) < 0.15, one
        assert one["low"] - 0.1 < one["truth"] < one["high"] + 0.1, one
    verdicts = {one["name"]: one["verdict"] for one in found["annotators"]}
    assert verdicts["adversary"] == "inverted"
    assert verdicts["good-0"] == "keep"


def test_figures_are_xml_whatever_names_say() -> None:
    name = "<\"&'>$\\alpha$"
    skill = AnnotatorSkill(name, 9, 0.5, 0.1, 1.0, 0.5, "keep")
    (drawn,) = {skill_plot([(Annotator(skill, 9, 0, 0, 0.5, 1.0, 0.5, 0.5), "green")]) for _ in range(2)}
    texts = [one.text for one in ElementTree.fromstring(drawn).iter() if one.tag.endswith("text")]
    assert name in texts
    ElementTree.fromstring(curve_plot([Point(9, (0.5, 0.4, 0.6), (0.7, 0.6, 0.8))]))
    one = torch.tensor([0.6])
    ElementTree.fromstring(calibration_plot(ReliabilityCurve(one, one, torch.tensor([9]))))


def test_the_command_line_starts_without_torch() -> None:
    code = "import sys, mm_envs.cli.app; print({'torch', 'sqlalchemy', 'PIL'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"


# Files ------------------------------------------------------------------------------------------------------


def test_what_is_exported_is_imported_once(
    db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, other = tmp_path / "feedback.jsonl", tmp_path / "other.db"
    assert main(["feedback", "export", str(file), "--db", str(db)]) == 0
    for new in (124, 0):
        capsys.readouterr()
        assert main(["feedback", "import", str(file), "--db", str(other), "--json"]) == 0
        arrival = json.loads(capsys.readouterr().out)
        assert (arrival["new"], arrival["known"], arrival["format"]) == (new, 124 - new, "jsonl")
    assert records(other) == records(db)


def test_pairs_go_out_and_in_as_prompt_chosen_rejected(
    db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, other = tmp_path / "pairs.jsonl", tmp_path / "other.db"
    capsys.readouterr()
    assert main(["feedback", "export", str(file), "--db", str(db), "--format", "trl", "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert (info["written"], info["left_out"]) == (120, 4)
    assert {"prompt", "chosen", "rejected"} <= set(json.loads(file.read_text().splitlines()[0]))
    assert len(read_trl(file).records) == 120
    assert main(["feedback", "import", str(file), "--db", str(other), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["format"] == "trl"
    assert {query for query, *_ in label_records(other)} == {
        one.query for one in records(db) if isinstance(one, Pairwise) and one.choice != "tie"
    }


def test_a_broken_file_takes_nothing_unless_lines_may_be_skipped(
    db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, other = tmp_path / "feedback.jsonl", tmp_path / "other.db"
    assert main(["feedback", "export", str(file), "--db", str(db)]) == 0
    file.write_text(file.read_text() + '{"kind": "pairw')
    assert main(["feedback", "import", str(file), "--db", str(other)]) == 1
    assert f"{file}" in capsys.readouterr().err.replace("\n", "")
    (tmp_path / "notes.txt").write_text("milk, bread\n")
    assert main(["feedback", "import", str(tmp_path / "notes.txt"), "--db", str(other)]) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["feedback.jsonl", "notes.txt"]
    capsys.readouterr()
    assert main(["feedback", "import", str(file), "--db", str(other), "--skip", "--json"]) == 0
    arrival = json.loads(capsys.readouterr().out)
    assert arrival["new"] == 124
    assert len(arrival["skipped"]) == 1
    assert main(["feedback", "import", "nowhere.jsonl", "--db", str(other)]) == 1
    assert main(["feedback", "export", str(file), "--db", str(tmp_path / "nothing.db")]) == 1
