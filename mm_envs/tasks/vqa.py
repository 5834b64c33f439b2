"""Visual question answering: a question about what is seen (and heard)."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import torch
from torch import Tensor

from mm_envs.data.dataset import Dataset, make_dataset
from mm_envs.data.text import EOS, Vocabulary
from mm_envs.episodes import Judgement
from mm_envs.metrics.accuracy import exact_match
from mm_envs.names import one_of
from mm_envs.random import integers
from mm_envs.tasks.task import Fields, State, Task, TokenTask
from mm_envs.tasks.yardsticks import conditional_majority

ANSWERS = ("choice", "tokens")


class VQA(TokenTask):
    """Answer a question about what is seen (and heard).

    ## Description
    The agent sees a picture (with sound, hears it, too) and a question, and answers. On ``scenes`` there are
    six kinds of questions: existence, count, colour, shape, relation and comparison, balanced so that neither
    the question nor the picture alone tells the answer.

    ## Observation space
    A flat Dict: ``image`` (Image), ``audio`` (Audio, where there is sound) and ``question`` (Tokens, with
    ``question_length``); with ``answer="tokens"`` also ``tokens`` and ``tokens_length``, the answer so far.

    ## Action space
    ``Discrete(answers)``: one of the known answers. With ``answer="tokens"`` ``Discrete(words)``: the next
    word of the answer.

    ## Rewards
    What the feedback says of the answer; by default a simulated rater. The utility is 1 for the right answer
    and 0 for any other; an answer in words must have the right word and no other, so that naming several
    possible answers does not pay.

    ## Episode end
    Terminates after one step; with words, after ``<eos>`` or ``max_tokens`` words.

    ## Arguments
    ``dataset``, ``answer`` ("choice", "tokens"), ``max_tokens`` (for words), and the arguments of the
    dataset.

    ## Version history
    v0: first version.
    """

    reference = ("answer", "kind")

    def __init__(
        self,
        dataset: str | Dataset = "scenes",
        answer: str = "choice",
        max_tokens: int = 3,
        **dataset_arguments: Any,
    ) -> None:
        self.dataset = make_dataset(dataset, **dataset_arguments)
        if "answer" not in self.dataset.classes:
            raise ValueError(f"dataset {self.dataset.name!r} has no questions: choose one that has")
        if answer not in ANSWERS:
            raise ValueError(one_of("answer", answer, ANSWERS))
        self._show("image", "audio", "question")
        self.answers, self.in_words = self.dataset.classes["answer"], answer == "tokens"
        if self.in_words:
            self._set_vocabulary(Vocabulary.of(self.answers), max_tokens)
        else:
            self.action_space = gym.spaces.Discrete(len(self.answers))
        self.part_modalities = {"correct": self.modalities}

    def start(self, n: int, device: torch.device) -> State:
        """No words yet; nothing for a choice."""
        return super().start(n, device) if self.in_words else {}

    def advance(self, state: State, actions: Tensor) -> tuple[State, Tensor]:
        """Writes a word, or chooses."""
        return super().advance(state, actions) if self.in_words else Task.advance(self, state, actions)

    def respond(self, state: State, actions: Tensor) -> tuple[Tensor, Tensor | None]:
        """The words, or the choice."""
        return super().respond(state, actions) if self.in_words else (actions, None)

    def utility(self, response: Tensor, length: Tensor | None, reference: Fields) -> Judgement:
        """1 for the right answer and 0 for any other, more or fewer words included."""
        if self.in_words:
            same = exact_match(response, self._written(reference["answer"]))
        else:
            same = response == reference["answer"]
        right = same.to(torch.float32)
        return Judgement(right, {"correct": right})

    def oracle(self, reference: Fields) -> Tensor:
        """The right answer."""
        return self._written(reference["answer"])

    def blind(self, context: Fields, reference: Fields, seen: Fields) -> Tensor:
        """The most frequent answer to the same question."""
        guess = conditional_majority(context["question"], reference["answer"], seen["question"])
        return self._written(guess)

    def random(self, bits: Tensor) -> Tensor:
        """A uniform choice, or uniform words."""
        return super().random(bits) if self.in_words else integers(bits, len(self.answers))

    def action(self, response: Tensor, step: int) -> Tensor:
        """The word at a step, or the choice."""
        return super().action(response, step) if self.in_words else response

    def words(self, response: Tensor) -> str:
        """The answer as a word."""
        return super().words(response) if self.in_words else self.answers[int(response)]

    def reference_words(self, reference: Fields) -> list[str]:
        """The right answer."""
        return [self.answers[int(reference["answer"])]]

    def _written(self, answer: Tensor) -> Tensor:
        """An answer as the response has it: its number, or its word and ``<eos>``."""
        if not self.in_words:
            return answer
        tokens = torch.zeros((len(answer), self.horizon), dtype=torch.int64, device=answer.device)
        tokens[:, 0] = answer + len(self.vocabulary) - len(self.answers)
        if self.horizon > 1:
            tokens[:, 1] = EOS
        return tokens
