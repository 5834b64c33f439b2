"""Records of human feedback, one by one and as batches of tensors."""

from feedback.preferences.batches import (
    FIRST,
    SECOND,
    SKIP,
    TIE,
    Answers,
    Approvals,
    Corrections,
    Critiques,
    Demonstrations,
    Labelled,
    Labels,
    Pairs,
    Rankings,
    Ratings,
)
from feedback.preferences.bulk import pairwise_records, ticket_items
from feedback.preferences.items import Item
from feedback.preferences.jsonl import Header, read_jsonl, write_jsonl
from feedback.preferences.query import Query, query_id
from feedback.preferences.records import (
    CHOICES,
    KINDS,
    Approval,
    Correction,
    Critique,
    Demonstration,
    Pairwise,
    Ranking,
    Rating,
    Record,
    in_force,
)
from feedback.preferences.serial import from_json, to_json
from feedback.preferences.tensors import labelled
from feedback.preferences.trl import from_trl, read_trl, to_trl, write_trl

__all__ = [
    "CHOICES",
    "FIRST",
    "KINDS",
    "SECOND",
    "SKIP",
    "TIE",
    "Answers",
    "Approval",
    "Approvals",
    "Correction",
    "Corrections",
    "Critique",
    "Critiques",
    "Demonstration",
    "Demonstrations",
    "Header",
    "Item",
    "Labelled",
    "Labels",
    "Pairs",
    "Pairwise",
    "Query",
    "Ranking",
    "Rankings",
    "Rating",
    "Ratings",
    "Record",
    "from_json",
    "from_trl",
    "in_force",
    "labelled",
    "pairwise_records",
    "query_id",
    "read_jsonl",
    "read_trl",
    "ticket_items",
    "to_json",
    "to_trl",
    "write_jsonl",
    "write_trl",
]
