"""Broken manifests: metadata.jsonl and metadata.csv with valid pictures."""

from __future__ import annotations

import csv
import io
import json
from codecs import BOM_UTF8
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.experiments.fuzzing.case import Fault, Maker
from benchmarks.experiments.fuzzing.media import encoded

_SPLITS = ("train", "train", "train", "validation", "test", "train")
_ITEMS = len(_SPLITS)

Row = dict[str, Any]


def rows_of(root: Path, rng: Random) -> list[Row]:
    """Pictures, and the rows of a manifest that is right."""
    rows = []
    for number, split in enumerate(_SPLITS):
        (root / f"{number}.png").write_bytes(encoded("PNG", rng))
        rows.append({"file_name": f"{number}.png", "label": f"kind {number % 2}", "split": split})
    return rows


def written_csv(root: Path, header: Sequence[str], lines: Sequence[Sequence[str]]) -> Path:
    """A metadata.csv."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([header, *lines])
    path = root / "metadata.csv"
    path.write_text(out.getvalue(), encoding="utf-8")
    return path


def written(root: Path, rows: Sequence[Row], form: str) -> Path:
    """A manifest of a form, "jsonl" or "csv"."""
    if form == "csv":
        header = list(dict.fromkeys(name for row in rows for name in row))
        return written_csv(root, header, [[str(row.get(name, "")) for name in header] for row in rows])
    path = root / "metadata.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def value(change: Callable[[Row, Random], Row], form: str, root: Path, rng: Random) -> Fault:
    """One row holds a value that cannot be."""
    rows = rows_of(root, rng)
    bad = rng.choice([0, 1, 2])  # of the training items, so that no split runs empty
    rows[bad] = change(dict(rows[bad]), rng)
    path = written(root, rows, form)
    return Fault((_line(path, bad),), items=_ITEMS - 1)


def line(change: Callable[[bytes, Random], bytes], form: str, root: Path, rng: Random) -> Fault:
    """One line is no line of such a file."""
    path = written(root, rows_of(root, rng), form)
    lines = path.read_bytes().split(b"\n")
    bad = rng.choice([0, 1, 2])
    index = bad + (form == "csv")
    lines[index] = change(lines[index], rng)
    path.write_bytes(b"\n".join(lines))
    return Fault((_line(path, bad),), items=_ITEMS - 1)


def _line(path: Path, row: int) -> str:
    return f"{path.name}, line {row + (2 if path.suffix == '.csv' else 1)}"


def whole(change: Callable[[Path, list[Row], Random], Fault], root: Path, rng: Random) -> Fault:
    """The folder as a whole is wrong."""
    return change(root, rows_of(root, rng), rng)


# One value --------------------------------------------------------------------------------------------------


def missing_file(row: Row, rng: Random) -> Row:
    """A file that is not there."""
    return row | {"file_name": f"missing{rng.randrange(99)}.png"}


def leaving_path(row: Row, rng: Random) -> Row:
    """A name that leaves the folder."""
    names = ["../a.png", "a/../../b.png", "/etc/hostname.png", "C:\\a.png", "..\\a.png", "//host/share/a.png"]
    return row | {"file_name": rng.choice(names)}


def unknown_ending(row: Row, rng: Random) -> Row:
    """A file of no known kind."""
    return row | {"file_name": rng.choice(["a.exe", "a.tar.gz", "a", ".png"])}


def missing_value(row: Row, rng: Random) -> Row:
    """No label, where the others have one."""
    return {name: value for name, value in row.items() if name != "label"}


def unknown_split(row: Row, rng: Random) -> Row:
    """A split of no known name."""
    return row | {"split": rng.choice(["trian", "fold 3", "7", "both"])}


def number_as_name(row: Row, rng: Random) -> Row:
    """A name that is a number or a list."""
    return row | {"file_name": rng.choice([3.5, ["0.png"], {"path": "0.png"}])}


def label_of_no_kind(row: Row, rng: Random) -> Row:
    """A label that is an object, a list or a part of a number."""
    return row | {"label": rng.choice([{"name": "a"}, ["a", "b"], 1.5])}


def nul_in_name(row: Row, rng: Random) -> Row:
    """A name with a byte 0."""
    return row | {"file_name": "0\0.png"}


def two_files(row: Row, rng: Random) -> Row:
    """Two pictures for one item."""
    return row | {"image_file_name": "1.png"}


# One line ---------------------------------------------------------------------------------------------------


def broken_json(content: bytes, rng: Random) -> bytes:
    """No JSON."""
    return rng.choice(
        [
            content[: len(content) // 2],
            content[1:],
            content.replace(b'"', b"'"),
            content[:-1] + b",}",
            content + b"]",
            b"hello",
        ]
    )


def no_object(content: bytes, rng: Random) -> bytes:
    """JSON, but no object."""
    return rng.choice([b'["0.png", "a"]', b"3", b"null", b'"0.png"', b"[" * 100_000])


def key_twice(content: bytes, rng: Random) -> bytes:
    """An object that says one thing twice."""
    return content[:-1] + b', "label": "other"}'


def no_number(content: bytes, rng: Random) -> bytes:
    """A constant that JSON does not have."""
    return content[:-1] + b', "weight": ' + rng.choice([b"NaN", b"Infinity", b"-Infinity"]) + b"}"


def half_character(content: bytes, rng: Random) -> bytes:
    """Half of a surrogate pair."""
    return content[:-1] + b', "text": "\\ud83d"}'


def latin1(content: bytes, rng: Random) -> bytes:
    """A line in Latin-1 in a file in UTF-8."""
    return content.replace(b"kind", rng.choice(["Käse", "señal", "forêt"]).encode("latin-1"))


def nul_bytes(content: bytes, rng: Random) -> bytes:
    """Bytes 0, as a crash leaves them."""
    return b"\0" * len(content) if rng.random() < 0.5 else content[:5] + b"\0" + content[5:]


def ragged(content: bytes, rng: Random) -> bytes:
    """Too few or too many cells."""
    return rng.choice([content.rpartition(b",")[0], content + b",more", content + b",,"])


# The whole folder -------------------------------------------------------------------------------------------


def utf16(root: Path, rows: list[Row], rng: Random) -> Fault:
    """A file in UTF-16."""
    path = written(root, rows, rng.choice(["csv", "jsonl"]))
    path.write_text(path.read_text("utf-8"), encoding="utf-16")
    return Fault((f"{path.name}, line 1",))


def header_twice(root: Path, rows: list[Row], rng: Random) -> Fault:
    """Two columns of one name."""
    written_csv(root, ["file_name", "label", "label"], [[row["file_name"], "a", "b"] for row in rows])
    return Fault(("metadata.csv, line 1", "label"))


def no_header(root: Path, rows: list[Row], rng: Random) -> Fault:
    """Rows without the names of the columns."""
    first, *others = [list(row.values()) for row in rows]
    written_csv(root, first, others)
    return Fault(("metadata.csv, line 2", "file_name"))


def no_column_of_files(root: Path, rows: list[Row], rng: Random) -> Fault:
    """A column of files under an unknown name."""
    written(root, [{"picture": row["file_name"]} for row in rows], "csv")
    return Fault(("metadata.csv, line 2", "file_name"))


def no_named_column(root: Path, rows: list[Row], rng: Random) -> Fault:
    """A column that the user names and that is not there."""
    path = written(root, rows, rng.choice(["csv", "jsonl"]))
    return Fault((path.name, "species"), {"columns": {"label": "species"}})


def file_in_two_splits(root: Path, rows: list[Row], rng: Random) -> Fault:
    """One picture to train on and to be tested with."""
    path = written(root, [*rows, rows[4] | {"split": "train"}], rng.choice(["csv", "jsonl"]))
    return Fault((_line(path, _ITEMS), _line(path, 4), "4.png"), items=_ITEMS)


def content_in_two_splits(root: Path, rows: list[Row], rng: Random) -> Fault:
    """The same under another name."""
    (root / "copy.png").write_bytes((root / "4.png").read_bytes())
    path = written(root, [*rows, rows[4] | {"file_name": "copy.png", "split": "train"}], "jsonl")
    return Fault((_line(path, _ITEMS), "copy.png", "4.png"), items=_ITEMS)


def unknown_label(root: Path, rows: list[Row], rng: Random) -> Fault:
    """A label outside of the classes that are given."""
    bad = rng.choice([0, 1, 2])
    rows[bad]["label"] = "unheard of"
    path = written(root, rows, rng.choice(["csv", "jsonl"]))
    return Fault((_line(path, bad), "unheard of"), {"classes": ["kind 0", "kind 1"]}, items=_ITEMS - 1)


def nothing_to_train_on(root: Path, rows: list[Row], rng: Random) -> Fault:
    """No training item."""
    written(root, [row | {"split": rng.choice(["test", "validation"])} for row in rows], "csv")
    return Fault(("train",))


def no_rows(root: Path, rows: list[Row], rng: Random) -> Fault:
    """A manifest without rows."""
    name, content = rng.choice(
        [("metadata.csv", "file_name,label\n"), ("metadata.csv", ""), ("metadata.jsonl", "\n\n")]
    )
    (root / name).write_text(content, encoding="utf-8")
    return Fault((root.name,))


def two_manifests(root: Path, rows: list[Row], rng: Random) -> Fault:
    """Two manifests that may contradict each other."""
    written(root, rows, "csv")
    written(root, rows, "jsonl")
    return Fault(("metadata.csv", "metadata.jsonl"))


def unclosed_quote(root: Path, rows: list[Row], rng: Random) -> Fault:
    """A quote that goes on to the end of the file."""
    path = written(root, rows, "csv")
    lines = path.read_text("utf-8").split("\n")
    lines[-2] = '5.png,"kind 1,train'
    path.write_text("\n".join(lines), encoding="utf-8")
    return Fault((_line(path, 5),), items=_ITEMS - 1)


def link_out(root: Path, rows: list[Row], rng: Random) -> Fault:
    """A symbolic link that leads out of the folder."""
    (root / "away.png").symlink_to(Path(__file__).resolve())
    rows[1]["file_name"] = "away.png"
    path = written(root, rows, "jsonl")
    return Fault((_line(path, 1), "away.png"), items=_ITEMS - 1)


def folder_as_file(root: Path, rows: list[Row], rng: Random) -> Fault:
    """A folder where a file is named."""
    (root / "folder.png").mkdir()
    rows[1]["file_name"] = "folder.png"
    path = written(root, rows, "csv")
    return Fault((_line(path, 1), "folder.png"), items=_ITEMS - 1)


def group_without_name(root: Path, rows: list[Row], rng: Random) -> Fault:
    """An item that belongs to no group, where groups decide about splits."""
    rows = [row | {"speaker": f"s{i}"} for i, row in enumerate(rows)]
    rows[2]["speaker"] = ""
    path = written(root, rows, rng.choice(["csv", "jsonl"]))
    return Fault((_line(path, 2), "speaker"), {"group": "speaker"})


def vocabulary_of_no_words(root: Path, rows: list[Row], rng: Random) -> Fault:
    """A file of words that holds something else."""
    rows = [row | {"caption": "red and green"} for row in rows]
    written(root, rows, "jsonl")
    content = rng.choice(["{", '{"red": 3}', '["red", 4]', "", '"red"', '["red", "red"]'])
    (root / "words.json").write_text(content, encoding="utf-8")
    return Fault(("words.json",), {"vocabulary": str(root / "words.json")})


def large(count: int, root: Path, rng: Random) -> Fault:
    """One bad line in the middle of very many."""
    rows = rows_of(root, rng)
    lines = [json.dumps(rows[i % _ITEMS]) for i in range(count)]
    bad = count // 2 + rng.randrange(9)
    lines[bad] = lines[bad][:-1]
    (root / "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return Fault((f"metadata.jsonl, line {bad + 1}",), items=count - 1)


_VALUES = (missing_file, leaving_path, unknown_ending, missing_value, unknown_split)
_JSON_VALUES = (number_as_name, label_of_no_kind, nul_in_name, two_files)
_JSON_LINES = (broken_json, no_object, key_twice, no_number, half_character, latin1, nul_bytes)
_CSV_LINES = (ragged, latin1, nul_bytes)
_WHOLE = (
    utf16, header_twice, no_header, no_column_of_files, no_named_column, file_in_two_splits,
    content_in_two_splits, unknown_label, nothing_to_train_on, no_rows, two_manifests, unclosed_quote,
    link_out, folder_as_file, group_without_name, vocabulary_of_no_words,
)  # fmt: skip


def right(form: str, mark: bytes, root: Path, rng: Random) -> None:
    """A folder that is right, with or without a byte order mark."""
    path = written(root, rows_of(root, rng), form)
    path.write_bytes(mark + path.read_bytes())


def controls() -> dict[str, Callable[[Path, Random], object]]:
    """What writes folders that are right, by name."""
    return {
        f"{form}{' with a byte order mark' if mark else ''}": partial(right, form, mark)
        for form in ("jsonl", "csv")
        for mark in (b"", BOM_UTF8)
    }


def makers() -> dict[str, Maker]:
    """Every kind of broken manifest, by name."""
    made: dict[str, Maker] = {}
    for form in ("jsonl", "csv"):
        values = _VALUES + (_JSON_VALUES if form == "jsonl" else ())
        made |= {f"{form} {_name(one)}": partial(value, one, form) for one in values}
        lines = _JSON_LINES if form == "jsonl" else _CSV_LINES
        made |= {f"{form} {_name(change)}": partial(line, change, form) for change in lines}
    return made | {_name(one): partial(whole, one) for one in _WHOLE}


def _name(function: Callable[..., Any]) -> str:
    return function.__name__.replace("_", " ")
