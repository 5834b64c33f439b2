"""Procedural scenes: pictures and sounds with a known scene graph."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, fields
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from mm_envs.data.dataset import SPLITS, Dataset
from mm_envs.data.scenes import captions, questions, render
from mm_envs.data.scenes.layout import SceneConfig, SceneGraph, boxes, scene
from mm_envs.data.scenes.sound import SAMPLE_RATE, SAMPLES, synthesise
from mm_envs.names import at_least, check_one_of, one_of, refuse_unknown, whole
from mm_envs.random import fold, stream
from mm_envs.spaces import Audio, Image, UniformBox

SOUNDS = ("none", "agree", "complement")
_SHARES = (1, 4, 4)  # the train split is that many times a held-out one


class Scenes(Dataset):
    """Pictures of one to four objects, optionally with sound; each a pure function of the index.

    The fields are ``image`` (uint8), ``audio`` (float32, with sound), ``boxes`` (float32, around the objects)
    and those of ``graph_fields``. No scene graph is in two splits.

    Args:
        items: The number of items of the train split; validation and test have a quarter of it each.
        sound: ``"none"``; ``"agree"``: colour and shape of each object can be heard; ``"complement"``: the
            picture is grey, colours can only be heard, and no two objects have the same shape, so that each
            sound belongs to one object.
        seed: Seeds all items.
        config: Arguments of SceneConfig: ``objects``, ``colours``, ``shapes``, ``sizes``, ``textures``,
            ``pixels``, ``noise``.

    Raises:
        ValueError: An argument is not one of its choices or out of its range.

    Example:
        >>> batch = Scenes(items=64).batch(torch.tensor([0, 1, 2]), ["image", "colour"])
        >>> tuple(batch["image"].shape), tuple(batch["colour"].shape)
        ((3, 3, 64, 64), (3, 2))
    """

    name = "scenes"
    further_arguments = tuple(field.name for field in fields(SceneConfig))
    graph_fields = ("present", "shape", "colour", "size", "texture", "quadrant", "x", "y")

    def __init__(self, items: int = 8192, sound: str = "none", seed: int = 0, **config: Any) -> None:
        check_one_of("sound", sound, SOUNDS)
        whole("items", items)
        at_least("items", items, _SHARES[1], "every split needs an item")
        complement = {"hide_colour": True, "distinct_shapes": True} if sound == "complement" else {}
        refuse_unknown("dataset 'scenes'", config, self.further_arguments)
        self.config = SceneConfig(**{**complement, **config})
        self.sound, self.seed, self.items = sound, seed, items
        ends = list(accumulate((items // share for share in _SHARES), initial=0))
        self.splits = {name: range(*ends[i : i + 2]) for i, name in enumerate(SPLITS)}
        self._bounds = ends[1:-1]
        side = self.config.pixels
        self.vocabularies, self.classes = {}, {}
        self.spaces: dict[str, UniformBox] = {"image": Image(side, side)}
        if sound != "none":
            self.spaces["audio"] = Audio(SAMPLES, SAMPLE_RATE)

    def word_classes(self) -> tuple[tuple[str, ...], ...]:
        """Returns the words of each attribute, opposite relations, yes and no, and numbers."""
        numbers = tuple(map(str, range(self.config.maximum + 1)))
        relations = (("left", "right"), ("above", "below"))
        return (*captions.attribute_words(self.config).values(), *relations, ("yes", "no"), numbers)

    def graph(self, indices: Tensor) -> SceneGraph:
        """Returns the scene graphs of some items."""
        split = torch.zeros_like(indices)
        for bound in self._bounds:
            split = split + (indices >= bound).to(torch.int64)
        return scene(self.config, split, self.hashes(indices))

    def batch(self, indices: Tensor, fields: Collection[str]) -> dict[str, Tensor]:
        """Returns some fields of some items; raises ValueError if there is no such field."""
        return self.drawn(self.graph(indices), self.hashes(indices), fields)

    def drawn(self, graph: SceneGraph, hashes: Tensor, fields: Collection[str]) -> dict[str, Tensor]:
        """Returns some fields of any n scenes; hashes (n,) decide background, order of tones and noise."""
        made: dict[str, Tensor] = {}
        for field in fields:
            if field == "image":
                made[field] = render.render(graph, self.config, hashes)
            elif field == "audio":
                made[field] = synthesise(graph, self.config, hashes)
            elif field == "boxes":
                made[field] = boxes(graph, self.config)
            elif field in self.graph_fields:
                made[field] = getattr(graph, field)
            else:
                raise ValueError(one_of("field", field, ("image", "audio", "boxes", *self.graph_fields)))
        return made

    def fingerprint(self, kinds: Sequence[str] | None = None) -> str:
        """Returns the SHA-256 of the configuration, which decides every item."""
        # Lengths and kinds are the defaults of tasks: tickets of the v0 ids contain this digest.
        config = {
            **asdict(self.config),
            "items": self.items,
            "sound": self.sound,
            "max_tokens": captions.default_max_tokens(self.config),
            "kinds": list(questions.askable(self.sound) if kinds is None else kinds),
            "seed": self.seed,
        }
        return hashlib.sha256(f"scenes 0 {json.dumps(config, sort_keys=True)}".encode()).hexdigest()

    def hashes(self, indices: Tensor) -> Tensor:
        """Returns one hash for each item, (n,) int64."""
        return fold(stream(self.seed, "scene item", indices.device), indices)
