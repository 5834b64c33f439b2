"""Items: what answers are given to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

from feedback.preferences.checks import item_id, media_name, text
from mm_envs.engine.ticket import Ticket


@dataclass(frozen=True, kw_only=True)
class Item:
    """An episode of an environment, or a content of its own.

    Attributes:
        id: A ticket (``mm1:...``), or ``sha256:`` and the digest of the content.
        environment: The id of its environment; empty for none.
        vocabulary: The digest of the vocabulary of its answers; empty for none.
        media: Names of content-addressed files that show it, as ``PreferenceStore.put_media`` gives them.
        text: What is asked, in words.
    """

    kind: ClassVar[str] = "item"

    id: str
    environment: str = ""
    vocabulary: str = ""
    media: tuple[str, ...] = ()
    text: str = ""

    def __post_init__(self) -> None:
        try:
            item_id("id", self.id)
            text("environment", self.environment)
            text("vocabulary", self.vocabulary)
            text("text", self.text)
            if not isinstance(self.media, tuple):
                raise ValueError(f"media is a {type(self.media).__name__}: give a tuple of names")
            for name in self.media:
                media_name("media", name)
        except ValueError as error:
            raise ValueError(f"item: {error}") from None

    def covers(self, other: Item) -> bool:
        """Whether another item says nothing else than this one; it may leave out what this one says.

        Example:
            >>> named = Item.of_text("Red?", environment="MMVQA-v0")
            >>> named.covers(Item.of_text("Red?")), Item.of_text("Red?").covers(named)
            (True, False)
        """
        return all(value in (getattr(self, name), type(value)()) for name, value in vars(other).items())

    @classmethod
    def of_ticket(cls, ticket: str, vocabulary: str = "", text: str = "") -> Item:
        """The item of an episode of an environment; a ValueError if it is no ticket."""
        return cls(id=ticket, environment=Ticket.parse(ticket).id, vocabulary=vocabulary, text=text)

    @classmethod
    def of_text(cls, text: str, environment: str = "") -> Item:
        """An item that is nothing but its text.

        Example:
            >>> Item.of_text("Why is the sky blue?").id[:15]
            'sha256:09ea2679'
        """
        digest = hashlib.sha256(text.encode()).hexdigest()
        return cls(id=f"sha256:{digest}", environment=environment, text=text)
