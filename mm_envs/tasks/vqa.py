"""Visual question answering: a question about a picture (and its sound)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

from mm_envs.answers import Choice, Text
from mm_envs.data.dataset import Dataset, make_dataset
from mm_envs.data.protocols import SceneFacts
from mm_envs.data.scenes.questions import QUESTION_KINDS
from mm_envs.episodes import Judgement
from mm_envs.names import at_least, check_one_of
from mm_envs.tasks.baselines import conditional_majority
from mm_envs.tasks.fields import SceneQuestions
from mm_envs.tasks.task import Fields, Task
from mm_envs.tokenizers import Vocabulary

ANSWERS = ("choice", "tokens")
_CURE = (
    "choose one that has, or name the columns of a folder: columns={'question': 'their name', ...}, on the "
    'command line --set \'columns={"question": "their name", ...}\''
)


class VQA(Task):
    """Answer a question about what is seen (and heard).

    ## Description
    The agent sees a picture (with sound, hears it, too) and a question, and answers. On ``scenes`` there are
    six kinds of questions: existence, count, colour, shape, relation and comparison, balanced so that neither
    the question nor the picture alone determines the answer. On a ``folder`` questions and answers are its
    columns ``question`` and ``answer``; of several people's ``answers`` the most frequent is the right one.

    ## Observation space
    A flat Dict: those of ``image`` (Image), ``video`` (Video) and ``audio`` (Audio) that the dataset has, and
    ``question`` (Tokens, with ``question_length``); with ``answer="tokens"`` also ``tokens`` and
    ``tokens_length``, the answer so far. On folders sounds have an ``audio_length``, and ``<key>_present`` is
    0 where an item lacks an entry that others have.

    ## Action space
    ``Discrete(answers)``: one of the known answers. With ``answer="tokens"`` ``Discrete(words)``: the next
    word of the answer.

    ## Rewards
    The reward of the feedback; by default that of a simulated annotator. The utility is 1 for the right
    answer and 0 for any other; an answer in words must have the right words and no others, so that naming
    several possible answers does not pay. On a folder without pictures or sounds the question is all there
    is.

    ## Episode end
    Terminates after one step; with words, after ``<eos>`` or ``max_tokens`` words.

    ## Arguments
    ``dataset``, ``answer`` ("choice", "tokens"), ``max_tokens`` (for words), ``kinds`` (of questions about
    scenes; by default all that have an unambiguous answer), and the arguments of the dataset.

    ## Version history
    v0: first version.
    """

    reference = ("answer", "kind")

    def __init__(
        self,
        dataset: str | Dataset = "scenes",
        answer: str = "choice",
        max_tokens: int = 3,
        kinds: Collection[str] | None = None,
        **dataset_arguments: Any,
    ) -> None:
        self.dataset = make_dataset(dataset, **dataset_arguments)
        self.answers = self._ask(kinds)
        check_one_of("answer", answer, ANSWERS)
        self._show("image", "video", "audio", "question")
        self.answer: Choice | Text = Choice(self.answers)
        self._spelled: dict[torch.device, Tensor] = {}
        if answer == "tokens":
            self.answer = _words(self.answers, max_tokens)
            words = self.answer.vocabulary
            spelled = [words.encode(one, max_tokens, eos=True) for one in self.answers]
            self._spelled[torch.device("cpu")] = torch.stack(spelled)
        self.part_modalities = {"correct": self.modalities}

    def _ask(self, kinds: Collection[str] | None) -> tuple[str, ...]:
        """Sets the fields of questions; returns all answers to them."""
        if isinstance(self.dataset, SceneFacts):
            made = SceneQuestions.of(self.dataset, kinds)
            self._use(made)
            self.item_kind, self.item_kinds = "kind", QUESTION_KINDS
            return made.answers
        if "answer" not in self.dataset.classes or "question" not in self.dataset.spaces:
            raise ValueError(f"dataset {self.dataset.name!r} has no questions: {_CURE}")
        if kinds is not None:
            raise ValueError(f"kinds={kinds!r} chooses questions about scenes: leave it out")
        return self.dataset.classes["answer"]

    def fingerprint(self) -> str:
        """The fingerprint of the dataset and the kinds of questions."""
        if isinstance(self.dataset, SceneFacts) and isinstance(self.source, SceneQuestions):
            return self.dataset.fingerprint(self.source.kinds)
        return self.dataset.fingerprint()

    def utility(self, response: Tensor, length: Tensor | None, reference: Fields) -> Judgement:
        """1 for the right answer and 0 for any other, even with more or fewer words."""
        correct = self.answer.same(response, self.oracle(reference)).to(torch.float32)
        return Judgement(correct, {"correct": correct})

    def oracle(self, reference: Fields) -> Tensor:
        """The right answer."""
        return self._written(reference["answer"])

    def blind(self, context: Fields, reference: Fields, seen: Fields) -> Tensor:
        """The most frequent answer to the same question."""
        guess = conditional_majority(context["question"], reference["answer"], seen["question"])
        return self._written(guess)

    def _written(self, answer: Tensor) -> Tensor:
        """Answers as responses: their index, or their words."""
        if not self._spelled:
            return answer
        if answer.device not in self._spelled:
            # Once a device: a step copies nothing to it.
            self._spelled[answer.device] = self._spelled[torch.device("cpu")].to(answer.device)
        return self._spelled[answer.device].index_select(0, answer)


def _words(answers: Collection[str], max_tokens: int) -> Text:
    """Answers written with the words that occur in any of them.

    Raises:
        ValueError: An answer is longer than ``max_tokens``.
    """
    at_least("max_tokens", max_tokens, 1, "an answer has at least one word")
    for answer in answers:
        if len(answer.split()) > max_tokens:
            raise ValueError(
                f"max_tokens={max_tokens} is below the {len(answer.split())} words of {answer!r}: raise it"
            )
    words = dict.fromkeys(word for answer in answers for word in answer.split())
    return Text(Vocabulary.of(words), max_tokens)
