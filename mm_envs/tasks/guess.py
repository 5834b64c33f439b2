"""A guessing dialogue: one question about a hidden object, a reply, and the name of the object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor

from mm_envs.answers import State, Turns
from mm_envs.data.dataset import Dataset, make_dataset
from mm_envs.data.protocols import SceneFacts
from mm_envs.data.scenes.layout import COLOURS, SHAPES, SIZES
from mm_envs.data.scenes.questions import pick
from mm_envs.episodes import Judgement
from mm_envs.random import fold
from mm_envs.spaces import Tokens
from mm_envs.tasks.fields import graph_of
from mm_envs.tasks.task import Fields, Task
from mm_envs.tokenizers import Vocabulary

QUESTIONS = ("what colour", "what shape", "how large", "left or right", "top or bottom")
_SIDES = ("left", "right", "top", "bottom")


class Guess(Task):
    """Guess which object of a picture is meant, after one question.

    ## Description
    The agent sees a picture of several objects, one of which is meant. In its first turn it asks one of five
    questions about that object and hears a word as reply; in its second turn it names the object. Which
    question helps depends on the picture: if all objects are red, their colour is no information.

    ## Observation space
    A flat Dict: ``image`` (Image); ``chosen`` (the choices so far, 0 for turns to come) and ``reply``
    (Tokens: one word, padding before the question).

    ## Action space
    ``Discrete(names)``: in the first turn a question, modulo their number; in the second a name, colour and
    shape ("red circle").

    ## Rewards
    0 until the object is named, then what the feedback gives; by default a simulated annotator. The utility
    is 1 for the name of the object and 0 for others.

    ## Episode end
    Terminates after two steps.

    ## Arguments
    ``dataset`` ("scenes"), and its arguments (``objects``, ...).

    ## Version history
    v0: first version.
    """

    reference = ("replies", "name")
    context = {"image": "image"}  # noqa: RUF012 - as the base class has it
    part_modalities = {"name": ("image",)}  # noqa: RUF012

    def __init__(self, dataset: str | Dataset = "scenes", **dataset_arguments: Any) -> None:
        self.dataset = make_dataset(dataset, **dataset_arguments)
        if not isinstance(self.dataset, SceneFacts):
            raise ValueError(f"dataset {self.dataset.name!r} has no objects to guess: use 'scenes'")
        config = self.dataset.config
        self.shapes, self.facts = config.shapes, self.dataset.graph_fields
        self.made = {"replies": None, "name": None}
        self.vocabulary = Vocabulary.of([*COLOURS, *SHAPES, *SIZES, *_SIDES])
        colours, shapes = COLOURS[: config.colours], SHAPES[: config.shapes]
        names = [f"{colour} {shape}" for colour in colours for shape in shapes]
        self.answer = Turns([QUESTIONS, names])

    def fields(self, facts: Fields, hashes: Tensor) -> dict[str, Tensor]:
        """The replies to all questions about a random object, and its name."""
        graph, ids = graph_of(facts), self.vocabulary.ids
        index = pick(graph.present, fold(hashes, 4))[:, None]
        values = (graph.colour, graph.shape, graph.size, graph.quadrant & 1, graph.quadrant >> 1)
        chosen = [value.gather(1, index) for value in values]
        first = (COLOURS[0], SHAPES[0], SIZES[0], "left", "top")
        replies = [value + ids[word] for value, word in zip(chosen, first, strict=True)]
        return {"replies": torch.cat(replies, 1), "name": (chosen[0] * self.shapes + chosen[1])[:, 0]}

    @property
    def turn_spaces(self) -> Mapping[str, gym.Space[Any]]:
        """The reply."""
        return {"reply": Tokens(1, self.vocabulary)}

    @property
    def state_spaces(self) -> Mapping[str, gym.Space[Any]]:
        """The choices so far and the reply."""
        return {**self.answer.state_spaces, **self.turn_spaces}

    def start(self, fields: Fields, key: Tensor) -> State:
        """Nothing asked and no reply."""
        state = super().start(fields, key)
        return {**state, "reply": torch.zeros_like(state["chosen"][:, :1])}

    def advance(self, state: State, actions: Tensor, fields: Fields, key: Tensor) -> tuple[State, Tensor]:
        """Asks a question, and gets the reply; or names the object."""
        written, ended = self.answer.write(state, actions)
        question = (written["chosen"][:, :1] - 1).clamp(min=0)
        return {**written, "reply": fields["replies"].gather(1, question)}, ended

    def turns(self, state: State) -> dict[str, Tensor]:
        """The reply."""
        return {"reply": state["reply"][:, None]}

    def utility(self, response: Tensor, length: Tensor | None, reference: Fields) -> Judgement:
        """1 for the right name."""
        right = (response[:, 1] == reference["name"]).to(torch.float32)
        return Judgement(right, {"name": right})

    def oracle(self, reference: Fields) -> Tensor:
        """Any question, and the right name."""
        return torch.stack([torch.zeros_like(reference["name"]), reference["name"]], 1)

    def blind(self, context: Fields, reference: Fields, seen: Fields) -> Tensor:
        """The name that is right most often."""
        return self.oracle({"name": reference["name"].mode().values.expand(len(next(iter(seen.values()))))})
