"""Classification of pictures, videos, texts and sounds: a class, or a distribution over the classes."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Any

import torch
from torch import Tensor

from mm_envs.answers import Choice, Vector
from mm_envs.data.dataset import Dataset, make_dataset
from mm_envs.data.protocols import SceneFacts
from mm_envs.episodes import Judgement
from mm_envs.names import check_one_of
from mm_envs.tasks.baselines import conditional_majority
from mm_envs.tasks.fields import SceneNames
from mm_envs.tasks.task import Fields, Task

INPUTS = ("image", "video", "text", "audio")
ANSWERS = ("class", "distribution")
SCALE = 4.0
_CURE = "choose one with classes, or name the column of a folder (columns={'label': 'their name'})"


class Classify(Task):
    """Name the class of an item.

    ## Description
    One step: the agent sees a picture, a video, a text, a sound, or several of them, and names a class. On
    ``scenes`` (the default) the picture shows two objects, the text names one of them and the class is its
    colour; with ``sound="complement"`` the picture is grey and the colours are heard, so that picture, text
    and sound are all needed. On ``digits`` the picture is a handwritten digit. On a ``folder`` the class is
    its column ``label`` (``columns={"label": "species"}`` names another).

    ## Observation space
    A flat Dict with those of ``image`` (Image), ``video`` (Video), ``text`` (Tokens, with ``text_length``)
    and ``audio`` (Audio) that the dataset has. On folders sounds have an ``audio_length``, and
    ``<key>_present`` is 0 where an item lacks an entry that others have.

    ## Action space
    ``Discrete(classes)``; with ``answer="distribution"`` a ``Box(-1, 1, (classes,))`` of logits divided by 4:
    on this scale, policies of continuous actions work best, and the log score has a worst value.

    ## Rewards
    The reward of the feedback; by default that of a simulated annotator. The utility is 1 for the right class
    and 0 for a wrong one. For a distribution it is the log score, ``log p(class)``, mapped linearly onto
    [0, 1]: 1 + log p / w, where w is the worst loss that the bounds of the logits allow. Being linear in the
    log score it is strictly proper (Gneiting and Raftery, "Strictly proper scoring rules", 2007).

    ## Episode end
    Terminates after one step.

    ## Arguments
    ``dataset``, ``inputs`` (which of image, video, text, audio are shown), ``answer`` ("class",
    "distribution"), and the arguments of the dataset (of a folder ``path``, ...).

    ## Version history
    v0: first version.
    """

    reference = ("label",)

    def __init__(
        self,
        dataset: str | Dataset = "scenes",
        inputs: Sequence[str] | None = None,
        answer: str = "class",
        **dataset_arguments: Any,
    ) -> None:
        self.dataset = make_dataset(dataset, **dataset_arguments)
        self.classes = self._named()
        self.item_kind, self.item_kinds = "label", self.classes
        has = [name for name in INPUTS if name in self._spaces]
        shown = has if inputs is None else [inputs] if isinstance(inputs, str) else inputs
        for name in shown:
            check_one_of("inputs", name, has)
        if not shown:
            raise ValueError(f"inputs={inputs!r} shows nothing: give at least one of {', '.join(has)}")
        self._show(*shown)
        check_one_of("answer", answer, ANSWERS)
        n = len(self.classes)
        self.answer = Choice(self.classes) if answer == "class" else Vector(n)
        self._distribution = answer == "distribution"
        self.worst_loss = 2 * SCALE + log(n)
        self.part_modalities = {self._part: self.modalities}
        # A distribution spreads its utility over a narrower range than right and wrong do.
        self.utility_deviation = 0.25 if self._distribution else 0.5

    def _named(self) -> tuple[str, ...]:
        """Sets the fields of labels; returns the names of the classes."""
        if isinstance(self.dataset, SceneFacts):
            made = SceneNames.of(self.dataset)
            self._use(made)
            return made.classes
        if "label" not in self.dataset.classes:
            raise ValueError(f"dataset {self.dataset.name!r} has no label: {_CURE}")
        return self.dataset.classes["label"]

    @property
    def _part(self) -> str:
        return "log_score" if self._distribution else "correct"

    def utility(self, response: Tensor, length: Tensor | None, reference: Fields) -> Judgement:
        """1 for the right class and 0 for a wrong one; for a distribution the scaled log score."""
        label = reference["label"]
        if not self._distribution:
            right = (response == label).to(torch.float32)
        else:
            # In double precision, so that the rounded result does not depend on how the batch is vectorised.
            logits = SCALE * response.nan_to_num(0.0).clamp(-1, 1).to(torch.float64)
            score = logits.log_softmax(1).gather(1, label[:, None])[:, 0]
            right = (1 + score / self.worst_loss).clamp(0, 1).to(torch.float32)
        return Judgement(right, {self._part: right})

    def oracle(self, reference: Fields) -> Tensor:
        """The right class; for a distribution the largest logit for it and the smallest for the others."""
        label = reference["label"]
        if not self._distribution:
            return label
        return (2 * torch.nn.functional.one_hot(label, len(self.classes)) - 1).to(torch.float32)

    def blind(self, context: Fields, reference: Fields, seen: Fields) -> Tensor:
        """The most frequent class given the text (or of all, where there is no text)."""
        if "text" in self.context:
            guess = conditional_majority(context["text"], reference["label"], seen["text"])
        else:
            guess = torch.full((len(next(iter(seen.values()))),), int(reference["label"].mode().values))
        if not self._distribution:
            return guess
        # The best constant distribution is that of the classes.
        counts = torch.bincount(reference["label"], minlength=len(self.classes)).double()
        logits = (counts / counts.sum()).clamp(min=1e-9).log()
        return ((logits - logits.mean()) / SCALE).clamp(-1, 1).float().expand(len(guess), -1)

    def words(self, response: Tensor) -> str:
        """The name of the class, with its probability where the answer is a distribution."""
        if not self._distribution:
            return super().words(response)
        p = (SCALE * response.double()).softmax(0)
        return f"{self.classes[int(p.argmax())]} ({float(p.max()):.2f})"

    def reference_words(self, reference: Fields) -> list[str]:
        """The name of the right class."""
        return [self.classes[int(reference["label"])]]
