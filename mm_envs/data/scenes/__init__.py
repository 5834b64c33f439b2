"""Procedural scenes: pictures, sounds, captions and questions of which the whole truth is known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, fields
from typing import Any

import torch
from torch import Tensor

from mm_envs.data.dataset import SPLITS, Dataset
from mm_envs.data.scenes import captions, naming, questions, render, sound
from mm_envs.data.scenes.layout import COLOURS, SceneConfig, SceneGraph, scene
from mm_envs.names import at_least, one_of, refuse_unknown, whole
from mm_envs.random import fold, stream
from mm_envs.spaces import Audio, Count, Image, Tokens, UniformBox
from mm_envs.tokenizers import PAD

SOUNDS = ("none", "agree", "complement")
_SHARES = (1, 4, 4)  # the train split is that many times a held-out one


class Scenes(Dataset):
    """Pictures of one to four objects, with sound, captions and questions; each a pure function of the index.

    The fields are ``image`` (uint8), ``audio`` (float32, with sound), ``captions`` (int64, several reference
    captions), ``facts`` (int64, what captions are held against), ``question``, ``question_length``,
    ``answer`` and ``kind`` (int64), ``text`` and ``text_length`` (int64, the name of one object), ``label``
    (int64, the colour of that object) and those of ``graph_fields``: the scene graph.

    No scene graph is in two splits.

    Args:
        items: The number of items of the train split; validation and test have a quarter of it each.
        sound: ``"none"``; ``"agree"``: one hears colour and shape of each object; ``"complement"``: the
            picture is grey and only the sound says the colours, and no two objects have the same shape, so
            that one can tell which sound is whose.
        max_tokens: The length of the reference captions; by default that of the longest and ``<eos>``.
        kinds: Kinds of questions to ask; by default all that the scenes have an unambiguous answer to.
        seed: Seeds all items.
        config: Arguments of SceneConfig: ``objects``, ``colours``, ``shapes``, ``sizes``, ``textures``,
            ``pixels``, ``noise``.

    Raises:
        ValueError: An argument is not one of its choices or out of its range.

    Example:
        >>> scenes = Scenes(items=64)
        >>> batch = scenes.batch(torch.tensor([0, 1, 2]), ["image", "captions"])
        >>> tuple(batch["image"].shape)
        (3, 3, 64, 64)
    """

    name = "scenes"
    further_arguments = tuple(field.name for field in fields(SceneConfig))
    graph_fields = ("present", "shape", "colour", "size", "texture", "quadrant", "x", "y")

    def __init__(
        self,
        items: int = 8192,
        sound: str = "none",
        max_tokens: int | None = None,
        kinds: Collection[str] | None = None,
        seed: int = 0,
        **config: Any,
    ) -> None:
        if sound not in SOUNDS:
            raise ValueError(one_of("sound", sound, SOUNDS))
        whole("items", items)
        at_least("items", items, _SHARES[1], "every split needs an item")
        complement = {"hide_colour": True, "distinct_shapes": True} if sound == "complement" else {}
        refuse_unknown("dataset 'scenes'", config, self.further_arguments)
        self.config = SceneConfig(**{**complement, **config})
        self.sound, self.seed, self.items = sound, seed, items
        if max_tokens is None:
            max_tokens = captions.default_max_tokens(self.config)
        at_least("max_tokens", max_tokens, 1, "leave it out for the longest caption and <eos>")
        self.max_tokens = max_tokens
        self.kinds = self._kinds(kinds)
        ends = [0]
        for share in _SHARES:
            ends.append(ends[-1] + items // share)
        self.splits = {name: range(ends[i], ends[i + 1]) for i, name in enumerate(SPLITS)}
        self._bounds = ends
        self._set_spaces()

    def _kinds(self, kinds: Collection[str] | None) -> tuple[str, ...]:
        if kinds is None:
            # Without two objects of one shape, "how many red objects" would give its answer away; and
            # the sound alone would tell whether there is a red circle.
            skipped = {"count", "existence"} if self.sound == "complement" else set()
            return tuple(kind for kind in questions.QUESTION_KINDS if kind not in skipped)
        for kind in kinds:
            if kind not in questions.QUESTION_KINDS:
                raise ValueError(one_of("kinds", kind, questions.QUESTION_KINDS))
        return tuple(kind for kind in questions.QUESTION_KINDS if kind in kinds)

    def _set_spaces(self) -> None:
        side = self.config.pixels
        self.vocabularies = {
            "caption": captions.caption_vocabulary(self.config),
            "question": questions.question_vocabulary(self.config),
            "text": naming.name_vocabulary(self.config),
        }
        self.classes = {
            "label": COLOURS[: self.config.colours],
            "answer": questions.answers(self.config),
            "kind": questions.QUESTION_KINDS,
        }
        self.spaces: dict[str, UniformBox] = {
            "image": Image(side, side),
            "text": Tokens(naming.NAME_LENGTH, self.vocabularies["text"]),
            "question": Tokens(questions.question_length(self.config), self.vocabularies["question"]),
        }
        for name in ("text", "question"):
            self.spaces[f"{name}_length"] = Count(self.spaces[name].shape[0])
        if self.sound != "none":
            self.spaces["audio"] = Audio(sound.SAMPLES, sound.SAMPLE_RATE)

    def caption_grader(self) -> captions.CaptionGrader:
        """The true utility of captions."""
        return captions.CaptionGrader(self.config)

    def part_modalities(self) -> dict[str, tuple[str, ...]]:
        """Which modalities carry each part of the utility of a caption."""
        return captions.part_modalities(self.config, self.sound != "none")

    def word_classes(self) -> tuple[tuple[str, ...], ...]:
        """The words of each attribute, opposite relations, yes and no, and numbers."""
        numbers = tuple(map(str, range(self.config.maximum + 1)))
        relations = (("left", "right"), ("above", "below"))
        return (*captions.attribute_words(self.config).values(), *relations, ("yes", "no"), numbers)

    def graph(self, indices: Tensor) -> SceneGraph:
        """The scene graphs of some items."""
        split = torch.zeros_like(indices)
        for bound in self._bounds[1:-1]:
            split = split + (indices >= bound).to(torch.int64)
        return scene(self.config, split, self._bits(indices))

    def batch(self, indices: Tensor, fields: Collection[str]) -> dict[str, Tensor]:
        """The asked fields of some items.

        Raises:
            ValueError: There is no such field.
        """
        graph, bits = self.graph(indices), self._bits(indices)
        made: dict[str, Tensor] = {}
        for field in fields:
            if field in made:
                continue
            if field not in _MAKERS and field not in self.graph_fields:
                raise ValueError(one_of("field", field, (*_MAKERS, *self.graph_fields)))
            made |= _MAKERS[field](self, graph, bits) if field in _MAKERS else {field: getattr(graph, field)}
        return {field: made[field] for field in fields}

    def fingerprint(self) -> str:
        """The SHA-256 of the configuration: it decides every item."""
        said = {
            **asdict(self.config),
            "items": self.items,
            "sound": self.sound,
            "max_tokens": self.max_tokens,
            "kinds": self.kinds,
            "seed": self.seed,
        }
        return hashlib.sha256(f"scenes 0 {json.dumps(said, sort_keys=True)}".encode()).hexdigest()

    def _bits(self, indices: Tensor) -> Tensor:
        return fold(stream(self.seed, "scene item", indices.device), indices)

    # Makers of fields -------------------------------------------------------------------------------------

    def _make_image(self, graph: SceneGraph, bits: Tensor) -> dict[str, Tensor]:
        return {"image": render.render(graph, self.config, bits)}

    def _make_audio(self, graph: SceneGraph, bits: Tensor) -> dict[str, Tensor]:
        return {"audio": sound.synthesise(graph, self.config, bits)}

    def _make_captions(self, graph: SceneGraph, bits: Tensor) -> dict[str, Tensor]:
        grader = self.caption_grader()
        return {
            "captions": captions.references(graph, self.config, self.max_tokens),
            "facts": grader.facts(graph),
        }

    def _make_question(self, graph: SceneGraph, bits: Tensor) -> dict[str, Tensor]:
        allowed = tuple(questions.QUESTION_KINDS.index(kind) for kind in self.kinds)
        asked = questions.ask(graph, self.config, fold(bits, 1), allowed=allowed)
        return {**_padded("question", asked.tokens), "answer": asked.answer, "kind": asked.kind}

    def _make_name(self, graph: SceneGraph, bits: Tensor) -> dict[str, Tensor]:
        by = naming.name_by_place if self.sound == "complement" else naming.name_by_shape
        text, index = by(graph, self.config, fold(bits, 2))
        return {**_padded("text", text), "label": graph.colour.gather(1, index[:, None])[:, 0]}


def _padded(name: str, tokens: Tensor) -> dict[str, Tensor]:
    """Token ids and how many of them are words."""
    return {name: tokens, f"{name}_length": (tokens != PAD).sum(1, keepdim=True)}


_Maker = Callable[[Scenes, SceneGraph, Tensor], dict[str, Tensor]]
_MAKERS: Mapping[str, _Maker] = {
    "image": Scenes._make_image,
    "audio": Scenes._make_audio,
    "captions": Scenes._make_captions,
    "facts": Scenes._make_captions,
    "question": Scenes._make_question,
    "question_length": Scenes._make_question,
    "answer": Scenes._make_question,
    "kind": Scenes._make_question,
    "text": Scenes._make_name,
    "text_length": Scenes._make_name,
    "label": Scenes._make_name,
}
