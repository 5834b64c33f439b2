"""File names in untrusted manifests, kept inside the folder of the manifest."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath
from unicodedata import category

from mm_envs.data.media.files import MediaError, shown


def safe_path(root: str | Path, name: object) -> Path:
    """The path of a file that a manifest names, inside the folder of the manifest.

    The file need not exist. A symbolic link may lead elsewhere in the folder, not out of it.

    Args:
        root: The folder.
        name: The name in the manifest, relative to the folder, with ``/`` between its parts.

    Raises:
        MediaError: The name is empty, absolute, holds ``..``, NUL, a backslash or a drive letter, or leads
            out of the folder by a symbolic link.

    Example:
        >>> safe_path("photos", "cats/one.png").as_posix()
        'photos/cats/one.png'
    """
    if not isinstance(name, str):
        raise MediaError(f"file name {name!r} is no text: name a file in {shown(root)}")
    reason = _reason(name)
    if reason:
        raise MediaError(f"file name {name!r} {reason}")
    path = Path(root)
    for part in PurePosixPath(name).parts:
        path = path / part
        linked = _leads_out(path, Path(root))
        if part == ".." or linked:
            link = " by a symbolic link: copy the folder with what its links lead to (cp -rL)"
            move = ": put the file into the folder and name it from there"
            raise MediaError(f"file name {name!r} leaves its folder {shown(root)}{link if linked else move}")
    return path


def _reason(name: str) -> str:
    """The fault of the name itself; empty if there is none."""
    if not name.strip() or not PurePosixPath(name).parts:
        return "is empty: name a file, relative to the folder of the manifest"
    if not name.isprintable() and any(category(letter) in ("Cc", "Cs") for letter in name):
        return "holds characters that do not print: rename the file"
    if PureWindowsPath(name).drive or name.startswith(("/", "\\")):
        return "is an absolute path: name the file relative to the folder of the manifest"
    if "\\" in name:
        return "holds a backslash: separate folders by /"
    return ""


def _leads_out(path: Path, root: Path) -> bool:
    try:
        return path.is_symlink() and not path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # too long, or a link to itself: opening it fails and says so
        return False
