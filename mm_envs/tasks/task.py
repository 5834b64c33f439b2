"""What a task is: a recipe of dataset fields, spaces and the true utility of an answer.

A task holds no state of an episode: the engine keeps it as a dict of tensors and hands it to pure functions.
So a new task is one file with the spaces, how the dynamic state advances, and the utility.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, TypeAlias

import gymnasium as gym
import torch
from torch import Tensor

from mm_envs.data.dataset import Dataset
from mm_envs.episodes import Judgement
from mm_envs.random import fold, integers
from mm_envs.spaces import Count, Tokens
from mm_envs.tokenizers import EOS, PAD, Vocabulary

State: TypeAlias = dict[str, Tensor]
Fields: TypeAlias = Mapping[str, Tensor]


class Task(ABC):
    """The recipe of an environment. Everything is batched: each method speaks of n rows at once.

    Attributes:
        dataset: Where the items come from.
        context: Observation key -> dataset field, for what stays the same during an episode.
        reference: Names of the dataset fields that are the hidden truth.
        action_space: The space of one action.
        state_spaces: Spaces of the dynamic part of the observation, by key; empty for one-step tasks.
        horizon: The number of steps after which every episode has ended by termination.
        part_modalities: Part of the utility -> the modalities that carry it.
        utility_deviation: The standard deviation of utility by which simulated annotators scale their
            rationality; pinned, so that an annotator does not depend on the policy that it judges.
    """

    dataset: Dataset
    context: Mapping[str, str]
    reference: tuple[str, ...]
    action_space: gym.Space[Any]
    state_spaces: Mapping[str, gym.Space[Any]] = {}
    horizon: int = 1
    part_modalities: Mapping[str, tuple[str, ...]]
    utility_deviation: float = 0.5

    # The dynamic part -------------------------------------------------------------------------------------

    def start(self, n: int, device: torch.device) -> State:
        """The dynamic state of n fresh episodes."""
        return {}

    def advance(self, state: State, actions: Tensor) -> tuple[State, Tensor]:
        """The state after one action in every row, and which rows have ended: (n,) bool.

        Pure: the tensors given are not changed, those returned are new.
        """
        return {}, torch.ones(len(actions), dtype=torch.bool, device=actions.device)

    def respond(self, state: State, actions: Tensor) -> tuple[Tensor, Tensor | None]:
        """The response and its length (None if it has none), from the last state and the last action."""
        return actions, None

    # The truth --------------------------------------------------------------------------------------------

    @abstractmethod
    def utility(self, response: Tensor, length: Tensor | None, reference: Fields) -> Judgement:
        """The true utility of answers, in [0, 1], with named parts.

        Row i depends on row i of the arguments alone, bit for bit.

        Args:
            response: As ``respond`` returns it, leading dimension n.
            length: As ``respond`` returns it.
            reference: The fields named by ``self.reference``, leading dimension n.
        """

    # Yardsticks: a policy is a response that is known beforehand ------------------------------------------

    @abstractmethod
    def oracle(self, reference: Fields) -> Tensor:
        """The response that maximises utility, for each row."""

    @abstractmethod
    def blind(self, context: Fields, reference: Fields, seen: Fields) -> Tensor:
        """For each row of ``seen`` the best response that ignores every picture and sound.

        Args:
            context: Observations of many training items: what the answer may be conditioned on.
            reference: The truth of these training items.
            seen: The observations of the items to answer.
        """

    @abstractmethod
    def random(self, bits: Tensor) -> Tensor:
        """A uniformly random response for each hash of shape (n,)."""

    def action(self, response: Tensor, step: int) -> Tensor:
        """The action that writes a response, at a step."""
        return response

    # For people -------------------------------------------------------------------------------------------

    @abstractmethod
    def words(self, response: Tensor) -> str:
        """One response (a single row) as a person reads it."""

    @abstractmethod
    def reference_words(self, reference: Fields) -> list[str]:
        """Good answers to one item (fields of a single row) as a person reads them."""

    def _show(self, *names: str) -> None:
        """Sets the context to those of some dataset fields that exist, with their lengths and presence."""
        spaces = self.dataset.spaces
        entries = [name + ending for name in names for ending in ("", "_length", "_present")]
        self.context = {name: name for name in entries if name in spaces}

    # Derived ----------------------------------------------------------------------------------------------

    @property
    def modalities(self) -> tuple[str, ...]:
        """The entries of the context that are seen, heard or read, without lengths and presence."""
        return tuple(key for key in self.context if not key.endswith(("_length", "_present")))

    @property
    def context_spaces(self) -> dict[str, gym.Space[Any]]:
        """The spaces of what stays the same during an episode, by observation key."""
        return {key: self.dataset.spaces[name] for key, name in self.context.items()}

    @property
    def observation_space(self) -> gym.spaces.Dict:
        """The flat Dict of one observation: context first, then state."""
        return gym.spaces.Dict({**self.context_spaces, **self.state_spaces})


class TokenTask(Task):
    """A task whose answer is written word by word, one token a step.

    The answer ends with ``<eos>`` or after ``max_tokens`` words; both are termination and are judged.

    Attributes:
        vocabulary: The vocabulary of the answer.
    """

    vocabulary: Vocabulary

    def _set_vocabulary(self, vocabulary: Vocabulary, max_tokens: int) -> None:
        if max_tokens < 1:
            raise ValueError(f"max_tokens={max_tokens} is below 1: an answer has at least one word")
        self.vocabulary, self.horizon = vocabulary, max_tokens
        self.action_space = gym.spaces.Discrete(len(vocabulary))
        self.state_spaces = {
            "tokens": Tokens(max_tokens, vocabulary),
            "tokens_length": Count(max_tokens),
        }

    def start(self, n: int, device: torch.device) -> State:
        """No words yet."""
        return {
            "tokens": torch.full((n, self.horizon), PAD, dtype=torch.int64, device=device),
            "tokens_length": torch.zeros((n, 1), dtype=torch.int64, device=device),
        }

    def advance(self, state: State, actions: Tensor) -> tuple[State, Tensor]:
        """Writes one word in every row."""
        # A row that was finished already may be stepped (its result is thrown away): keep its place in range.
        place = state["tokens_length"].clamp(max=self.horizon - 1)
        tokens = state["tokens"].scatter(1, place, actions[:, None])
        length = place + 1
        done = (actions == EOS) | (length[:, 0] == self.horizon)
        return {"tokens": tokens, "tokens_length": length}, done

    def respond(self, state: State, actions: Tensor) -> tuple[Tensor, Tensor | None]:
        """The words written, and how many before ``<eos>``."""
        length = state["tokens_length"][:, 0] - (actions == EOS).to(torch.int64)
        return state["tokens"], length

    def random(self, bits: Tensor) -> Tensor:
        """Every word uniform over the vocabulary, as a policy of uniform logits writes."""
        steps = torch.arange(self.horizon, device=bits.device)
        return integers(fold(bits[:, None], steps), len(self.vocabulary))

    def action(self, response: Tensor, step: int) -> Tensor:
        """The word at a step."""
        return response[:, step]

    def words(self, response: Tensor) -> str:
        """The words of an answer."""
        return self.vocabulary.decode(response)
