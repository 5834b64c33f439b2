"""The folder's own manifest: metadata.jsonl or metadata.csv as in Hugging Face's imagefolder.

The file is in the folder itself, or one is in each of its split folders (``train``, ``validation``,
``test``). Names of files are relative to the folder of the manifest.
"""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from os.path import isfile, splitext
from pathlib import Path
from typing import Any

from mm_envs.data.faults import Faults
from mm_envs.data.layouts.columns import KINDS, Columns, Mapped, split_name
from mm_envs.data.layouts.reading import finite, no_number
from mm_envs.data.records import MEDIA_FIELDS, Record

SIGN = "metadata.csv or metadata.jsonl"
GROUP = None

_NAMES = ("metadata.jsonl", "metadata.csv")

Row = tuple[int, "dict[str, Any] | str"]  # the number of its first line, and the row or its fault


def recognise(root: Path) -> str | None:
    """Names the metadata files of a folder."""
    names = ", ".join(path.relative_to(root).as_posix() for path in _manifests(root))
    return f"{names}: a folder of files in the Hugging Face convention" if names else None


def read(root: Path, faults: Faults, columns: Mapped | None = None) -> list[Record]:
    """Reads the items of the metadata of a folder.

    Raises:
        ValueError: There is no metadata, or it cannot be read; the message names file and line.
    """
    known, manifests = Columns(columns), _manifests(root)
    if not manifests:
        raise ValueError(f"{root} holds neither {' nor '.join(_NAMES)}: write one, or choose another layout")
    for path, other in pairwise(manifests):
        if path.parent == other.parent or manifests[0].parent == other.parent.parent:
            raise ValueError(f"there are both {path} and {other}: keep the one that is meant")
    records: list[Record] = []
    for path in manifests:
        split = split_name(path.parent.name) if path.parent != root else None
        for line, row in read_rows(path):
            location = f"{path.relative_to(root).as_posix()}, line {line}"
            try:
                records.append(_record(location, path.parent, row, known, split))
            except ValueError as error:
                faults.add("line", f"{location}: {error}")
    _refuse_unseen_files(records, root)
    return _split_by_folder(records, root)


def _manifests(root: Path) -> list[Path]:
    """The metadata files of a folder and of its split folders, in the order of their names."""
    below = [folder for folder in sorted(root.iterdir()) if split_name(folder.name) and folder.is_dir()]
    paths = [folder / name for folder in (root, *below) for name in _NAMES]
    return [path for path in paths if path.is_file()]


def _record(
    location: str, folder: Path, row: dict[str, Any] | str, columns: Columns, split: str | None
) -> Record:
    if isinstance(row, str):
        raise ValueError(row)
    record = columns.record(location, folder, row)
    if not record.media and not record.values:
        raise ValueError(_nothing(row))
    if split and record.split and split != record.split:
        raise ValueError(f"split={row['split']!r} in the folder {folder.name}: keep one")
    return replace(record, split=split or record.split)


def _nothing(row: Mapping[str, Any]) -> str:
    if len(row) == 1 and any(sign in next(iter(row)) for sign in ";\t"):
        return f"there is one column, {next(iter(row))!r}: part columns by commas"
    return (
        f"there is no file_name (nor {', '.join(f'{field}_file_name' for field in MEDIA_FIELDS)}) among "
        f"{', '.join(map(repr, row))}: add the column, or name it with columns={{'image': 'their name'}}"
    )


def _refuse_unseen_files(records: list[Record], root: Path) -> None:
    """Refuses files in a column of another name, which would be left out without notice."""
    if not records or any(one.media for one in records):
        return
    first = records[0]
    for name, value in first.columns.items():
        ending = splitext(value)[1].lower() if isinstance(value, str) else ""
        if ending in KINDS and isfile((root / first.location).parent / value):
            raise ValueError(
                f"{first.location}: column {name!r} holds the file {value!r}, and no column holds files "
                f"by its name: call it file_name, or give columns={{{KINDS[ending]!r}: {name!r}}}"
            )


def _split_by_folder(records: list[Record], root: Path) -> list[Record]:
    """Splits by the first folder of the file names, if all of them begin with the name of a split."""
    if not records or any(one.split or "split" in one.columns for one in records):
        return records
    splits = []
    for one in records:
        tops = {_top(path, root) for path in one.media.values()}
        if len(tops) != 1 or None in tops:
            return records
        splits.append(tops.pop())
    return [replace(one, split=split) for one, split in zip(records, splits, strict=True)]


def _top(path: Any, root: Path) -> str | None:
    if not isinstance(path, Path) or not path.is_relative_to(root):
        return None
    parts = path.relative_to(root).parts
    return split_name(parts[0]) if len(parts) > 1 else None


# Rows -------------------------------------------------------------------------------------------------------


def read_rows(path: Path) -> Iterator[Row]:
    r"""Yields the rows of a JSON lines or CSV file with the number of their first line, or their fault.

    A file that cannot be read as a whole is refused: ValueError.

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
            if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise ValueError(f"{path.name}, line 1: the file is in UTF-16: save it as UTF-8")
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
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} occurs twice in one object")
    return made


def _not_utf8(error: UnicodeDecodeError) -> str:
    byte = error.object[error.start]
    return f"byte 0x{byte:02x} at column {error.start + 1} is not UTF-8: save the file as UTF-8"


def _decoded(lines: Iterable[bytes], bad: dict[int, str]) -> Iterator[str]:
    """Yields the lines as text; faults of those that are not UTF-8 are added to ``bad``."""
    for number, raw in enumerate(lines, 1):
        try:
            yield raw.decode()
        except UnicodeDecodeError as error:
            bad[number] = _not_utf8(error)
            yield raw.decode(errors="replace")


def _csv_rows(lines: Iterable[bytes], name: str) -> Iterator[Row]:
    bad: dict[int, str] = {}
    reader = csv.reader(_decoded(lines, bad), strict=True)
    header: list[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            cells, fault = next(reader), ""
        except StopIteration:
            return
        except csv.Error as error:
            cells, fault = [], _csv_fault(str(error))
        fault = next((bad[n] for n in range(line, reader.line_num + 1) if n in bad), fault)
        if header is None:
            header = _header(fault or cells, f"{name}, line {line}")
        elif fault:
            yield line, fault
        elif cells and len(cells) != len(header):
            advice = 'put text that holds commas or new lines into "quotes"'
            yield line, f"there are {len(cells)} cells for {len(header)} columns: {advice}"
        elif cells:
            yield line, dict(zip(header, cells, strict=True))


def _csv_fault(message: str) -> str:
    """Translates a message of the CSV reader for readers who do not program."""
    if "unexpected end" in message or "field larger" in message:
        return 'a quote that begins here is not closed, or a cell has over 131,072 letters: close it with "'
    if "new-line character" in message:
        return "lines end in the old way of the Macintosh: save the file with line ends of Unix or Windows"
    return f'{message}: put text that holds commas, quotes or new lines into "quotes"'


def _header(cells: list[str] | str, location: str) -> list[str]:
    """Returns the names of the columns; no line can be read without them."""
    if isinstance(cells, str):
        raise ValueError(f"{location}: {cells}")
    names = [name.strip() for name in cells]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"{location}: column {twice[0]!r} occurs twice: name each column once")
    return names
