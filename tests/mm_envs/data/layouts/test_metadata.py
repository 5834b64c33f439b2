import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from folders import picture, write_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_envs.data.layouts import read_source
from mm_envs.data.layouts.columns import Columns, kind_of, split_name
from mm_envs.data.layouts.metadata import read_rows, recognise
from mm_envs.data.records import Source

WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12) | st.sampled_from(
    ["two\nlines", 'say "so"', "a,b", "a\r\nb", "ü", "", " "]
)
QUICK = settings(max_examples=60, deadline=None)


def read(root: Path, on_error: str = "raise", columns: Any = None) -> Source:
    return read_source(root, "metadata", on_error, columns)


def fault(root: Path, **arguments: Any) -> str:
    with pytest.raises(ValueError) as found:
        read(root, **arguments)
    assert "\n" not in str(found.value)
    return str(found.value)


@QUICK
@given(st.lists(st.tuples(WORDS, WORDS, st.integers(-5, 10**6)), min_size=1, max_size=8))
def test_csv_and_json_lines_say_the_same(tmp_path_factory: pytest.TempPathFactory, cells: Any) -> None:
    rows = [
        {"file_name": f"{i}.png", "text": a, "question": b, "label": n} for i, (a, b, n) in enumerate(cells)
    ]
    one = read(write_rows(tmp_path_factory.mktemp("a"), rows))
    other = read(write_rows(tmp_path_factory.mktemp("b"), rows, "csv"))
    assert [record.values for record in one.records] == [record.values for record in other.records]
    assert [record.values.get("text", "") for record in one.records] == [a.strip() for a, _, _ in cells]


@QUICK
@given(st.lists(WORDS, min_size=1, max_size=8))
def test_a_line_of_csv_is_named_by_where_its_row_begins(
    tmp_path_factory: pytest.TempPathFactory, texts: Any
) -> None:
    folder = write_rows(
        tmp_path_factory.mktemp("a"), [{"text": f"x{text}", "n": i} for i, text in enumerate(texts)], "csv"
    )
    raw = (folder / "metadata.csv").read_bytes().split(b"\n")
    for line, row in read_rows(folder / "metadata.csv"):
        # The cell is quoted if it holds a new line, so the line of the file begins with its first line.
        assert isinstance(row, dict)
        begun = raw[line - 1].decode().lstrip('"').replace('""', '"')
        assert begun.startswith(row["text"].split("\n")[0].rstrip("\r")[:5])


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_one_bad_row_of_a_hundred_thousand_is_named(tmp_path: Path, form: str) -> None:
    rows = [{"text": f"item {i}", "label": i % 7} for i in range(100_000)]
    path = write_rows(tmp_path, rows, form) / f"metadata.{form}"
    lines = path.read_bytes().split(b"\n")
    lines[50_000] = b'{"text": "item' if form == "jsonl" else b"item"
    path.write_bytes(b"\n".join(lines))
    assert fault(tmp_path).startswith(f"metadata.{form}, line 50001: ")
    assert sum(isinstance(row, dict) for _, row in read_rows(path)) == 99_999


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_encodings(tmp_path: Path, form: str) -> None:
    path = write_rows(tmp_path, [{"text": "grün"}, {"text": "rot"}], form) / f"metadata.{form}"
    whole = path.read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + whole)
    assert [record.values["text"] for record in read(tmp_path).records] == ["grün", "rot"]
    path.write_bytes(whole.replace("ü".encode(), "ü".encode("latin-1")))
    line = 1 if form == "jsonl" else 2
    assert f"metadata.{form}, line {line}: byte 0xfc at column" in fault(tmp_path)
    assert "save the file as UTF-8" in fault(tmp_path)
    assert [record.values["text"] for record in read(tmp_path, "skip").records] == ["rot"]
    path.write_bytes(whole.decode().encode("utf-16"))
    assert "UTF-16" in fault(tmp_path)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"text": "a"', "write one JSON object"),
        ('["a"]', "it is list"),
        ('{"text": "a", "text": "b"}', "'text' occurs twice"),
        ('{"label": NaN}', "NaN is not a number"),
        ('{"text": "\\ud800"}', "surrogate"),
        ('{"text": ' + "[" * 100_000, "nested too deeply"),
        ('{"text": {"a": 1}}', "column 'text' holds dict"),
        ('{"label": 1.5}', "column 'label' holds float 1.5"),
        ('{"file_name": "../a.png"}', "leaves its folder"),
        ('{"file_name": "/etc/passwd.png"}', "absolute"),
        ('{"file_name": "a\\u0000.png"}', "do not print"),
        ('{"file_name": "a.xyz"}', "by its ending '.xyz'"),
        ('{"file_name": "a.png", "image_file_name": "b.png"}', "two files for image"),
        ('{"name": "a.png"}', "there is no file_name"),
        ('{"file_name;label": "a.png;1"}', "there is one column, 'file_name;label': part columns by commas"),
    ],
)  # fmt: skip
def test_every_fault_names_its_line(tmp_path: Path, line: str, says: str) -> None:
    (tmp_path / "metadata.jsonl").write_text('{"text": "fine"}\n\n' + line + '\n{"text": "fine"}\n')
    sentence = fault(tmp_path)
    assert sentence.startswith("metadata.jsonl, line 3: ")
    assert says in sentence
    source = read(tmp_path, on_error="skip")
    assert len(source.records) == 2
    assert source.skipped == (sentence,)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("text,text\na,b\n", "line 1: column 'text' occurs twice"),
        ("text,label\na,b,c\n", "line 2: there are 3 cells for 2 columns"),
        ('text,label\n"a\nb",c\n"d,e\n', "line 4: a quote that begins here is not closed"),
        ("file_name;label\na.png;b\n", "line 2: there is one column, 'file_name;label': part columns"),
        ('text,facts\na,"[1, 2"\n', "is no JSON list"),
    ],
)
def test_faults_of_csv(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "metadata.csv").write_text(text)
    assert says in fault(tmp_path)


@QUICK
@given(st.binary(max_size=200) | st.text(max_size=60).map(str.encode), st.sampled_from(["jsonl", "csv"]))
def test_no_bytes_end_in_another_exception(
    tmp_path_factory: pytest.TempPathFactory, data: Any, form: str
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / f"metadata.{form}").write_bytes(data)
    for on_error in ("raise", "skip"):
        with suppress(ValueError):
            assert isinstance(read(folder, on_error), Source)


def test_split_folders(tmp_path: Path) -> None:
    for name in ("train", "val", "test"):
        write_rows(tmp_path / name, [{"file_name": f"{name}.png"}])
    source = read(tmp_path)
    assert [(record.split, record.media["image"]) for record in source.records] == [
        ("test", tmp_path / "test" / "test.png"),
        ("train", tmp_path / "train" / "train.png"),
        ("validation", tmp_path / "val" / "val.png"),
    ]
    assert source.records[0].location == "test/metadata.jsonl, line 1"
    write_rows(tmp_path, [{"file_name": "a.png"}])
    assert "keep the one that is meant" in fault(tmp_path)


def test_splits_by_the_folders_of_the_files(tmp_path: Path) -> None:
    rows = [{"file_name": f"{name}/1.png"} for name in ("train", "dev")]
    assert [one.split for one in read(write_rows(tmp_path, rows)).records] == ["train", "validation"]
    rows.append({"file_name": "else/1.png"})
    assert [one.split for one in read(write_rows(tmp_path, rows)).records] == [None, None, None]


def test_a_folder_without_manifest(tmp_path: Path) -> None:
    assert recognise(tmp_path) is None
    assert "holds neither metadata.jsonl nor metadata.csv" in fault(tmp_path)
    write_rows(tmp_path, [{"text": "a"}])
    assert recognise(tmp_path) == "metadata.jsonl: a folder of files in the Hugging Face convention"


def test_values_in_one_form() -> None:
    row = {
        "label": True, "text": " a ", "question": None, "answers": ["no", "yes", "yes"], "caption_1": "x",
        "caption_2": ["y", "z"], "facts": "red; two legs|tall", "kind": 3.0, "other": {"any": "thing"},
    }  # fmt: skip
    assert Columns().values(row) == {
        "label": "true", "text": "a", "answers": ["no", "yes", "yes"], "answer": "yes",
        "captions": ["x", "y", "z"], "facts": ["red", "two legs", "tall"], "kind": "3",
    }  # fmt: skip


def test_files_in_a_column_of_another_name_are_not_left_out_in_silence(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 0)
    write_rows(tmp_path, [{"image": "a.png", "label": "x"}])
    assert "column 'image' holds the file 'a.png'" in fault(tmp_path)
    assert read(tmp_path, columns={"image": "image"}).records[0].media == {"image": tmp_path / "a.png"}
    # A name without a file is a text like any other.
    (tmp_path / "a.png").unlink()
    assert read(tmp_path).records[0].values == {"label": "x"}


def test_a_folder_and_its_column_do_not_contradict_each_other(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    write_rows(tmp_path / "train", [{"text": "a", "split": "train"}, {"text": "b", "split": "test"}])
    assert "train/metadata.jsonl, line 2: split='test' in the folder train" in fault(tmp_path)


def test_a_long_gap_in_a_list_takes_no_time() -> None:
    gap = " " * 10**6  # an expression that looks for a separator from each of them on would take hours
    assert Columns().values({"facts": f"red{gap};{gap}big{gap}dog"})["facts"] == ["red", f"big{gap}dog"]


def test_columns_by_other_names(tmp_path: Path) -> None:
    rows = [{"photo": "a.png", "species": "tern", "label": "ignored", "says": json.dumps(["a", "b"])}]
    columns = {"image": "photo", "label": "species", "captions": "says"}
    for form in ("jsonl", "csv"):
        (one,) = read(write_rows(tmp_path / form, rows, form), columns=columns).records
        assert one.media == {"image": tmp_path / form / "a.png"}
        assert one.values == {"label": "tern", "captions": ["a", "b"]}
    assert "no column 'specie' for label: it has photo" in fault(
        tmp_path / "csv", columns={"label": "specie"}
    )
    assert "columns='labels' is not one of" in fault(tmp_path / "csv", columns={"labels": "species"})


def test_names() -> None:
    assert (kind_of("A.JPG"), kind_of("b/c.gif"), kind_of("d.ogg")) == ("image", "video", "audio")
    assert [split_name(name) for name in ("Train", " dev ", "all")] == ["train", "validation", None]
