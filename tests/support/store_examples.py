"""A few items and their labels."""

from __future__ import annotations

from feedback.preferences import Item, Pairwise, query_id

ITEMS = [Item.of_text(f"Which colour has number {number}?", environment="MMVQA-v0") for number in range(5)]


def pair(
    number: int = 0, annotator: str = "ann", choice: str = "first", item: Item | None = None
) -> Pairwise:
    item, answers = item or ITEMS[number % 5], ("red", str(number))
    query = query_id(item.id, answers)
    return Pairwise(query=query, item=item.id, annotator=annotator, answers=answers, choice=choice)
