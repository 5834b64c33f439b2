"""Pictures, sounds and videos as files that are named by the digest of their content."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from feedback.preferences.checks import media_name
from feedback.preferences.lines import whole_file

LARGEST = 2**26


class MediaFolder:
    """A folder of content-addressed files, each whole or not there; reading compares content with name.

    Args:
        root: The folder; made when the first file comes.
        largest: The largest file that is taken, in bytes.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as root:
        ...     folder = MediaFolder(root)
        ...     name = folder.put(b"a picture", ".png")
        ...     name[:15], name[-4:], folder.get(name)
        ('sha256:92b2fa58', '.png', b'a picture')
    """

    def __init__(self, root: str | Path, largest: int = LARGEST) -> None:
        self.root, self.largest = Path(root), largest

    def put(self, content: bytes, suffix: str = "") -> str:
        """Keeps a content; returns its name: ``sha256:``, 64 hexadecimal digits and the ending."""
        if len(content) > self.largest:
            raise ValueError(f"a file of {len(content):,} bytes is larger than {self.largest:,}")
        name = f"sha256:{hashlib.sha256(content).hexdigest()}{suffix}"
        path = self.path(name)
        if not self._holds(path, content):
            self._write(path, content)
        return name

    def get(self, name: str) -> bytes:
        """The content of a name; a ValueError if it is no name, or the file is damaged."""
        path = self.path(name)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise FileNotFoundError(f"{path} does not exist: copy the media along with the store") from None
        if hashlib.sha256(content).hexdigest() != media_name("media", name)[0]:
            raise ValueError(
                f"{path} is damaged: its content is not that of its name; restore it from a copy"
            )
        return content

    def path(self, name: str) -> Path:
        """Where the file of a name lies, whether or not it is there."""
        digest, suffix = media_name("media", name)
        return self.root / digest[:2] / f"{digest}{suffix}"

    def __contains__(self, name: str) -> bool:
        return self.path(name).is_file()

    def _holds(self, path: Path, content: bytes) -> bool:
        # A damaged file is written again.
        return path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content

    def _write(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as out:
            out.write(content)
        _sync(path.parent)


def _sync(folder: Path) -> None:
    """Lets the new name reach the disk, too, where folders can be opened."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
