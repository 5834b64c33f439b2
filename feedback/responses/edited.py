"""Good answers with a few faults."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from feedback.responses.sampler import answer_hashes, grouped
from mm_envs.episodes import Prompts
from mm_envs.names import at_least, whole
from mm_envs.random import fold, integers
from mm_envs.tasks.task import Task

_CHANGED, _RANDOM = 3, 5  # further draws of a wrong answer: changes of the right one, then random answers
_LESS = 0.1  # how much less a wrong answer is worth, in standard deviations of utility


class Edits:
    """A reference with some edits, their number and kinds drawn uniformly.

    Edits are those of the kind of the answers (``AnswerKind.editor``). A word is substituted by another of
    its class where the dataset has ``word_classes``, else by any word. A choice is edited at most once.

    Args:
        task: The task whose references they are.
        edits: The least and the largest number of edits.
        kinds: The names of the kinds of edits; None for all.

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
        least, most = edits
        for number in edits:
            whole("edits", number)
        at_least("edits[0]", least, 0)
        at_least("edits[1]", most, least, "give the least number first")
        names = "" if kinds is None else f" ({', '.join(kinds)})"
        self.name = f"reference with {least} to {most} edits{names}"
        limit = task.answer.max_edits
        self._range = (least, most) if limit is None else (min(least, limit), min(most, limit))
        self._task, self._editor = task, task.answer.editor(kinds, task.dataset.word_classes())

    def sample(self, prompts: Prompts, answers: int, seed: int = 0) -> tuple[Tensor, Tensor | None]:
        """Some edited references to each of n prompts; see ``Sampler``."""
        hashes = answer_hashes(prompts, answers, seed, "edits").flatten()
        reference = {name: rows.repeat_interleave(answers, 0) for name, rows in prompts.reference.items()}
        good = self._task.answer.finish(self._task.good(reference, fold(hashes, 0)))
        least, most = self._range
        count = least + integers(fold(hashes, 1), most - least + 1)
        return grouped(*self._editor.edit(*good, count, fold(hashes, 2)), answers)


class RightAndWrong:
    """One right answer among wrong ones, at a random index; with two answers exactly one is right.

    A wrong choice is of the class of the right one where the dataset has ``word_classes``. A changed answer
    that is worth hardly less than the right one is drawn again; after some draws it is a random answer.

    Args:
        task: The task whose answers they are.

    Example:
        >>> from feedback.collection import draw_prompts
        >>> prompts, tickets = draw_prompts("MMVQA-v0", 5)
        >>> choices, _ = RightAndWrong(tickets.task).sample(prompts, answers=2)
        >>> (choices == prompts.reference["answer"][:, None]).sum(1).tolist()
        [1, 1, 1, 1, 1]
    """

    name = "one right, others wrong"

    def __init__(self, task: Task) -> None:
        self._task, self._editor = task, task.answer.editor(None, task.dataset.word_classes())

    def sample(self, prompts: Prompts, answers: int, seed: int = 0) -> tuple[Tensor, Tensor | None]:
        """Some answers to each of n prompts; see ``Sampler``."""
        hashes = answer_hashes(prompts, answers, seed, self.name)
        best, size = self._task.answer.finish(self._task.oracle(prompts.reference))
        right = best.repeat_interleave(answers, 0)
        length = None if size is None else size.repeat_interleave(answers)
        reference = {name: rows.repeat_interleave(answers, 0) for name, rows in prompts.reference.items()}
        wrong, other = self._wrong(right, length, reference, fold(hashes, 0).flatten())
        index = integers(fold(hashes[:, 0], 1), answers)[:, None]
        here = (torch.arange(answers, device=index.device) == index).flatten()
        response = torch.where(here.view(-1, *[1] * (right.ndim - 1)), right, wrong)
        if length is not None and other is not None:
            length = torch.where(here, length, other)
        return grouped(response, length, answers)

    def _wrong(
        self, right: Tensor, length: Tensor | None, reference: Mapping[str, Tensor], hashes: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Answers that are clearly worth less than the right ones, wherever a few draws find one."""
        task, kind = self._task, self._task.answer
        wrong, size = self._editor.other(right, length, hashes)
        most = task.utility(right, length, reference).reward - _LESS * task.utility_deviation
        rows = torch.arange(len(right), device=hashes.device)
        for draw in range(_CHANGED + _RANDOM):
            here = {name: value[rows] for name, value in reference.items()}
            worth = task.utility(wrong[rows], None if size is None else size[rows], here).reward
            rows = rows[worth > most[rows]]
            if not len(rows):
                break
            again = fold(hashes[rows], draw + 1)
            if draw < _CHANGED:
                other = self._editor.other(right[rows], None if length is None else length[rows], again)
            else:
                other = kind.finish(kind.random(again))
            wrong = wrong.index_put((rows,), other[0])
            if size is not None and other[1] is not None:
                size = size.index_put((rows,), other[1])
        return wrong, size
