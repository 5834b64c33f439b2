from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from feedback.collection import draw_prompts
from feedback.preferences import Approval, Item, Pairwise, from_trl, read_trl, to_json, to_trl, write_trl


def chosen(pair: Pairwise) -> str:
    return pair.answers[("first", "second").index(pair.choice)]


def test_pairs_come_back(tmp_path: Path) -> None:
    _, (ticket,) = draw_prompts("MMVQA-v0", 1)
    item = Item.of_text("Which colour?")
    prompts = {ticket: "Is there a square?", item.id: item.text}
    labels = [
        Pairwise(
            query=str(row),
            item=name,
            annotator="ann",
            sampler="edits",
            answers=("red", str(row)),
            choice=choice,
        )
        for name in prompts
        for row, choice in enumerate(("first", "second", "tie", "skip"))
    ]
    labels.append(Approval(query="9", item=item.id, annotator="ann", answers=("red",), approved=True))
    assert write_trl(tmp_path / "a.jsonl", labels, prompts) == (4, 5)
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert {name: rows[1][name] for name in ("prompt", "chosen", "rejected")} == {
        "prompt": "Is there a square?",
        "chosen": "1",
        "rejected": "red",
    }
    found = read_trl(tmp_path / "a.jsonl")
    assert {one.id: one.text for one in found.items} == prompts
    assert found.items[0].environment == "MMVQA-v0"
    wanted = [one for one in labels if isinstance(one, Pairwise) and one.choice in ("first", "second")]
    assert list(found.records) == wanted


def test_the_chosen_answer_is_not_always_the_first() -> None:
    pairs = [from_trl({"prompt": str(i), "chosen": "a", "rejected": "b"})[1] for i in range(400)]
    first = sum(one.choice == "first" for one in pairs)
    assert 140 < first < 260  # six standard deviations around half
    again = from_trl({"prompt": "7", "chosen": "b", "rejected": "a"})[1]
    assert again.answers == pairs[7].answers  # which one was chosen does not decide the order
    assert again.choice != pairs[7].choice


ASK, GOOD, BAD = (
    {"role": role, "content": content}
    for role, content in (("user", "Sky?"), ("assistant", "blue"), ("assistant", "green"))
)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Sky?", "chosen": "blue", "rejected": "green"},
        {"chosen": "Sky? blue", "rejected": "Sky? green"},
        {"prompt": [ASK], "chosen": [GOOD], "rejected": [BAD]},
        {"chosen": [ASK, GOOD], "rejected": [ASK, BAD]},
        {
            "prompt": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Sky?"}]}],
            "chosen": [{"role": "assistant", "content": [{"type": "text", "text": "blue"}]}],
            "rejected": [BAD],
        },
    ],
)
def test_every_public_layout_is_read(row: dict[str, Any]) -> None:
    item, pair = from_trl(row, annotator="crowd")
    assert (item.text, chosen(pair), set(pair.answers)) == ("Sky?", "blue", {"blue", "green"})
    assert (pair.item, pair.annotator) == (item.id, "crowd")


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ([], "is no JSON object"),
        ({"chosen": "a"}, "there is no column 'rejected'"),
        ({"prompt": "p", "chosen": 1, "rejected": "b"}, "chosen=1 is neither a text nor a list of messages"),
        ({"prompt": "p", "chosen": [1], "rejected": "b"}, "chosen holds 1, which is no message"),
        ({"prompt": "p", "chosen": "a", "rejected": "b", "record": 1}, "1 is no JSON object"),
        (
            {"chosen": "a", "rejected": "b", "record": {"kind": "pairwise"}},
            "pairwise lacks the field 'query'",
        ),
        ({"chosen": [ASK], "rejected": [ASK, BAD]}, "do not differ in a message"),
        ({"prompt": "p", "chosen": "a", "rejected": "a"}, "chosen and rejected are both 'a'"),
    ],
)
def test_a_row_that_is_wrong(tmp_path: Path, row: Any, sentence: str) -> None:
    file = tmp_path / "a.jsonl"
    good = {"prompt": "p", "chosen": "a", "rejected": "b"}
    file.write_text("".join(json.dumps(one) + "\n" for one in (good, row, good)))
    with pytest.raises(ValueError, match=f"^{file}, line 2: .*{sentence}"):
        read_trl(file)
    found = read_trl(file, on_error="skip")
    assert (len(found.records), len(found.skipped)) == (2, 1)


def test_an_item_needs_a_prompt(tmp_path: Path) -> None:
    one = Pairwise(query="7", item=Item.of_text("a").id, annotator="ann", answers=("a", "b"), choice="first")
    with pytest.raises(ValueError, match=r"record 7 speaks of sha256:.*: there is no prompt for it"):
        write_trl(tmp_path / "a.jsonl", [one], {})


def test_only_pairs_need_a_prompt(tmp_path: Path) -> None:
    one = Approval(query="7", item=Item.of_text("a").id, annotator="ann", answers=("a",), approved=True)
    assert write_trl(tmp_path / "a.jsonl", [one], {}) == (0, 1)


@pytest.mark.parametrize("column", ["images", "image"])
def test_the_same_words_about_other_pictures_are_another_item(column: str) -> None:
    rows = [
        {"prompt": "What is it?", "chosen": "a cat", "rejected": "a dog", column: shown}
        for shown in (["1.png"], ["2.png"], ["1.png"], [], None)
    ]
    items = [from_trl(row)[0] for row in rows]
    assert {one.text for one in items} == {"What is it?"}
    assert items[0].id == items[2].id
    assert items[3] == items[4] == Item.of_text("What is it?")
    assert len({one.id for one in items}) == 3
    assert len({from_trl(row)[1].query for row in rows}) == 3


def test_a_record_that_contradicts_its_row_is_refused() -> None:
    one = Pairwise(query="7", item=Item.of_text("p").id, annotator="ann", answers=("a", "b"), choice="first")
    row = to_trl(one, "p")
    assert from_trl(row)[1] == one
    with pytest.raises(ValueError, match="its record says something else than chosen and rejected"):
        from_trl({**row, "chosen": "b", "rejected": "a"})
    with pytest.raises(ValueError, match="its record is no pair of which one was chosen"):
        from_trl({**row, "record": to_json(replace(one, choice="tie"))})
