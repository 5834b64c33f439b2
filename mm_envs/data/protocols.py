"""Protocols of facts that only some datasets have; tasks ask for them by type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from mm_envs.data.scenes.layout import SceneConfig
from mm_envs.episodes import Judgement
from mm_envs.tokenizers import Tokenizer


class CaptionUtility(Protocol):
    """The true utility of captions; ``field`` is the field that they are compared with."""

    field: str

    def score(self, tokens: Tensor, length: Tensor, known: Tensor) -> Judgement:
        """Returns the utility of captions, finished or not.

        Args:
            tokens: Token ids, (n, L) int64.
            length: The number of words, (n,) int64; None, where it is allowed: up to ``<eos>``.
            known: What they are compared with: the rows of the field, one for each caption.

        Returns:
            The utility in [0, 1] and its parts, which sum to it before it is clamped, (n,) float32.
        """
        ...

    def best(self, known: Tensor, captions: Tensor) -> Tensor:
        """Returns the index of the best of the references (n, R, L) of each item, (n,) int64."""
        ...


@dataclass(frozen=True)
class Captions:
    """Reference captions with their utility.

    Attributes:
        vocabulary: The words of captions.
        max_tokens: The length of the longest reference, ``<eos>`` included.
        utility: The true utility of captions.
        part_modalities: Part of the utility -> the modalities that carry it.
    """

    vocabulary: Tokenizer
    max_tokens: int
    utility: CaptionUtility
    part_modalities: Mapping[str, tuple[str, ...]]


@runtime_checkable
class Captioned(Protocol):
    """A dataset whose items have captions in a field ``captions``, (n, R, L) int64."""

    def captions(self) -> Captions | None:
        """Returns the captions; None if this dataset has none."""
        ...


@runtime_checkable
class SceneFacts(Protocol):
    """A dataset of scenes with a known graph.

    Attributes:
        config: The configuration of the scenes.
        sound: "none", "agree" or "complement", as in ``Scenes``.
        graph_fields: The fields of the scene graph, those of ``SceneGraph``.
    """

    config: SceneConfig
    sound: str
    graph_fields: tuple[str, ...]

    def fingerprint(self, kinds: Sequence[str] | None = None) -> str:
        """Returns the digest of the dataset with some kinds of questions; None for all."""
        ...
