from __future__ import annotations

import json
from pathlib import Path

import pytest

from feedback.preferences import Approval, Header, Item, Pairwise, Ranking, read_jsonl, to_json, write_jsonl
from feedback.preferences.lines import LONGEST_LINE

ITEM = Item.of_text("Which colour?", environment="MMVQA-v0")
SAID = [
    Pairwise(query="1", item=ITEM.id, annotator="ann", answers=("röt\n", "blue"), choice="tie"),
    Approval(query="2", item=ITEM.id, annotator="bob", answers=("red",), approved=True),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "labels.jsonl"
    assert write_jsonl(file, SAID, [ITEM], "MMVQA-v0", "abcd") == 3
    return file


def test_what_is_written_is_read(path: Path) -> None:
    found = read_jsonl(path)
    assert found.header == Header("MMVQA-v0", "abcd")
    assert (found.items, found.records, found.skipped) == ((ITEM,), tuple(SAID), ())
    assert [json.loads(line).get("kind") for line in path.read_text("utf-8").splitlines()] == [
        None,
        "item",
        "pairwise",
        "approval",
    ]


def test_every_half_of_a_last_line_is_named_or_skipped(path: Path) -> None:
    whole = path.read_bytes()
    begin = whole[:-1].rindex(b"\n") + 1
    for end in range(begin + 1, len(whole) - 1, 3):
        path.write_bytes(whole[:end])
        with pytest.raises(ValueError, match=f"^{path}, line 4: is half-written: "):
            read_jsonl(path)
        found = read_jsonl(path, on_error="skip")
        assert found.records == tuple(SAID[:1])
        assert len(found.skipped) == 1
    path.write_bytes(whole[:-1])  # nothing but the end of the line is missing
    assert read_jsonl(path).records == tuple(SAID)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b"{}", "kind=None is not one of"),
        (b"nonsense", "it is no JSON"),
        (b"[" * 100_000, "it is nested too deep"),
        (b'{"kind":"item","kind":"pairwise"}', "it names a key twice"),
        (b"\xff\xfe", "it is not UTF-8"),
        (b"x" * (LONGEST_LINE + 10), "it is longer than 16,777,216 bytes"),
        (
            b'{"kind":"approval","query":"1","item":"mm1:","annotator":"a","answers":["b"],"approved":NaN}',
            "approval record: approved=nan",
        ),
    ],
)
def test_a_line_in_the_middle_that_is_wrong(path: Path, line: bytes, sentence: str) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"\n", line + b"\n", *lines[2:]]))
    with pytest.raises(ValueError, match=f"^{path}, line 4: {sentence}"):
        read_jsonl(path)
    found = read_jsonl(path, on_error="skip")
    assert found.records == tuple(SAID)
    assert [sentence in one for one in found.skipped] == [True]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "does not say 'mm-envs preferences'"),
        ('{"prompt": "a"}\n', "does not say 'mm-envs preferences'"),
        (
            '{"format":"mm-envs preferences","version":9}\n',
            "version=9 is not one of those known here (1 to 2)",
        ),
        ('{"format":"mm-envs preferences","version":1,"colour":2}\n', "has a field 'colour'"),
        ('{"format":"mm-envs preferences","version":1,"environment":2}\n', "environment=2 is no text"),
        ('{"format":"mm-envs pref', "line 1: it is no JSON"),
    ],
)
def test_another_kind_of_file_is_refused_and_never_skipped(
    tmp_path: Path, content: str, sentence: str
) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(content)
    for on_error in ("raise", "skip"):
        with pytest.raises(ValueError) as refused:
            read_jsonl(file, on_error)
        assert str(refused.value).startswith(str(file))
        assert sentence in str(refused.value)


def test_a_file_that_is_not_finished_replaces_nothing(path: Path) -> None:
    before = path.read_bytes()

    def broken():  # noqa: ANN202
        yield SAID[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_jsonl(path, broken())
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_on_error_is_one_of_two(path: Path) -> None:
    with pytest.raises(ValueError, match="on_error='ignore' is not one of raise, skip"):
        read_jsonl(path, on_error="ignore")


def test_the_longest_record_that_there_may_be_comes_back(tmp_path: Path) -> None:
    longest = tuple("\x01" * 2**16 for _ in range(2**4))
    one = Ranking(query="1", item=ITEM.id, annotator="ann", answers=longest, order=tuple(range(2**4)))
    write_jsonl(tmp_path / "labels.jsonl", [one])
    assert read_jsonl(tmp_path / "labels.jsonl").records == (one,)
    many = {"query": "1", "item": ITEM.id, "annotator": "ann"}
    with pytest.raises(ValueError, match="ranking record: answers have 1,048,577 characters together"):
        Ranking(**many, answers=(*longest, "b"), order=tuple(range(2**4 + 1)))
    with pytest.raises(ValueError, match="ranking record: answers has 65,537 texts: at most 65,536"):
        Ranking(**many, answers=("a",) * 65_537, order=tuple(range(65_537)))


def test_a_number_that_no_float_can_hold_is_left_out_with_its_line(path: Path) -> None:
    with path.open("a") as file:
        file.write(json.dumps({**to_json(SAID[0]), "query": "9", "latency": 10**400}) + "\n")
    found = read_jsonl(path, on_error="skip")
    assert found.records == tuple(SAID)
    assert "line 5: pairwise record: latency=1000" in found.skipped[0]


def test_a_mark_of_utf_8_at_the_beginning_is_no_fault(path: Path) -> None:
    marked = path.with_name("marked.jsonl")
    marked.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_jsonl(marked) == read_jsonl(path)


def test_a_half_written_line_names_its_cure(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"it is no JSON .*: export it again, or skip what is wrong$"):
        read_jsonl(path)
