"""The folder's own manifest: metadata.jsonl or metadata.csv as in Hugging Face's imagefolder.

The file lies in the folder itself, or one lies in each of its split folders (``train``, ``validation``,
``test``); the names of files are relative to the folder of the file that says them.
"""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from math import isfinite
from os.path import isfile, splitext
from pathlib import Path, PurePosixPath
from typing import Any

from mm_envs.data.folder.columns import KINDS, Columns, Mapped, split_name
from mm_envs.data.folder.faults import Faults
from mm_envs.data.records import MEDIA_FIELDS, Record, Source

NAMES = ("metadata.jsonl", "metadata.csv")

Row = tuple[int, "dict[str, Any] | str"]  # the number of its first line, and the row or what is wrong with it


def recognise(root: Path) -> str | None:
    """What was found, in a sentence, where there is a metadata file; else None."""
    found = _manifests(Path(root))
    if not found:
        return None
    names = ", ".join(path.relative_to(root).as_posix() for path in found)
    return f"{names}: a folder of files in the Hugging Face convention"


def read(root: Path, on_error: str = "raise", columns: Mapped | None = None) -> Source:
    """The items that the metadata of a folder names.

    Args:
        root: The folder.
        on_error: ``"raise"``, or ``"skip"`` to leave bad lines out and count them.
        columns: Field -> the column that holds it, where it has another name.

    Raises:
        ValueError: There is no metadata, or it cannot be read; the message names file and line.
    """
    root, faults, known = Path(root), Faults(on_error), Columns(columns)
    manifests = _manifests(root)
    if not manifests:
        raise ValueError(f"{root} holds neither {' nor '.join(NAMES)}: write one, or choose another layout")
    _refuse_two(manifests)
    records: list[Record] = []
    for path in manifests:
        folder_split = split_name(path.parent.name) if path.parent != root else None
        records += _records(path, root, known, folder_split, faults)
    _refuse_unseen_files(records, root)
    records = _split_by_folder(records, root)
    says = f"{recognise(root)}: {len(records)} items"
    return Source("metadata", root, records, tuple(faults.sentences), says)


def _manifests(root: Path) -> list[Path]:
    """The metadata files of a folder, its own and those of its split folders, in the order of their names."""
    own = [root / name for name in NAMES if (root / name).is_file()]
    below = [
        folder / name
        for folder in (sorted(root.iterdir()) if root.is_dir() else [])
        if split_name(folder.name) and folder.is_dir()
        for name in NAMES
        if (folder / name).is_file()
    ]
    return own + below


def _refuse_two(manifests: list[Path]) -> None:
    folders = [path.parent for path in manifests]
    for path, other in pairwise(manifests):
        if path.parent == other.parent or folders[0] == other.parent.parent:
            raise ValueError(f"there are both {path} and {other}: keep the one that is meant")


def _records(path: Path, root: Path, columns: Columns, split: str | None, faults: Faults) -> list[Record]:
    name = path.relative_to(root).as_posix()
    made = []
    for line, row in read_rows(path):
        place = f"{name}, line {line}"
        if isinstance(row, str):
            faults.add("line", f"{place}: {row}")
            continue
        try:
            one = columns.record(place, path.parent, row)
        except ValueError as error:
            faults.add("line", f"{place}: {error}")
            continue
        if not one.media and not one.values:
            faults.add("line", f"{place}: {_nothing(row)}")
            continue
        if split and one.split and split != one.split:
            faults.add("line", f"{place}: split={row['split']!r} in the folder {path.parent.name}: keep one")
            continue
        made.append(Record(place, one.media, one.values, split or one.split, row))
    return made


def _nothing(row: Mapping[str, Any]) -> str:
    if len(row) == 1 and any(sign in next(iter(row)) for sign in ";\t"):
        return f"there is one column, {next(iter(row))!r}: part columns by commas"
    return (
        f"there is no file_name (nor {', '.join(f'{field}_file_name' for field in MEDIA_FIELDS)}) among "
        f"{', '.join(map(repr, row))}: add the column, or name it with columns={{'image': 'their name'}}"
    )


def _refuse_unseen_files(records: list[Record], root: Path) -> None:
    """Refuses files that stand in a column of another name, where they would be left out in silence."""
    if not records or any(one.media for one in records):
        return
    first = records[0]
    for name, value in first.columns.items():
        ending = splitext(value)[1].lower() if isinstance(value, str) else ""
        if ending in KINDS and isfile((root / first.place).parent / value):
            raise ValueError(
                f"{first.place}: column {name!r} holds the file {value!r}, and no column holds files by its "
                f"name: call it file_name, or give columns={{{KINDS[ending]!r}: {name!r}}}"
            )


def _split_by_folder(records: list[Record], root: Path) -> list[Record]:
    """Splits by the first folder of the file names, where all of them begin with the name of one."""
    if not records or any(one.split or "split" in one.columns for one in records):
        return records
    splits = []
    for one in records:
        tops = {_top(path, root) for path in one.media.values()}
        top = tops.pop() if len(tops) == 1 else None
        if top is None:
            return records
        splits.append(top)
    return [
        Record(one.place, one.media, one.values, split, one.columns)
        for one, split in zip(records, splits, strict=True)
    ]


def _top(path: Any, root: Path) -> str | None:
    if not isinstance(path, Path) or not path.is_relative_to(root):
        return None
    parts = PurePosixPath(path.relative_to(root).as_posix()).parts
    return split_name(parts[0]) if len(parts) > 1 else None


# Rows -------------------------------------------------------------------------------------------------------


def read_rows(path: Path) -> Iterator[Row]:
    r"""The rows of a JSON lines or CSV file, with the number of their first line; of bad ones what is wrong.

    Raises:
        ValueError: The file as a whole cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "metadata.csv"
        ...     _ = path.write_text("file_name,text\na.png,red\nb.png\n")
        ...     for row in read_rows(path):
        ...         print(row)
        (2, {'file_name': 'a.png', 'text': 'red'})
        (3, 'there are 1 cells for 2 columns: put text that holds commas or new lines into "quotes"')
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
            for mark, encoding in ((codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16")):
                if start.startswith(mark):
                    raise ValueError(f"{path.name}, line 1: the file is in {encoding}: save it as UTF-8")
            file.seek(len(codecs.BOM_UTF8) if start.startswith(codecs.BOM_UTF8) else 0)
            yield from (_json_rows(file) if path.suffix == ".jsonl" else _csv_rows(file, path.name))
    except OSError as error:
        raise ValueError(f"{path} cannot be opened ({error.strerror}): make it readable") from None


def _json_rows(lines: Iterable[bytes]) -> Iterator[Row]:
    for number, raw in enumerate(lines, 1):
        if not raw.strip():
            continue
        try:
            text = raw.decode().strip()
        except UnicodeDecodeError as error:
            yield number, _not_utf8(error)
            continue
        yield number, _object(text)


def _object(text: str) -> dict[str, Any] | str:
    try:
        row = json.loads(text, object_pairs_hook=_once, parse_constant=no_number, parse_float=finite)
        if "\\u" in text:
            json.dumps(row, ensure_ascii=False).encode()  # half of a surrogate pair is no character
    except json.JSONDecodeError as error:
        return f"{error.msg.removesuffix(' at')} at column {error.colno}: write one JSON object in each line"
    except UnicodeEncodeError:
        return "it holds half of a surrogate pair (\\ud800 to \\udfff): write the whole character"
    except RecursionError:
        return "it is nested too deeply: write one flat JSON object in each line"
    except ValueError as error:
        return f"{error}: write one JSON object in each line"
    if not isinstance(row, dict):
        return f"it is {type(row).__name__} {row!r:.40}: write one JSON object in each line"
    return row


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(
            f"{next(name for name in names if names.count(name) > 1)!r} stands twice in one object"
        )
    return made


def no_number(name: str) -> Any:
    """Refuses NaN and Infinity, for ``parse_constant`` of ``json.loads``: they are no JSON.

    Raises:
        ValueError: Always.
    """
    raise ValueError(f"{name} is not a number")


def finite(digits: str) -> float:
    """A number that has an end, for ``parse_float`` of ``json.loads``, which takes 1e999 for infinity.

    Raises:
        ValueError: It is larger than any float.
    """
    if not isfinite(number := float(digits)):
        raise ValueError(f"{digits:.40} is too large a number")
    return number


def _not_utf8(error: UnicodeDecodeError) -> str:
    byte = error.object[error.start]
    return f"byte 0x{byte:02x} at column {error.start + 1} is not UTF-8: save the file as UTF-8"


def _csv_rows(lines: Iterable[bytes], name: str) -> Iterator[Row]:
    bad: dict[int, str] = {}
    return _cells(csv.reader(_decoded(lines, bad), strict=True), bad, name)


def _decoded(lines: Iterable[bytes], bad: dict[int, str]) -> Iterator[str]:
    """The lines as text; what is wrong with those that are not UTF-8 is noted by their numbers."""
    for number, raw in enumerate(lines, 1):
        try:
            yield raw.decode()
        except UnicodeDecodeError as error:
            bad[number] = _not_utf8(error)
            yield raw.decode(errors="replace")


def _cells(reader: Any, bad: dict[int, str], name: str) -> Iterator[Row]:
    header: list[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            cells = _csv_fault(str(error))
        wrong = next((f"{bad[n]}" for n in range(line, reader.line_num + 1) if n in bad), None)
        if header is None:
            header = _header(wrong or cells, f"{name}, line {line}")
        elif wrong or isinstance(cells, str):
            yield line, wrong or cells
        elif cells and len(cells) != len(header):
            advice = 'put text that holds commas or new lines into "quotes"'
            yield line, f"there are {len(cells)} cells for {len(header)} columns: {advice}"
        elif cells:
            yield line, dict(zip(header, cells, strict=True))


def _csv_fault(said: str) -> str:
    """What the reader of CSV says, in words of people who do not program."""
    if "unexpected end" in said or "field larger" in said:
        return 'a quote that begins here is not closed, or a cell has over 131,072 letters: close it with "'
    if "new-line character" in said:
        return "lines end in the old way of the Macintosh: save the file with line ends of Unix or Windows"
    return f'{said}: put text that holds commas, quotes or new lines into "quotes"'


def _header(cells: list[str] | str, place: str) -> list[str]:
    """The names of the columns; without them no line can be read."""
    if isinstance(cells, str):
        raise ValueError(f"{place}: {cells}")
    names = [name.strip() for name in cells]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"{place}: column {twice[0]!r} stands twice: name each column once")
    return names
