"""Which kinds of items, or which tasks, a training draws how often."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from agents.state import State, copy_tensors
from mm_envs.names import check_one_of
from mm_envs.random import fold, integers, stream, uniform
from mm_envs.tasks.task import Task

MODES = ("uniform", "proportional", "progress", "ordered")
# Two averages: of about the last 20 and the last 100 updates that drew the group.
_FAST, _SLOW = 0.05, 0.01
# The share of draws that is uniform, so that every average goes on being measured.
_FLOOR = 0.2


class GroupSampler:
    """How probable each of several groups is, by mode.

    - "uniform": all alike.
    - "proportional": by the number of items.
    - "progress": by the absolute change of the average reward, which is large for what is being learned or
      forgotten, and small for what is known or too hard (Graves et al., 2017, arXiv 1704.03003; Matiisen et
      al., 2017, arXiv 1707.00183). The change is the difference of a fast and a slow moving average
      (Kanitscheider et al., 2021, arXiv 2106.14876). A fifth of the draws is uniform.
    - "ordered": the first group alone, then each next one, too, once the average reward of all before it has
      reached the threshold. Groups that were added stay.

    Args:
        mode: A name of ``MODES``.
        names: The groups, in order.
        sizes: The number of items of each.
        threshold: Of "ordered".

    Raises:
        ValueError: There is no such mode.

    Example:
        >>> sampler = GroupSampler("progress", ("colour", "count"), (500, 500))
        >>> for reward in (0.1, 0.2, 0.3):
        ...     sampler.observe(torch.tensor([0, 1]), torch.tensor([reward, 0.5]))
        >>> sampler.probabilities()
        tensor([0.9000, 0.1000], dtype=torch.float64)
    """

    def __init__(self, mode: str, names: Sequence[str], sizes: Sequence[int], threshold: float = 0.8) -> None:
        check_one_of("curriculum", mode, MODES)
        self.mode, self.names, self.threshold = mode, tuple(names), threshold
        self.sizes = torch.tensor(list(sizes), dtype=torch.float64)
        self.fast, self.slow = torch.zeros_like(self.sizes), torch.zeros_like(self.sizes)
        self.seen = torch.zeros_like(self.sizes, dtype=torch.bool)
        self.added = 1 if mode == "ordered" else len(self.names)

    def probabilities(self) -> Tensor:
        """The probability of each group, (groups,) float64."""
        weights = torch.zeros_like(self.sizes)
        weights[: self.added] = 1
        weights /= weights.sum()
        if self.mode == "proportional":
            return self.sizes / self.sizes.sum()
        progress = (self.fast - self.slow).abs()
        if self.mode != "progress" or not bool(progress.any()):
            return weights
        return _FLOOR * weights + (1 - _FLOOR) * progress / progress.sum()

    def draw(self, hashes: Tensor) -> Tensor:
        """The index of a group for each hash, (n,) int64."""
        upper = self.probabilities().cumsum(0)
        drawn = torch.searchsorted(upper, uniform(hashes).to(torch.float64), right=True)
        # A sum of floats may end below 1.
        return drawn.clamp(max=int(self.probabilities().nonzero().max()))

    def observe(self, group: Tensor, reward: Tensor) -> None:
        """Takes in rewards (n,) of groups (n,) int64: their means over the n enter the averages."""
        zeros = torch.zeros_like(self.sizes)
        count = zeros.index_add(0, group, torch.ones_like(reward, dtype=torch.float64))
        mean = zeros.index_add(0, group, reward.to(torch.float64)) / count.clamp(min=1)
        there = count > 0
        for average, rate in ((self.fast, _FAST), (self.slow, _SLOW)):
            moved = torch.where(self.seen, average + rate * (mean - average), mean)
            average.copy_(torch.where(there, moved, average))
        self.seen |= there
        while self.added < len(self.names) and self._reached(self.added):
            self.added += 1

    def _reached(self, groups: int) -> bool:
        return bool((self.seen & (self.fast >= self.threshold))[:groups].all())

    def metrics(self) -> dict[str, float]:
        """The average reward and the probability of each group, to be logged."""
        rewards = {f"reward_{name}": one for name, one in zip(self.names, self.fast.tolist(), strict=True)}
        shares = zip(self.names, self.probabilities().tolist(), strict=True)
        return rewards | {f"share_{name}": one for name, one in shares}

    def state_dict(self) -> State:
        """Averages and the number of groups that were added."""
        return State({"added": self.added}, {"fast": self.fast, "slow": self.slow, "seen": self.seen})

    def load_state_dict(self, state: State) -> None:
        """Goes on from a state."""
        copy_tensors({"fast": self.fast, "slow": self.slow, "seen": self.seen}, state.tensors, "curriculum")
        self.added = int(state.values["added"])


class Curriculum:
    """Chooses training items by their kinds, see ``Task.item_kind``.

    Args:
        task: The task.
        split: The split that items are drawn from.
        mode: Of ``GroupSampler``.
        seed: Of the draws.
        threshold: Of "ordered".

    Raises:
        ValueError: The items of the task have no kinds, or there is no such mode.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> curriculum = Curriculum(make_task("vqa"), "train", "uniform")
        >>> curriculum.sampler.names[:3], curriculum.items(4).shape
        (('existence', 'count', 'colour'), torch.Size([4]))
    """

    def __init__(self, task: Task, split: str, mode: str, seed: int = 0, threshold: float = 0.8) -> None:
        if task.item_kind is None:
            raise ValueError(
                f"curriculum={mode!r} needs items of several kinds, and those of {type(task).__name__} on "
                f"{task.dataset.name!r} have none: leave it at 'none'"
            )
        indices = torch.tensor(list(task.dataset.range(split)))
        kinds = task.batch(indices, (task.item_kind,))[task.item_kind].cpu()
        self._first, there = int(indices[0]), torch.unique(kinds)
        self._group = torch.searchsorted(there, kinds)
        count = torch.bincount(self._group)
        # The items of one group after another, and where each group starts.
        self._ordered = indices[self._group.argsort(stable=True)]
        self._size, self._start = count, count.cumsum(0) - count
        names = [task.item_kinds[index] for index in there.tolist()]
        self.sampler = GroupSampler(mode, names, count.tolist(), threshold)
        self.seed, self.draws = seed, 0

    def items(self, count: int) -> Tensor:
        """The items of the next episodes, (count,) int64: a group each, and any of its items."""
        hashes = fold(stream(self.seed, "curriculum"), self.draws, torch.arange(count))
        self.draws += 1
        group = self.sampler.draw(fold(hashes, 0))
        return self._ordered[self._start[group] + integers(fold(hashes, 1), self._size[group])]

    def observe(self, items: Tensor, reward: Tensor) -> None:
        """Takes in the rewards (n,) of items (n,) int64."""
        self.sampler.observe(self._group[items.cpu() - self._first], reward.cpu())

    def state_dict(self) -> State:
        """The sampler and the number of draws."""
        return State.join(sampler=self.sampler.state_dict(), counters=State({"draws": self.draws}))

    def load_state_dict(self, state: State) -> None:
        """Goes on from a state."""
        self.sampler.load_state_dict(state.part("sampler"))
        self.draws = int(state.part("counters").values["draws"])
