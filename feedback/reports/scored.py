"""Comparisons with the scores of a reward model and the true utilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from feedback.calibration import brier, expected_calibration_error, negative_log_likelihood
from feedback.preferences import Labelled, Pairs, Pairwise, labelled
from feedback.reports.collected import Collected
from feedback.responses import PairAccuracy, pair_accuracy
from feedback.reward_models import Ensemble
from mm_envs.tasks.task import Task

_COLUMNS = ("scores", "utility", "temperature", "item")


@dataclass(frozen=True)
class Scored:
    """n comparisons.

    Attributes:
        records: The comparisons.
        scores: The scores of both answers, (n, 2).
        utility: The true utility of both, (n, 2).
        pairs: The comparisons as tensors.
        temperature: That of the model which scored each, (n,).
        item: The index in the dataset, (n,) int64.
    """

    records: list[Pairwise]
    scores: Tensor
    utility: Tensor
    pairs: Pairs
    temperature: Tensor
    item: Tensor

    @property
    def sampler(self) -> str:
        """Where the answers come from."""
        return ", ".join(dict.fromkeys(one.sampler or "unknown source" for one in self.records))

    @property
    def difference(self) -> Tensor:
        """The logit that the first answer is preferred, (n,)."""
        return (self.scores[:, 0] - self.scores[:, 1]) / self.temperature

    @property
    def probability(self) -> Tensor:
        """The probability that the first answer is preferred, (n,)."""
        return torch.sigmoid(self.difference)

    def take(self, rows: Tensor) -> Scored:
        """Some comparisons, (k,) int64 or a mask."""
        rows = rows.nonzero()[:, 0] if rows.dtype == torch.bool else rows
        columns = {name: getattr(self, name)[rows] for name in _COLUMNS}
        pairs = self.pairs.take(rows)
        assert isinstance(pairs, Pairs)
        return replace(self, records=[self.records[row] for row in rows.tolist()], pairs=pairs, **columns)

    @classmethod
    def join(cls, parts: Sequence[Scored]) -> Scored:
        """Several, one after the other, of the same annotators."""
        pairs = Pairs.join([one.pairs for one in parts])
        records = [record for one in parts for record in one.records]
        columns = {name: torch.cat([getattr(one, name) for one in parts]) for name in _COLUMNS}
        return cls(records=records, pairs=pairs, **columns)

    def accuracy(self) -> PairAccuracy | None:
        """How often the model agrees with the labels; None if all of them are ties."""
        return self._accuracy(self.scores, self._labels)

    def true_accuracy(self) -> PairAccuracy | None:
        """How often the model is right; None if nothing differs in utility."""
        return self._accuracy(self.scores, self.utility)

    def labels_accuracy(self) -> PairAccuracy | None:
        """How often the labels are right; ties of labels count half."""
        return self._accuracy(self._labels, self.utility)

    def calibration(self) -> dict[str, float]:
        """ECE, Brier score and negative log-likelihood on the labels."""
        measures = {"ece": expected_calibration_error, "brier": brier, "nll": negative_log_likelihood}
        return {name: measure(self.probability, self.pairs.target) for name, measure in measures.items()}

    @property
    def _labels(self) -> Tensor:
        return torch.stack([self.pairs.target, 1 - self.pairs.target], 1)

    def _accuracy(self, scores: Tensor, truth: Tensor) -> PairAccuracy | None:
        if not bool((truth[:, 0] != truth[:, 1]).any()):
            return None
        first, second = scores.unbind(1)
        return pair_accuracy(first, second, truth[:, 0], truth[:, 1], self.sampler, prompt=self.item)


def scored(model: Ensemble, part: Collected, annotators: Sequence[str] | None = None) -> Scored:
    """The comparisons of some records with scores; ``annotators`` gives their order, else sorted."""
    table = labelled(part.pairs, part.task, annotators=annotators)
    scores, pairs = model.aggregate(model.predict(table.answers)), table.pairs
    item = torch.tensor([part.index[one.item] for one in part.pairs])
    return Scored(
        part.pairs,
        torch.stack([scores[pairs.first], scores[pairs.second]], 1),
        _utility(part.task, table, item),
        pairs,
        model.temperature.expand(len(item)),
        item,
    )


def _utility(task: Task, table: Labelled, item: Tensor) -> Tensor:
    """The true utility of both answers of each pair, (n, 2)."""
    reference, answers = task.batch(item, task.reference), table.answers
    both = []
    for rows in (table.pairs.first, table.pairs.second):
        length = None if answers.length is None else answers.length[rows]
        both.append(task.utility(answers.response[rows], length, reference).reward)
    return torch.stack(both, 1)
