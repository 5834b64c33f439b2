"""Files with different bytes that decode to the same picture or sound, such as copies saved again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b

from torch import Tensor

from mm_envs.data.folder.items import Item
from mm_envs.data.records import MEDIA_FIELDS


def notes_on_copies(items: Sequence[Item], tables: Mapping[str, Tensor]) -> list[str]:
    """Notes decoded content that is in two splits although the bytes of the files differ.

    This can be correct (two flags that are equal when small), so it is noted, not refused.

    Returns:
        One sentence for each field with such files.
    """
    notes = []
    for field in MEDIA_FIELDS:
        first: dict[bytes, Item] = {}
        found: list[tuple[Item, Item]] = []
        for item, row in zip(items, tables[field].numpy() if field in tables else (), strict=False):
            if field in item.record.media:
                other = first.setdefault(blake2b(row, digest_size=16).digest(), item)
                if other.split != item.split:
                    found.append((item, other))
        if found:
            one, other = found[0]
            notes.append(
                f"{len(found)} files of {field} are, once decoded, equal to one in another split, e.g. "
                f"{one.record.location} and {other.record.location}: remove copies, or tie them by group"
            )
    return notes
