"""Who judges: annotators, preferences and their store, queries, reward models, and whom to trust."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_envs.optional import lazy_attributes

if TYPE_CHECKING:
    from feedback.annotators import SimulatedRater

__getattr__ = lazy_attributes(__name__, {"feedback.annotators": ["SimulatedRater"]})

__all__ = ["SimulatedRater"]
