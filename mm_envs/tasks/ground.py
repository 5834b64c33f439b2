"""Grounding: the box of the object that a phrase names."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mm_envs.answers import Boxes
from mm_envs.data.dataset import Dataset, make_dataset
from mm_envs.data.protocols import SceneFacts
from mm_envs.data.scenes.captions import attribute_words
from mm_envs.data.scenes.questions import pick
from mm_envs.episodes import Judgement
from mm_envs.metrics.boxes import iou
from mm_envs.random import fold
from mm_envs.spaces import Tokens
from mm_envs.tasks.fields import graph_of
from mm_envs.tasks.task import Fields, Task
from mm_envs.tokenizers import Vocabulary

_STARTS = 128  # boxes that the blind policy chooses from


class Ground(Task):
    """Draw a box around the object that a phrase names.

    ## Description
    The agent sees a picture of two to four objects and reads the name of one of them ("small red circle"). It
    gives the box around this object.

    ## Observation space
    A flat Dict: ``image`` (Image) and ``phrase`` (Tokens).

    ## Action space
    ``Box(-1, 1, (1, 4))``: left, top, right, bottom; -1 is the left or upper edge, 1 the right or lower one.

    ## Rewards
    The reward of the feedback; by default that of a simulated annotator. The utility is the intersection
    over union with the box of the object; where several objects fit the phrase, with the best of them.

    ## Episode end
    Terminates after one step.

    ## Arguments
    ``dataset`` ("scenes"), and its arguments.

    ## Version history
    v0: first version.
    """

    reference = ("boxes", "fits")
    context = {"image": "image", "phrase": "phrase"}  # noqa: RUF012 - as the base class has it
    part_modalities = {"iou": ("image", "phrase")}  # noqa: RUF012
    utility_deviation = 0.25

    def __init__(self, dataset: str | Dataset = "scenes", **dataset_arguments: Any) -> None:
        self.dataset = make_dataset(dataset, **dataset_arguments)
        if not isinstance(self.dataset, SceneFacts):
            raise ValueError(f"dataset {self.dataset.name!r} names no objects with boxes: use 'scenes'")
        self._words = attribute_words(self.dataset.config)
        self._kinds = tuple(kind for kind in ("size", "colour", "texture", "shape") if kind in self._words)
        self.vocabulary = Vocabulary.of(word for kind in self._kinds for word in self._words[kind])
        self.facts = self.dataset.graph_fields
        self.made = {"phrase": Tokens(len(self._kinds), self.vocabulary), "fits": None}
        self.answer = Boxes(1)

    def fields(self, facts: Fields, hashes: Tensor) -> dict[str, Tensor]:
        """The words for a random object, and which objects they fit."""
        graph = graph_of(facts)
        index = pick(graph.present, fold(hashes, 3))[:, None]
        phrase, fits = [], graph.present
        for kind in self._kinds:
            values: Tensor = getattr(graph, kind)
            value = values.gather(1, index)
            fits = fits & (values == value)
            phrase.append(value + self.vocabulary.ids[self._words[kind][0]])
        return {"phrase": torch.cat(phrase, 1), "fits": fits}

    def utility(self, response: Tensor, length: Tensor | None, reference: Fields) -> Judgement:
        """Intersection over union with the best of the objects that fit."""
        overlap = iou(response, reference["boxes"], pairwise=True)[:, 0]
        worth = overlap.masked_fill(~reference["fits"], 0.0).amax(1)
        return Judgement(worth, {"iou": worth})

    def oracle(self, reference: Fields) -> Tensor:
        """The box of the first object that fits."""
        first = reference["fits"].to(torch.int64).argmax(1)
        return reference["boxes"][torch.arange(len(first), device=first.device), first][:, None]

    def blind(self, context: Fields, reference: Fields, seen: Fields) -> Tensor:
        """The constant box with the largest mean utility, of those of some items and the whole picture."""
        whole = torch.tensor([[[0.0, 0.0, 1.0, 1.0]]])
        starts = torch.cat([whole, self.oracle({name: rows[:_STARTS] for name, rows in reference.items()})])
        each = [
            self.utility(box.expand(len(reference["fits"]), 1, 4), None, reference).reward.mean()
            for box in starts
        ]
        best = starts[int(torch.stack(each).argmax())]
        return best.expand(len(next(iter(seen.values()))), 1, 4)
