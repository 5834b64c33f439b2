"""Good answers with a few faults."""

from __future__ import annotations

from collections.abc import Collection

import gymnasium as gym
import torch
from torch import Tensor

from agents.decoder import lengths
from agents.references import reference_answer
from feedback.candidates.draws import answer_bits
from feedback.candidates.edits import EDITS
from feedback.candidates.word_classes import WordClasses
from mm_envs.engine.response import in_words
from mm_envs.episodes import Prompts
from mm_envs.names import at_least, one_of, whole
from mm_envs.random import fold, integers
from mm_envs.tasks.task import Task
from mm_envs.tokenizers import EOS, PAD, SPECIALS


class Edits:
    """A reference with some edits, their number and kinds drawn uniformly.

    Where the dataset knows classes of words (``Dataset.word_classes``), a word is substituted by another of
    its class, otherwise by any word. A choice is edited at most once: it becomes another of its class.

    Args:
        task: Whose references they are.
        edits: The least and the largest number of edits.
        kinds: The names of the kinds of edits, of ``feedback.candidates.EDITS``.

    Raises:
        ValueError: A kind is unknown, the numbers are no range, or the answers are neither words nor choices.

    Example:
        >>> from feedback.collection import draw_prompts
        >>> prompts, tickets = draw_prompts("MMCaption-v0", 3)
        >>> sampler = Edits(tickets.task, (1, 2), ["drop"])
        >>> response, length = sampler.sample(prompts, answers=2)
        >>> sampler.name, tuple(response.shape), tuple(length.shape)
        ('reference with 1 to 2 edits (drop)', (3, 2, 12), (3, 2))
    """

    def __init__(
        self, task: Task, edits: tuple[int, int] = (0, 4), kinds: Collection[str] | None = None
    ) -> None:
        self._least, self._most = edits
        for number in edits:
            whole("edits", number)
        at_least("edits[0]", self._least, 0)
        at_least("edits[1]", self._most, self._least, "give the least number first")
        chosen = list(EDITS) if kinds is None else list(kinds)
        for kind in chosen:
            if kind not in EDITS:
                raise ValueError(one_of("kinds", kind, EDITS))
        if not chosen:
            raise ValueError(f"kinds={kinds!r} is empty: name at least one of {', '.join(EDITS)}")
        said = "" if kinds is None else f" ({', '.join(chosen)})"
        self.name = f"reference with {self._least} to {self._most} edits{said}"
        self._task, self._edits = task, [EDITS[kind] for kind in chosen]
        self._choices = None if in_words(task) else choice_classes(task)
        if in_words(task):
            words = task.vocabulary.words
            self._classes = WordClasses.among(words, task.dataset.word_classes(), len(SPECIALS))
            self._words = WordClasses.among(words, (), len(SPECIALS))

    def sample(self, prompts: Prompts, answers: int, seed: int = 0) -> tuple[Tensor, Tensor | None]:
        """Some edited references to each of n prompts; see ``Sampler``."""
        bits = answer_bits(prompts, answers, seed, "edits").flatten()
        reference = {name: rows.repeat_interleave(answers, 0) for name, rows in prompts.reference.items()}
        good = reference_answer(self._task, reference, fold(bits, 0))
        if self._choices is not None:
            least, most = min(self._least, 1), min(self._most, 1)
            edited = least + integers(fold(bits, 1), most - least + 1) > 0
            other = self._choices.others(good, fold(bits, 2))
            return torch.where(edited, other, good).view(-1, answers), None
        tokens, length = self._edited(good, bits)
        return tokens.view(-1, answers, tokens.shape[1]), length.view(-1, answers)

    def _edited(self, tokens: Tensor, bits: Tensor) -> tuple[Tensor, Tensor]:
        length, tokens = lengths(tokens), tokens.masked_fill(tokens == EOS, PAD)
        count = self._least + integers(fold(bits, 1), self._most - self._least + 1)
        for step in range(self._most):
            draws = fold(bits, 2, step)
            kind = integers(fold(draws, 0), len(self._edits))
            for number, edit in enumerate(self._edits):
                rows = ((step < count) & (kind == number)).nonzero()[:, 0]
                tokens[rows], length[rows] = edit(
                    tokens[rows], length[rows], fold(draws[rows], 1), self._classes, self._words
                )
        places = torch.arange(tokens.shape[1], device=tokens.device)
        return tokens.masked_fill(places == length[:, None], EOS), length


def choice_classes(task: Task) -> WordClasses:
    """Which choices can stand for each other, by their names; those without a class for each other.

    Raises:
        ValueError: The answers of the task are no choices, or there is one only.
    """
    if in_words(task) or not isinstance(task.action_space, gym.spaces.Discrete):
        raise ValueError(f"answers of {task.action_space} are no choices: give a task of choices")
    names = [task.words(torch.tensor(i)) for i in range(int(task.action_space.n))]
    if len(names) < 2:
        raise ValueError(f"{names[0]!r} is the only choice and never wrong: give a task of several")
    known = [[name for name in one if name in names] for one in task.dataset.word_classes()]
    known = [one for one in known if len(one) > 1]
    rest = [name for name in names if not any(name in one for one in known)]
    if len(rest) == 1 and known:
        known[0] += rest
    return WordClasses.among(names, [*known, rest])


class RightAndWrong:
    """One right choice among wrong ones, at a random place; with two answers exactly one is right.

    A wrong choice is of the class of the right one where the dataset knows classes of words
    (``Dataset.word_classes``): colours stand beside colours.

    Args:
        task: A task of choices.

    Raises:
        ValueError: Its answers are no choices.

    Example:
        >>> from feedback.collection import draw_prompts
        >>> prompts, tickets = draw_prompts("MMVQA-v0", 5)
        >>> choices, _ = RightAndWrong(tickets.task).sample(prompts, answers=2)
        >>> (choices == prompts.reference["answer"][:, None]).sum(1).tolist()
        [1, 1, 1, 1, 1]
    """

    name = "one right, others wrong"

    def __init__(self, task: Task) -> None:
        self._task, self._choices = task, choice_classes(task)

    def sample(self, prompts: Prompts, answers: int, seed: int = 0) -> tuple[Tensor, Tensor | None]:
        """Some choices for each of n prompts; see ``Sampler``."""
        bits = answer_bits(prompts, answers, seed, self.name)
        right = self._task.oracle(prompts.reference)[:, None].expand(-1, answers)
        wrong = self._choices.others(right.flatten(), fold(bits, 0).flatten()).view(-1, answers)
        place = integers(fold(bits[:, 0], 1), answers)[:, None]
        return torch.where(torch.arange(answers, device=place.device) == place, right, wrong), None


def right_and_wrong(task: Task, prompts: Prompts, seed: int = 0) -> Tensor:
    """Two choices for each of n prompts, exactly one of them right: (n, 2) int64; see ``RightAndWrong``."""
    return RightAndWrong(task).sample(prompts, 2, seed)[0]
