"""People who label pairs, and agents that are compared."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console

from feedback.active_learning import CandidatePairs, draw_pairs
from feedback.annotators import make_pool
from feedback.duel import win_rate
from feedback.preferences import CHOICES, Pairwise
from feedback.responses import make_sampler
from feedback.store import PreferenceStore
from mm_envs.__main__ import main
from mm_envs.cli.asking import ask
from mm_envs.cli.person import Person, Question
from mm_envs.tasks import make_task
from mm_envs.tasks.task import Task

ID = "MMClassify-digits-v0"


def records(db: Path, annotator: str | None = None) -> list[Pairwise]:
    with PreferenceStore(db, create=False) as store:
        return [one for one in store.records(annotator=annotator) if isinstance(one, Pairwise)]


def typed(keys: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(keys))


# A person asked by the library ------------------------------------------------------------------------------


class Knowing(Person):
    """Presses the key of the better answer as it is displayed; notes what was displayed."""

    def __init__(self, right: dict[int, str], stop: int | None = None) -> None:
        super().__init__(Console(file=io.StringIO()), lambda: "")
        self.right, self.stop, self.shown = right, stop, list[tuple[str, str]]()

    def compare(self, question: Question) -> tuple[str, float]:
        row = int(question.title.split()[0]) - 1
        if len(self.shown) == self.stop:
            return "quit", 0.0
        self.shown.append((question.left, question.right))
        return ("left" if question.left == self.right[row] else "right"), 0.25


@pytest.fixture(scope="module")
def task() -> Task:
    return make_task("classify", dataset="digits")


@pytest.fixture(scope="module")
def pairs(task: Task) -> CandidatePairs:
    return draw_pairs(ID, make_sampler("right_and_wrong", task), 40)


def test_a_choice_speaks_of_the_answers_whichever_was_displayed_first(
    task: Task, pairs: CandidatePairs, tmp_path: Path
) -> None:
    right = {
        row: task.words(task.oracle(pairs.prompts.take(torch.tensor([row])).reference)[0])
        for row in range(40)
    }
    person = Knowing(right)
    with PreferenceStore(tmp_path / "feedback.db") as store:
        labels, new = ask(person, "anna", task, pairs, store)
    assert new == len(labels) == 40
    for row, (one, shown) in enumerate(zip(labels, person.shown, strict=True)):
        assert one.answers[CHOICES.index(one.choice)] == right[row]
        assert tuple(one.answers[position] for position in one.displayed) == shown
        assert one.latency == 0.25
    # Either order, and each choice, occurs about as often: 99.99 % of fair coins are within these bounds.
    assert 8 <= sum(one.displayed == (0, 1) for one in labels) <= 32
    assert 8 <= sum(one.choice == "first" for one in labels) <= 32
    assert records(tmp_path / "feedback.db") == labels


def test_who_leaves_goes_on_where_they_left(task: Task, pairs: CandidatePairs, tmp_path: Path) -> None:
    right = dict.fromkeys(range(40), "")
    with PreferenceStore(tmp_path / "feedback.db") as store:
        first, new = ask(Knowing(right, stop=3), "anna", task, pairs, store)
        assert (len(first), new) == (3, 3)
        again = Knowing(right)
        labels, new = ask(again, "anna", task, pairs, store)
        assert (len(labels), new, len(again.shown)) == (40, 37, 37)
        assert labels[:3] == first
        assert ask(Knowing(right, stop=1), "bert", task, pairs, store)[1] == 1
        assert store.annotators() == {"anna": 40, "bert": 1}


def test_an_undone_label_is_asked_again_and_the_new_one_counts(
    task: Task, pairs: CandidatePairs, tmp_path: Path
) -> None:
    with PreferenceStore(tmp_path / "feedback.db") as store:
        keys = iter("u1u2tq")
        person = Person(Console(file=io.StringIO()), lambda: next(keys))
        labels, new = ask(person, "anna", task, pairs, store)
        assert [one.choice for one in labels][1] == "tie"
        assert (len(labels), new, store.count()) == (2, 2, 2)
        history = list(store.records(history=True))
        assert [one.withdrawn for one in history] == [False, True, False, False]
        assert labels[0] == history[2]
        assert labels[0].choice != history[0].choice


# mm-envs label ----------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal is not there on Windows")
def test_a_person_labels_with_single_keys_and_an_interrupt_loses_nothing(tmp_path: Path) -> None:
    import pty
    import signal
    import termios

    db, media = tmp_path / "feedback.db", tmp_path / "media"
    words = ["label", ID, "--annotator", "anna", "--db", str(db), "--pairs", "5", "--pictures", str(media)]
    outer, inner = pty.openpty()
    before = termios.tcgetattr(inner)
    program = subprocess.Popen(
        [sys.executable, "-m", "mm_envs", *words], stdin=inner, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert program.stdout is not None
    # What is typed before the first question is dropped.
    for key, labels in (
        ("", "  2  "),
        ("1", "1 is better"),
        ("x", "1 or a"),
        ("b", "2 is better"),
        ("t", "tie"),
    ):
        os.write(outer, key.encode())
        while labels not in (line := program.stdout.readline().decode()):
            assert line, "it ended too early"
    program.send_signal(signal.SIGINT)
    assert program.wait(60) == 130
    program.stdout.close()
    assert program.stderr is not None
    with program.stderr as opened:
        kept, ended = opened.read().decode().splitlines()[-2:]
    assert kept.startswith("3 answers of anna stored in ")
    assert ended == "mm-envs: interrupted"
    assert termios.tcgetattr(inner) == before
    os.close(outer)
    os.close(inner)
    found = records(db)
    assert len(found) == 3
    shown = [(one.choice == "first") == (one.displayed == (0, 1)) for one in found[:2]]
    assert shown == [True, False]
    assert found[2].choice == "tie"
    assert all(one.latency is not None and one.latency > 0 for one in found)
    assert (media / "image.png").is_file()


def test_labels_are_passed_over_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    db = tmp_path / "feedback.db"
    words = ["label", ID, "--annotator", "anna", "--db", str(db), "--pairs", "4", "--json"]
    for keys, new, answered in (("12q", 2, 2), ("s", 1, 3), ("t1", 1, 4), ("1", 0, 4)):
        typed(keys, monkeypatch)
        assert main(words) == 0
        labels = json.loads(capsys.readouterr().out)
        assert (labels["new"], labels["answered"], labels["pairs"]) == (new, answered, 4)
    # As they were displayed: the keys that were pressed, whichever answer was first.
    assert labels["choices"] == {"first": 1, "second": 1, "skip": 1, "tie": 1}
    # What a person labels is learnt from together with the labels of others.
    assert len({one.query for one in records(db)}) == 4


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([ID, "--pairs", "0"], "--pairs 0 is below 1"),
        (["MMDigits-v0"], "'MMDigits-v0' is unknown"),
        ([ID, "--annotator", " "], "--annotator is empty: give your name"),
        ([ID, "--sampler", "policy:nowhere"], "config.json does not exist"),
    ],
)
def test_a_label_that_cannot_be_is_refused(
    words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["label", "--annotator", "anna", "--db", str(tmp_path / "feedback.db"), *words]) == 1
    assert sentence in " ".join(capsys.readouterr().err.split())


# mm-envs compare --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "digits"
    words = ["--steps", "128", "--num-envs", "16", "--eval-episodes", "0", "--threads", "1"]
    words += ["--algo", "sb3-ppo"]
    assert main(["train", ID, "--feedback", "truth", "--out", str(folder), *words]) == 0
    return folder


def compared(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    capsys.readouterr()
    assert main(["compare", *words, "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_a_trained_agent_is_no_policy_to_sample_from(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["label", ID, "--annotator", "anna", "--db", str(tmp_path / "feedback.db")]
    assert main([*words, "--sampler", f"policy:{trained}"]) == 1
    assert "whose policy acts step by step" in " ".join(capsys.readouterr().err.split())


def test_swapped_agents_have_swapped_results(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--items", "40", "--judge", "3 careless", "--votes", "2"]
    one = compared([str(trained), "oracle", *words], capsys)
    other = compared(["oracle", str(trained), *words], capsys)
    assert one["items"] == other["items"] == 40
    assert (one["wins"], one["losses"]) == (other["losses"], other["wins"])
    assert one["rate"][0] == pytest.approx(1 - other["rate"][0])  # type: ignore[index]
    assert one["utility_a"] == other["utility_b"]
    assert one["wins"] + one["losses"] == 2 * (40 - one["same"])  # type: ignore[operator]


def test_an_oracle_finds_what_utility_says(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    db = tmp_path / "feedback.db"
    found = compared([str(trained), "oracle", "--items", "50", "--db", str(db)], capsys)
    assert found["wins"] == 0
    assert found["same"] + found["losses"] == 50  # type: ignore[operator]
    share = found["same"] / 100  # type: ignore[operator]
    low, high = found["rate"][1:]  # type: ignore[index]
    assert found["rate"][0] == pytest.approx(share)  # type: ignore[index]
    assert low < share < high
    assert found["utility_b"]["mean"] == 1.0  # type: ignore[index]
    assert found["gap"]["mean"] == pytest.approx(found["utility_a"]["mean"] - 1)  # type: ignore[index]
    assert len(records(db)) == found["losses"]
    assert records(db)[0].sampler == "agent digits against oracle"
    compared([str(trained), "oracle", "--items", "50", "--db", str(db)], capsys)
    assert len(records(db)) == found["losses"]


def test_a_person_compares_blindly(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    db = tmp_path / "feedback.db"
    words = [str(trained), "blind", "--items", "12", "--judge", "person", "--db", str(db)]
    typed("1111q", monkeypatch)
    capsys.readouterr()
    assert main(["compare", *words]) == 0
    text = capsys.readouterr().out
    assert "blind" not in text[: text.index(" against ")]
    first = records(db, "person")
    assert len(first) == 4
    typed("2" * 12, monkeypatch)
    found = compared(words, capsys)
    assert found["wins"] + found["losses"] == 12 - found["same"]  # type: ignore[operator]
    assert records(db, "person")[:4] == first


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["oracle", "blind"], "give --id, the environment"),
        (["oracle", "nowhere/run"], "nowhere/run is neither a folder"),
        (["oracle", "docs"], "folder docs holds no agent: give one that `mm-envs train` wrote"),
        (["oracle", ID], f"agent {ID!r} is not one of random, oracle, blind, nor a folder"),
        (["oracle", "blind", "--id", ID, "--judge", "neither"], "'neither' is no number with a kind"),
        (["oracle", "blind", "--id", ID, "--items", "0"], "--items 0 is below 1"),
        (["oracle", "blind", "--id", ID, "--split", "tost"], "split='tost' is not one of"),
    ],
)
def test_a_comparison_that_cannot_be_is_refused(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *words]) == 1
    labels = " ".join(capsys.readouterr().err.split())
    assert sentence in labels.replace("agent=", "agent ")
    assert "Traceback" not in labels


def test_words_are_compared_too(capsys: pytest.CaptureFixture[str]) -> None:
    found = compared(["oracle", "random", "--id", "MMCaption-v0", "--items", "8"], capsys)
    assert found["wins"] == 8
    assert found["rate"][1] > 0.5  # type: ignore[index]


def test_agents_of_different_environments_are_refused(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    words = ["--steps", "16", "--num-envs", "2", "--eval-episodes", "0", "--set", "scale=6", "--threads", "1"]
    assert main(["train", ID, "--out", str(other), *words]) == 0
    assert main(["compare", str(trained), str(other)]) == 1
    assert "the agents answer different questions" in " ".join(capsys.readouterr().err.split())


def test_a_win_rate_counts_items_once_and_ties_half(task: Task, pairs: CandidatePairs) -> None:
    pool = make_pool("3 good", task, votes=3)
    from feedback.duel import votes_of

    records = votes_of(pool, task, pairs)
    rate = win_rate(records)
    assert rate is not None
    votes = torch.tensor([[1.0, 0.0, 0.5][CHOICES.index(one.choice)] for one in records]).view(40, 3)
    assert rate.value == pytest.approx(votes.mean(1).mean().item())
    for end in (rate.low, rate.high):
        # The ends of Wilson's interval lie 1.96 standard errors of their own from the share.
        assert abs(end - rate.value) == pytest.approx(1.959964 * (end * (1 - end) / 40) ** 0.5)
    with_ties = win_rate(records, same=60)
    assert with_ties is not None
    assert with_ties.value == pytest.approx((40 * rate.value + 30) / 100)
    assert win_rate([]) is None
