"""The layouts in which data sets are published, one module each.

- ``SIGN``: the files that it looks for, and ``GROUP``: the column that stays in one split, or None,
- ``recognise(root)``: what was found by names and a few bytes, in one sentence, or None,
- ``read(root, faults)``: the records; bad items are added to ``faults``.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from mm_envs.data.faults import Faults
from mm_envs.data.layouts.columns import Mapped
from mm_envs.data.layouts.files import folders, links_passed_over, listed, relative
from mm_envs.data.records import Source
from mm_envs.names import one_of

# The folder's own manifest is explicit and comes first; a directory for each class is the fallback.
LAYOUTS: dict[str, str] = {
    "metadata": "mm_envs.data.layouts.metadata",
    "idx": "mm_envs.data.layouts.idx",
    "coco": "mm_envs.data.layouts.coco",
    "vqa": "mm_envs.data.layouts.vqa",
    "nlvr": "mm_envs.data.layouts.nlvr",
    "flickr8k": "mm_envs.data.layouts.flickr8k",
    "esc50": "mm_envs.data.layouts.esc50",
    "esc10": "mm_envs.data.layouts.esc10",
    "fsdd": "mm_envs.data.layouts.fsdd",
    "voc": "mm_envs.data.layouts.voc",
    "classes": "mm_envs.data.layouts.classes",
}
FIRST, LAST = "metadata", "classes"


def recognise(root: Path) -> list[tuple[str, str]]:
    """Returns the layouts that fit a folder, each with a sentence on what was found; that of "auto" first.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    root = _folder(root)
    found = [(name, _module(name).recognise(root)) for name in LAYOUTS]
    return [(name, sentence) for name, sentence in found if sentence is not None]


def read_source(
    root: Path, layout: str = "auto", on_error: str = "raise", columns: Mapped | None = None
) -> Source:
    """Reads the items of a folder.

    Args:
        root: The folder.
        layout: A name of ``LAYOUTS``, or "auto" for the one that is recognised.
        on_error: "raise" refuses a folder with a bad item; "skip" lists the item in ``Source.skipped``.
        columns: Field -> the column of the metadata that holds it, where it has another name.

    Raises:
        FileNotFoundError: There is no such folder, or a file that it names is missing.
        ValueError: No layout fits or more than one does, or the source is bad: one sentence that names file,
            location and cure.
    """
    root, faults = _folder(root), Faults(on_error)
    if layout != "auto" and layout not in LAYOUTS:
        raise ValueError(one_of("layout", layout, ["auto", *LAYOUTS]))
    if layout == "auto" and _module(FIRST).recognise(root) is None:
        name = _only([name for name, _ in recognise(root)], root)
    else:
        name = FIRST if layout == "auto" else layout
    module = _module(name)
    records = module.read(root, faults, *((columns,) if name == FIRST else ()))
    says = module.recognise(root)
    if not records and faults.sentences:
        skipped = f"all {len(faults.sentences)} were left out: {faults.sentences[0]}"
        raise ValueError(f"{root}: layout {name!r} has no item: {skipped}")
    if not records and says is not None:
        raise ValueError(f"{root}: layout {name!r} has no item: add one, or choose another layout")
    if not records:
        cure = links_passed_over(root) or "put them there"
        raise FileNotFoundError(f"{root}: no files of layout {name!r} ({module.SIGN}): {cure}")
    group = module.GROUP if module.GROUP in records[0].columns else None
    says = ", ".join([says or f"files of layout {name}", *faults.notes])
    return Source(name, root, records, tuple(faults.sentences), says, group)


def _only(names: list[str], root: Path) -> str:
    """The one of the layouts to read; refuses several that fit equally well."""
    if not names:
        signs = "; ".join(_module(name).SIGN for name in LAYOUTS)
        raise ValueError(f"{root}: no known layout (looked for {signs}): {_cure(root)}")
    named = [name for name in names if name != LAST] or names
    if len(named) > 1:
        raise ValueError(f"{root}: layouts {', '.join(named)} fit: choose one with layout={named[0]!r}")
    return named[0]


def _cure(root: Path) -> str:
    """What to do about a folder that no layout fits, by the files that it has."""
    near = [
        relative(path, root)
        for folder in (root, *folders(root))
        for path in listed(folder)
        if path.suffix == ".parquet" or path.stem.lower() == "metadata"
    ]
    tables = [name for name in near if name.endswith(".parquet")]
    if tables:
        return f"{tables[0]} is not read: save it as metadata.csv or metadata.jsonl"
    if near:
        return f"{near[0]} is not read by that name: make it metadata.csv or metadata.jsonl, in lower case"
    return links_passed_over(root) or "write a metadata.csv into it"


def _module(name: str) -> Any:
    # Only names of the table: a layout that a file names must never import a module.
    return import_module(LAYOUTS[name])


def _folder(root: Path) -> Path:
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"folder {root} does not exist: give the folder that holds the data")
    return root
