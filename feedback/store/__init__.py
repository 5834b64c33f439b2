"""The store of feedback: an append-only database, and a folder of pictures and sounds."""

from mm_envs.optional import require

require("sqlalchemy")

from feedback.store.errors import Conflict, MissingMedia, UnknownItem
from feedback.store.exchange import export_jsonl, export_trl, import_file, import_jsonl
from feedback.store.media import MediaFolder
from feedback.store.store import PreferenceStore, Receipt

__all__ = [
    "Conflict",
    "MediaFolder",
    "MissingMedia",
    "PreferenceStore",
    "Receipt",
    "UnknownItem",
    "export_jsonl",
    "export_trl",
    "import_file",
    "import_jsonl",
]
