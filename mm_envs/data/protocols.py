"""What only some datasets can give: small protocols that tasks ask for by type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from mm_envs.data.scenes.layout import SceneConfig
from mm_envs.episodes import Judgement
from mm_envs.tokenizers import Tokenizer


class CaptionUtility(Protocol):
    """The true utility of captions.

    Attributes:
        field: The field that captions are compared with.
    """

    field: str

    def score(self, tokens: Tensor, length: Tensor, known: Tensor) -> Judgement:
        """The utility in [0, 1] of captions (n, L) of ``length`` words, finished or not, with its parts."""
        ...

    def best(self, known: Tensor, captions: Tensor) -> Tensor:
        """The index of the best of the references (n, R, L) of each item, (n,) int64."""
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
        """The captions; None where this dataset has none."""
        ...


@runtime_checkable
class SceneFacts(Protocol):
    """A dataset of scenes of which the graph is known.

    Attributes:
        config: What scenes may hold.
        sound: "none", "agree" or "complement": what is heard.
        graph_fields: The fields of the scene graph, those of ``SceneGraph``.
    """

    config: SceneConfig
    sound: str
    graph_fields: tuple[str, ...]

    def fingerprint(self, kinds: Sequence[str] | None = None) -> str:
        """The digest of the dataset with the kinds of questions that are asked; None for all."""
        ...


__all__ = ["CaptionUtility", "Captioned", "Captions", "SceneFacts"]
