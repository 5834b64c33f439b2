"""The files of a folder: names in annotations are looked up in lists of the files that exist."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from mm_envs.data.layouts.reading import shown


def relative(path: Path, root: Path) -> str:
    """Returns the name of a file relative to the folder, with ``/``."""
    return path.relative_to(root).as_posix()


def listed(root: Path, directory: str = ".", suffixes: Collection[str] = ()) -> list[Path]:
    """Returns the visible files of a directory of a folder, sorted by name; none if it does not exist.

    Links are left out, and so is a directory that is a link out of the folder. ``suffixes`` are endings in
    lower case, with the dot; empty for all files.
    """
    return [root / directory / name for name in _names(root, directory, "file", suffixes)]


def folders(root: Path, directory: str = ".") -> list[Path]:
    """Returns the visible directories of a directory, sorted by name, without links."""
    return [root / directory / name for name in _names(root, directory, "folder")]


def links_passed_over(root: Path) -> str:
    """Counts the links in a folder and the two levels of directories below, with the cure; empty for none.

    Links to files of the folder are not followed either: their targets may change.
    """
    below = folders(root)
    every = (root, *below, *(folder for above in below for folder in folders(above)))
    links = [path for folder in every for path in folder.iterdir() if path.is_symlink()]
    if not links:
        return ""
    many = "1 link is" if len(links) == 1 else f"{len(links):,} links are"
    return f"{many} passed over, such as {relative(links[0], root)}: copy it with links followed (cp -rL)"


def leads_out(root: Path, directory: str) -> bool:
    """Returns whether a directory of the folder is a link out of it."""
    top, real = os.path.realpath(root), os.path.realpath(root / directory)
    return os.path.commonpath([top, real]) != top


def _names(root: Path, directory: str, kind: str, suffixes: Collection[str] = ()) -> list[str]:
    try:
        if leads_out(root, directory):
            return []
        with os.scandir(root / directory) as entries:
            return sorted(
                entry.name
                for entry in entries
                if (entry.is_file if kind == "file" else entry.is_dir)(follow_symlinks=False)
                and not entry.name.startswith(".")
                and (not suffixes or os.path.splitext(entry.name)[1].lower() in suffixes)
            )
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ValueError(
            f"{root / directory}: cannot be read ({error.strerror}): check its permissions"
        ) from None


class Files:
    """The files of some directories, listed once: ``paths`` by their names.

    Args:
        root: The folder.
        directories: Directories relative to the folder; of equal names the first counts.
        suffixes: The endings of the files to list; empty for all.

    Raises:
        ValueError: A directory is a link out of the folder.
    """

    def __init__(self, root: Path, directories: Sequence[str], suffixes: Collection[str] = ()) -> None:
        self.root = root
        self.directories = directories
        for directory in directories:
            if leads_out(root, directory):
                raise ValueError(f"{root / directory}: a link that leads out of {root}: put the files there")
        found = [{path.name: path for path in listed(root, one, suffixes)} for one in directories]
        self.paths = {name: path for files in reversed(found) for name, path in files.items()}

    def take(self, name: str, location: str) -> Path:
        """Returns the file of a name (or path) in the annotations at ``location``; fails as ``inside``."""
        found = self.paths.get(name)
        if found is None and "/" in name:
            found = inside(self.root, name, location)
        if found is None:
            raise FileNotFoundError(
                f"{self.root / location}: file {shown(name)} is not in {' or '.join(self.directories)}: "
                "put it there, or leave it out with on_error='skip'"
            )
        return found


def inside(root: Path, name: str, location: str) -> Path:
    """Returns a file of the folder that untrusted input at ``location`` names.

    Raises:
        ValueError: The name leaves the folder, or cannot be the name of a file.
        FileNotFoundError: There is no such file.
    """
    from mm_envs.data.media import safe_path

    try:
        path = safe_path(root, name)
        if path.is_file():
            return path
    except FileNotFoundError:
        pass
    except (ValueError, OSError) as error:
        reason = str(error) if isinstance(error, ValueError) else "it cannot be the name of a file: mend it"
        raise ValueError(f"{root / location}: file {shown(name)}: {reason}") from None
    raise FileNotFoundError(
        f"{root / location}: file {shown(name)} is missing: put it there, or leave it out with "
        "on_error='skip'"
    )
