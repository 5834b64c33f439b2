"""Where feedback is kept: a database that only grows, and the pictures and sounds beside it."""

from feedback.store.errors import Conflict, UnknownItem
from feedback.store.media import MediaFolder
from feedback.store.store import PreferenceStore, Receipt

__all__ = ["Conflict", "MediaFolder", "PreferenceStore", "Receipt", "UnknownItem"]
