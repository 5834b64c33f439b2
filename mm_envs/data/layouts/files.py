"""The files of a folder: what annotations name is looked up in lists of what is there, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from mm_envs.data.layouts.reading import shown


def relative(path: Path, root: Path) -> str:
    """The name of a file as a place says it: from the root on, with ``/``."""
    return path.relative_to(root).as_posix()


def listed(root: Path, place: str = ".", suffixes: Collection[str] = ()) -> list[Path]:
    """The visible files of a directory, sorted by name, those with some suffixes only if there are any.

    Args:
        root: The folder, or any directory that ``folders`` gave.
        place: A directory in it.
        suffixes: Endings in lower case, with the dot.

    Returns:
        Their paths; none if there is no such directory in the folder. Links are left out, and so is a
        directory that a link puts elsewhere: they may lead anywhere.
    """
    return [root / place / name for name in _names(root, place, "file", suffixes)]


def folders(root: Path, place: str = ".") -> list[Path]:
    """The visible directories of a directory, sorted by name, without links."""
    return [root / place / name for name in _names(root, place, "folder")]


def links_passed_over(root: Path) -> str:
    """How many links a folder and the two levels of directories in it have, with the cure; empty for none.

    All are passed over, those to files of the folder itself, too: what they lead to may change.
    """
    below = folders(root)
    places = (root, *below, *(folder for above in below for folder in folders(above)))
    links = [path for place in places for path in place.iterdir() if path.is_symlink()]
    if not links:
        return ""
    many = "1 link is" if len(links) == 1 else f"{len(links):,} links are"
    return f"{many} passed over, such as {relative(links[0], root)}: copy it with links followed (cp -rL)"


def leads_out(root: Path, place: str) -> bool:
    """Whether a directory of the folder is, by a link, somewhere else."""
    top, real = os.path.realpath(root), os.path.realpath(root / place)
    return os.path.commonpath([top, real]) != top


def _names(root: Path, place: str, kind: str, suffixes: Collection[str] = ()) -> list[str]:
    try:
        if leads_out(root, place):
            return []
        with os.scandir(root / place) as entries:
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
            f"{root / place}: cannot be read ({error.strerror}): check its permissions"
        ) from None


class Files:
    """The files of some directories, listed once: what annotations name is looked up and nothing else.

    Args:
        root: The folder.
        places: Directories, relative to the folder; where a name is in several, the first counts.
        suffixes: The endings of the files that matter.

    Raises:
        ValueError: A directory is a link that leads out of the folder.
    """

    def __init__(self, root: Path, places: Sequence[str], suffixes: Collection[str] = ()) -> None:
        self.root = root
        self.places = places
        for place in places:
            if leads_out(root, place):
                raise ValueError(f"{root / place}: a link that leads out of {root}: put the files there")
        found = [{path.name: path for path in listed(root, place, suffixes)} for place in places]
        self.paths = {name: path for files in reversed(found) for name, path in files.items()}

    def find(self, name: str) -> Path | None:
        """The file of a name; None if there is none."""
        return self.paths.get(name)

    def take(self, name: str, place: str) -> Path:
        """The file of a name, which may lead into directories of the folder.

        Args:
            name: The name as it is written in the annotations.
            place: Who names it, for messages.

        Raises:
            ValueError: The name leaves the folder.
            FileNotFoundError: There is no such file.
        """
        found = self.find(name)
        if found is None and "/" in name:
            found = inside(self.root, name, place)
        if found is None:
            raise FileNotFoundError(
                f"{self.root / place}: file {shown(name)} is not in {' or '.join(self.places)}: "
                "put it there, or leave it out with on_error='skip'"
            )
        return found


def inside(root: Path, name: str, place: str) -> Path:
    """A file of the folder that a text of somebody else names.

    Args:
        root: The folder.
        name: The name, relative to the folder.
        place: Who names it, for messages.

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
        raise ValueError(f"{root / place}: file {shown(name)}: {reason}") from None
    raise FileNotFoundError(
        f"{root / place}: file {shown(name)} is missing: put it there, or leave it out with on_error='skip'"
    )
