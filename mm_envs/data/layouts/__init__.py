"""The layouts in which data sets are published: what a folder holds, and its items as records.

Every layout is one module with two functions: ``recognise(root)`` looks at names and a few bytes and says in
a sentence what it found (or None), ``read(root, on_error)`` gives a ``Source``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from mm_envs.data.layouts.files import folders, links_passed_over, listed, relative
from mm_envs.data.records import Source
from mm_envs.names import one_of

# The folder's own manifest says more than anything that could be guessed, hence it comes first; a directory
# for each class is what remains when nothing else is known.
LAYOUTS: dict[str, str] = {
    "metadata": "mm_envs.data.folder.manifest:read",
    "idx": "mm_envs.data.layouts.idx:read",
    "coco": "mm_envs.data.layouts.coco:read",
    "vqa": "mm_envs.data.layouts.vqa:read",
    "nlvr": "mm_envs.data.layouts.nlvr:read",
    "flickr8k": "mm_envs.data.layouts.flickr8k:read",
    "esc50": "mm_envs.data.layouts.esc50:read",
    "esc10": "mm_envs.data.layouts.esc10:read",
    "fsdd": "mm_envs.data.layouts.fsdd:read",
    "voc": "mm_envs.data.layouts.voc:read",
    "classes": "mm_envs.data.layouts.classes:read",
}
FIRST, LAST = "metadata", "classes"

# What a folder of each layout holds, for people.
SIGNS: dict[str, str] = {
    "metadata": "metadata.csv or metadata.jsonl",
    "idx": "*-images-idx3-ubyte[.gz]",
    "coco": "annotations/captions_*.json",
    "vqa": "*_questions.json with *_annotations.json",
    "nlvr": "dev.json with images/",
    "flickr8k": "Flickr8k.token.txt",
    "esc50": "meta/esc50.csv",
    "esc10": "'001 - Dog bark/*.ogg'",
    "fsdd": "recordings/{digit}_{speaker}_{index}.wav",
    "voc": "Annotations/*.xml with JPEGImages/",
    "classes": "a directory of files for each of several classes",
}

ON_ERROR = ("raise", "skip")


def recognise(root: Path) -> list[tuple[str, str]]:
    """The layouts that fit a folder, the one that ``layout="auto"`` takes first.

    Args:
        root: The folder.

    Returns:
        Names of layouts, each with a sentence saying what was found; empty if nothing is known.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    root = _folder(root)
    found = [(name, _function(name, "recognise")(root)) for name in LAYOUTS]
    return [(name, sentence) for name, sentence in found if sentence is not None]


def read_source(root: Path, layout: str = "auto", on_error: str = "raise") -> Source:
    """The items of a folder.

    Args:
        root: The folder.
        layout: A name of ``LAYOUTS``, or "auto" for the one that is recognised.
        on_error: "raise" refuses a folder with a bad item; "skip" leaves the item out and says so in
            ``Source.skipped``.

    Raises:
        FileNotFoundError: There is no such folder, or a file that it speaks of is missing.
        ValueError: No layout fits or more than one does, or the source is bad: one sentence that names file,
            place and cure.
    """
    root = _folder(root)
    if on_error not in ON_ERROR:
        raise ValueError(one_of("on_error", on_error, ON_ERROR))
    if layout != "auto" and layout not in LAYOUTS:
        raise ValueError(one_of("layout", layout, ["auto", *LAYOUTS]))
    chosen = _only([name for name, _ in recognise(root)], root) if layout == "auto" else layout
    source: Source = _function(chosen, "read")(root, on_error)
    if not source.records:
        first = f": all {len(source.skipped)} were left out: {source.skipped[0]}" if source.skipped else ""
        raise ValueError(f"{root}: layout {chosen!r} gives no item{first}")
    return source


def _only(names: list[str], root: Path) -> str:
    """The one layout to take; several that are equally good are for the user to decide."""
    if not names:
        looked = "; ".join(SIGNS[name] for name in LAYOUTS)
        raise ValueError(f"{root}: no known layout (looked for {looked}): {_cure(root)}")
    named = [name for name in names if name not in (FIRST, LAST)]
    if FIRST in names or not named:
        return names[0]
    if len(named) > 1:
        raise ValueError(f"{root}: layouts {', '.join(named)} fit: choose one with layout={named[0]!r}")
    return named[0]


def _cure(root: Path) -> str:
    """What to do about a folder that nothing fits, by what is in it instead."""
    near = [relative(path, root) for place in (root, *folders(root)) for path in listed(place) if _near(path)]
    tables = [name for name in near if name.endswith(".parquet")]
    if tables:
        return f"{tables[0]} is not read: save it as metadata.csv or metadata.jsonl"
    if near:
        return f"{near[0]} is not read by that name: make it metadata.csv or metadata.jsonl, in lower case"
    return links_passed_over(root) or "write a metadata.csv into it"


def _near(path: Path) -> bool:
    return path.suffix == ".parquet" or path.stem.lower() == "metadata"


def _function(name: str, function: str) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(_module(name), function)
    return found


def _module(name: str) -> Any:
    # Only names of the table get here: a layout named in a file of somebody else never imports a module.
    return import_module(LAYOUTS[name].partition(":")[0])


def _folder(root: Path) -> Path:
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"folder {root} does not exist: give the folder that holds the data")
    return root
