"""Fields that tasks make from scene graphs: captions, questions, and names of objects."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import gymnasium as gym
from torch import Tensor

from mm_envs.data.dataset import Dataset
from mm_envs.data.protocols import Captioned, Captions, SceneFacts
from mm_envs.data.scenes import captions, naming, questions
from mm_envs.data.scenes.layout import COLOURS, SceneConfig, SceneGraph
from mm_envs.names import check_one_of
from mm_envs.random import fold
from mm_envs.spaces import Count, Tokens
from mm_envs.tokenizers import Vocabulary, sizes

_CURE = (
    "choose one that has, or name the column of a folder: columns={'captions': 'their name'}, on the command "
    'line --set \'columns={"captions": "their name"}\''
)


S = TypeVar("S", bound="_SceneSource")


class FieldSource(Protocol):
    """Makes the fields ``made`` (their space if they are shown, else None) from the dataset fields ``facts``.

    Hashable, equal if it makes the same.
    """

    def __hash__(self) -> int: ...

    @property
    def facts(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def made(self) -> Mapping[str, gym.Space[Any] | None]: ...  # noqa: D102

    def make(self, facts: Mapping[str, Tensor], hashes: Tensor) -> dict[str, Tensor]:
        """The fields of n items, row by row."""
        ...


@dataclass(frozen=True)
class _SceneSource:
    """Base class of fields made from scene graphs; sound is "none", "agree" or "complement"."""

    config: SceneConfig
    sound: str
    facts: tuple[str, ...]

    @classmethod
    def of(cls: type[S], dataset: SceneFacts) -> S:
        """The source for a dataset of scenes."""
        return cls(dataset.config, dataset.sound, dataset.graph_fields)


@dataclass(frozen=True)
class SceneCaptions(_SceneSource):
    """``captions`` (n, R, L) int64, and ``facts``, what captions are compared with."""

    @property
    def made(self) -> Mapping[str, gym.Space[Any] | None]:
        """Both are hidden."""
        return {"captions": None, "facts": None}

    @property
    def captions(self) -> Captions:
        """Vocabulary, length and utility."""
        return Captions(
            captions.caption_vocabulary(self.config),
            captions.default_max_tokens(self.config),
            captions.CaptionGrader(self.config),
            captions.part_modalities(self.config, self.sound != "none"),
        )

    def make(self, facts: Mapping[str, Tensor], hashes: Tensor) -> dict[str, Tensor]:
        """Captions and facts."""
        graph = graph_of(facts)
        length = captions.default_max_tokens(self.config)
        return {
            "captions": captions.references(graph, self.config, length),
            "facts": captions.CaptionGrader(self.config).facts(graph),
        }


@dataclass(frozen=True)
class SceneQuestions(_SceneSource):
    """``question`` with its length, ``answer`` and ``kind``, of the kinds that are asked."""

    kinds: tuple[str, ...]

    @classmethod
    def of(cls, dataset: SceneFacts, kinds: Collection[str] | None = None) -> SceneQuestions:
        """The source for a dataset of scenes.

        Raises:
            ValueError: There is no such kind of question.
        """
        known = questions.QUESTION_KINDS
        for kind in kinds or ():
            check_one_of("kinds", kind, known)
        chosen = questions.askable(dataset.sound) if kinds is None else [k for k in known if k in kinds]
        return cls(dataset.config, dataset.sound, dataset.graph_fields, tuple(chosen))

    @property
    def made(self) -> Mapping[str, gym.Space[Any] | None]:
        """The question is shown."""
        vocabulary = questions.question_vocabulary(self.config)
        shown = _text("question", questions.question_length(self.config), vocabulary)
        return {**shown, "answer": None, "kind": None}

    @property
    def answers(self) -> tuple[str, ...]:
        """All answers to any question."""
        return questions.answers(self.config)

    def make(self, facts: Mapping[str, Tensor], hashes: Tensor) -> dict[str, Tensor]:
        """Question, answer and kind."""
        allowed = tuple(questions.QUESTION_KINDS.index(kind) for kind in self.kinds)
        asked = questions.ask(graph_of(facts), self.config, fold(hashes, 1), allowed=allowed)
        return {**_padded("question", asked.tokens), "answer": asked.answer, "kind": asked.kind}


@dataclass(frozen=True)
class SceneNames(_SceneSource):
    """``text``, the name of one object, with its length, and ``label``, its colour."""

    @property
    def made(self) -> Mapping[str, gym.Space[Any] | None]:
        """The name is shown."""
        shown = _text("text", naming.NAME_LENGTH, naming.name_vocabulary(self.config))
        return {**shown, "label": None}

    @property
    def classes(self) -> tuple[str, ...]:
        """The colours."""
        return COLOURS[: self.config.colours]

    def make(self, facts: Mapping[str, Tensor], hashes: Tensor) -> dict[str, Tensor]:
        """Name and colour."""
        graph = graph_of(facts)
        name = naming.name_by_quadrant if self.sound == "complement" else naming.name_by_shape
        text, index = name(graph, self.config, fold(hashes, 2))
        return {**_padded("text", text), "label": graph.colour.gather(1, index[:, None])[:, 0]}


def captions_of(dataset: Dataset) -> tuple[SceneCaptions | None, Captions]:
    """The captions of a dataset, and the source that makes them; None for human-written ones."""
    if isinstance(dataset, SceneFacts):
        made = SceneCaptions.of(dataset)
        return made, made.captions
    given = dataset.captions() if isinstance(dataset, Captioned) else None
    if given is None:
        raise ValueError(f"dataset {dataset.name!r} has no captions: {_CURE}")
    return None, given


def graph_of(facts: Mapping[str, Tensor]) -> SceneGraph:
    """The scene graphs of the facts of some items."""
    return SceneGraph(**{name: facts[name] for name in SceneGraph.__dataclass_fields__})


def _text(name: str, length: int, vocabulary: Vocabulary) -> dict[str, gym.Space[Any] | None]:
    return {name: Tokens(length, vocabulary), f"{name}_length": Count(length)}


def _padded(name: str, tokens: Tensor) -> dict[str, Tensor]:
    """Token ids and how many of them are words."""
    return {name: tokens, f"{name}_length": sizes(tokens)[:, None]}
