"""Question answering: a question about what is seen (and heard)."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import torch
from torch import Tensor

from mm_envs.data.dataset import Dataset, make_dataset
from mm_envs.episodes import Judgement
from mm_envs.metrics.accuracy import exact_match
from mm_envs.names import one_of
from mm_envs.random import integers
from mm_envs.tasks.task import Fields, State, Task, TokenTask
from mm_envs.tasks.yardsticks import conditional_majority
from mm_envs.tokenizers import Vocabulary

ANSWERS = ("choice", "tokens")
_CURE = (
    "choose one that has, or name the columns of a folder: columns={'question': 'their name', ...}, on the "
    'command line --set \'columns={"question": "their name", ...}\''
)


class VQA(TokenTask):
    """Answer a question about what is seen (and heard).

    ## Description
    The agent sees a picture (with sound, hears it, too) and a question, and answers. On ``scenes`` there are
    six kinds of questions: existence, count, colour, shape, relation and comparison, balanced so that neither
    the question nor the picture alone tells the answer. On a ``folder`` questions and answers are its columns
    ``question`` and ``answer``; of several people's ``answers`` the most frequent is the right one.

    ## Observation space
    A flat Dict: those of ``image`` (Image), ``video`` (Video) and ``audio`` (Audio) that the dataset has, and
    ``question`` (Tokens, with ``question_length``); with ``answer="tokens"`` also ``tokens`` and
    ``tokens_length``, the answer so far. On folders sounds have an ``audio_length``, and ``<key>_present`` is
    0 where an item lacks something that others have.

    ## Action space
    ``Discrete(answers)``: one of the known answers. With ``answer="tokens"`` ``Discrete(words)``: the next
    word of the answer.

    ## Rewards
    What the feedback says of the answer; by default a simulated rater. The utility is 1 for the right answer
    and 0 for any other; an answer in words must have the right words and no others, so that naming several
    possible answers does not pay. On a folder without pictures or sounds the question is all there is.

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
        if "answer" not in self.dataset.classes or "question" not in self.dataset.spaces:
            raise ValueError(f"dataset {self.dataset.name!r} has no questions: {_CURE}")
        if answer not in ANSWERS:
            raise ValueError(one_of("answer", answer, ANSWERS))
        self._show("image", "video", "audio", "question")
        self.answers, self.in_words = self.dataset.classes["answer"], answer == "tokens"
        if self.in_words:
            written = [answer.split() for answer in self.answers]
            self._set_vocabulary(
                Vocabulary.of(dict.fromkeys(word for words in written for word in words)), max_tokens
            )
            for answer, words in zip(self.answers, written, strict=True):
                if len(words) > max_tokens:
                    raise ValueError(
                        f"max_tokens={max_tokens} is below the {len(words)} words of {answer!r}: raise it"
                    )
            self._tokens = torch.stack(
                [self.vocabulary.encode(words, max_tokens, eos=True) for words in written]
            )
            self._spelled: dict[torch.device, Tensor] = {}
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
        """An answer as the response has it: its number, or its words and ``<eos>``."""
        if not self.in_words:
            return answer
        if answer.device not in self._spelled:
            # Once a device: a step copies nothing to it.
            self._spelled[answer.device] = self._tokens.to(answer.device)
        return self._spelled[answer.device].index_select(0, answer)
