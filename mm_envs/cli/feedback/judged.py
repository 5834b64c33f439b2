"""Pairs that people compared, as a reward model and as the truth see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from feedback.calibration import brier, expected_calibration_error, negative_log_likelihood
from feedback.candidates import PairAccuracy, pair_accuracy
from feedback.preferences import SKIP, Labelled, Pairs, Pairwise, Record, labelled
from feedback.reward_models import Ensemble
from mm_envs.cli.feedback.source import Collected
from mm_envs.tasks.task import Task


@dataclass(frozen=True)
class Part:
    """Some records of a store.

    Attributes:
        task: The task of their environment.
        records: The records.
        places: The index in the dataset of each of their items.
    """

    task: Task
    records: list[Record]
    places: Mapping[str, int]

    @cached_property
    def pairs(self) -> list[Pairwise]:
        """The comparisons among them that were not skipped."""
        return [one for one in self.records if isinstance(one, Pairwise) and one.choice != "skip"]

    def labelled(self, annotators: list[str] | None = None) -> Labelled:
        """All records as tensors."""
        return labelled(self.records, self.task, annotators=annotators)


def parted(all_of: Collected, share: float, seed: int) -> tuple[Part, Part]:
    """Records parted by item: those to learn from, and a share of the items to test on.

    Raises:
        ValueError: Nothing is left to learn from.
    """
    items = sorted(set(all_of.places.values()))
    order = torch.randperm(len(items), generator=torch.Generator().manual_seed(seed)).tolist()
    count = min(round(share * len(items)), len(items) - 1)
    out = {items[place] for place in order[:count]}
    return part_of(all_of, out, inside=False), part_of(all_of, out, inside=True)


def part_of(all_of: Collected, items: set[int], inside: bool) -> Part:
    """The records on some items of the dataset, or those on all others."""
    places = {name: place for name, place in all_of.places.items() if (place in items) == inside}
    return Part(all_of.task, [one for one in all_of.records if one.item in places], places)


@dataclass(frozen=True)
class Judged:
    """n comparisons, and what a model makes of them.

    Attributes:
        records: The comparisons.
        first: The score of the first answer, (n,).
        second: That of the second one, (n,).
        utility: The true utility of both, (n, 2).
        pairs: The comparisons as tensors.
        annotators: Whom ``pairs.annotator`` speaks of.
        temperature: That of the model which scored each, (n,).
        item: The index in the dataset, (n,) int64.
    """

    records: list[Pairwise]
    first: Tensor
    second: Tensor
    utility: Tensor
    pairs: Pairs
    annotators: tuple[str, ...]
    temperature: Tensor
    item: Tensor

    @property
    def sampler(self) -> str:
        """Where the answers come from."""
        names = dict.fromkeys(one.sampler or "unknown source" for one in self.records)
        return ", ".join(names)

    @property
    def target(self) -> Tensor:
        """1 where the first answer was preferred, 0 where the second was, 0.5 for a tie."""
        return self.pairs.target

    @property
    def probability(self) -> Tensor:
        """How likely the model holds it that the first answer is preferred, (n,)."""
        return torch.sigmoid((self.first - self.second) / self.temperature)

    def take(self, rows: Tensor) -> Judged:
        """Some comparisons, (k,) int64 or a mask."""
        rows = rows.nonzero()[:, 0] if rows.dtype == torch.bool else rows
        tensors = {
            name: getattr(self, name)[rows] for name in ("first", "second", "utility", "temperature", "item")
        }
        pairs = self.pairs.take(rows)
        assert isinstance(pairs, Pairs)
        return replace(self, records=[self.records[row] for row in rows.tolist()], pairs=pairs, **tensors)

    @classmethod
    def joined(cls, parts: Sequence[Judged]) -> Judged:
        """Several, one after the other, of the same annotators."""
        columns = {
            name: torch.cat([getattr(one.pairs, name) for one in parts]) for name in parts[0].pairs.tensors()
        }
        first, second, utility, temperature, item = (
            torch.cat([getattr(one, name) for one in parts])
            for name in ("first", "second", "utility", "temperature", "item")
        )
        records = [record for one in parts for record in one.records]
        names = parts[0].annotators
        return cls(records, first, second, utility, Pairs(**columns), names, temperature, item)

    def accuracy(self) -> PairAccuracy | None:
        """How often the model agrees with the labels; None if all of them are ties."""
        return self._accuracy(self.first, self.second, self.target, 1 - self.target)

    def true_accuracy(self) -> PairAccuracy | None:
        """How often the model is right; None if nothing differs in utility."""
        return self._accuracy(self.first, self.second, *self.utility.unbind(1))

    def labels_accuracy(self) -> PairAccuracy | None:
        """How often the labels are right; ties of labels count half."""
        return self._accuracy(self.target, 1 - self.target, *self.utility.unbind(1))

    def calibration(self) -> dict[str, Any]:
        """ECE, Brier score and negative log-likelihood on the labels."""
        p, target = self.probability, self.target
        measures = {"ece": expected_calibration_error, "brier": brier, "nll": negative_log_likelihood}
        return {name: measure(p, target) for name, measure in measures.items()}

    def _accuracy(self, first: Tensor, second: Tensor, one: Tensor, other: Tensor) -> PairAccuracy | None:
        if not bool((one != other).any()):
            return None
        return pair_accuracy(first, second, one, other, self.sampler, prompt=self.item)


def judged(model: Ensemble, part: Part, annotators: list[str] | None = None) -> Judged:
    """The comparisons of some records as a model sees them.

    Args:
        model: The reward model.
        part: Records among which there are comparisons.
        annotators: Whom to count from 0; None: those of the records.
    """
    pairs = part.pairs
    table = labelled(pairs, part.task, annotators=annotators)
    scores = model.aggregate(model.predict(table.answers))
    said = table.pairs
    item = torch.tensor([part.places[one.item] for one in pairs])
    return Judged(
        pairs,
        scores[said.first],
        scores[said.second],
        _utility(part.task, table, item),
        said,
        table.annotators,
        model.temperature.expand(len(pairs)),
        item,
    )


def _utility(task: Task, table: Labelled, item: Tensor) -> Tensor:
    """The true utility of both answers of each pair, (n, 2)."""
    reference, pairs, answers = task.batch(item, task.reference), table.pairs, table.answers
    assert not bool((pairs.choice == SKIP).any())
    both = []
    for rows in (pairs.first, pairs.second):
        length = None if answers.length is None else answers.length[rows]
        both.append(task.utility(answers.response[rows], length, reference).reward)
    return torch.stack(both, 1)
