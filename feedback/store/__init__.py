"""The store of feedback: an append-only database, and a folder of pictures and sounds."""

from mm_envs.optional import require

require("sqlalchemy")

from feedback.store.errors import Conflict, MissingMedia, Refused, UnknownItem
from feedback.store.exchange import Arrival, export_jsonl, export_trl, import_file, import_jsonl
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
    "export_trl",
    "import_file",
    "import_jsonl",
]
