"""Where feedback is kept: a database that only grows, and the pictures and sounds beside it."""

from mm_envs.optional import require

require("sqlalchemy")

from feedback.store.errors import Conflict, MissingMedia, Refused, UnknownItem
from feedback.store.exchange import Arrival, export_jsonl, import_jsonl
from feedback.store.media import MediaFolder
from feedback.store.store import PreferenceStore, Receipt

__all__ = [
    "Arrival",
    "Conflict",
    "MediaFolder",
    "MissingMedia",
    "PreferenceStore",
    "Receipt",
    "Refused",
    "UnknownItem",
    "export_jsonl",
    "import_jsonl",
]
