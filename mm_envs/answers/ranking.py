"""An order of candidates."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from mm_envs.answers.kind import Answered, AnswerKind, Editor, State, as_tensor, numbers_in
from mm_envs.names import at_least, check_one_of, whole
from mm_envs.random import fold, integers
from mm_envs.spaces import UniformBox

_EDITS = ("swap",)


class Ranking(AnswerKind):
    """The best ``top`` of ``count`` candidates in order, best first, one a step: indices (n, top) int64.

    Ranking a candidate again ranks the first unranked one instead. The last position of a complete order is
    left for the last candidate and needs no step. ``top`` is by default ``count``; ``among`` is the
    observation key of the ``Candidates`` entry that is ranked, if it is one.

    Example:
        >>> kind = Ranking(4, top=2)
        >>> kind.parse("[3, 1]"), kind.format(torch.tensor([3, 1]))
        (tensor([3, 1]), '[3, 1]')
        >>> state, ended = kind.write(kind.start(1, torch.device("cpu")), torch.tensor([2]))
        >>> state["ranked"].tolist(), ended.tolist()
        ([[0, 0, 1, 0]], [False])
    """

    name: ClassVar[str] = "ranking"
    sequential = True

    def __init__(self, count: int, top: int | None = None, among: str | None = None) -> None:
        whole("count", count)
        at_least("count", count, 2, "one candidate alone has no order")
        self.count, self.top, self.among = count, count if top is None else top, among
        if not 1 <= self.top <= count:
            raise ValueError(f"top={top} is not within 1 to {count}")
        self.steps = min(self.top, count - 1)
        self.action_space = gym.spaces.Discrete(count)
        self.space = UniformBox(0, count - 1, (self.top,), np.int64)
        self.state_spaces = {"ranked": UniformBox(0, count, (count,), np.int64)}

    def start(self, n: int, device: torch.device) -> State:
        """Nothing ranked: 0 for each candidate."""
        return {"ranked": torch.zeros((n, self.count), dtype=torch.int64, device=device)}

    def write(self, state: State, actions: Tensor) -> tuple[State, Tensor]:
        """Ranks one more candidate: its entry becomes 1 for the best one, 2 for the next, ..."""
        ranked = state["ranked"]
        rank = ranked.amax(1, keepdim=True) + 1
        first = (ranked == 0).to(torch.int64).argmax(1, keepdim=True)
        taken = ranked.gather(1, actions[:, None]) > 0
        index = torch.where(taken, first, actions[:, None])
        # A row that was finished already may be stepped; its result is thrown away.
        new = torch.where(rank > self.count, ranked.gather(1, index), rank)
        return {"ranked": ranked.scatter(1, index, new)}, rank[:, 0] >= self.steps

    def valid(self, state: State, n: int, device: torch.device) -> Tensor:
        """The candidates that are not ranked."""
        return state["ranked"] == 0

    def response(self, state: State, actions: Tensor) -> Answered:
        """The candidates in order; those that are not ranked follow in the order of their indices."""
        ranked = state["ranked"]
        return _sorted(torch.where(ranked > 0, ranked, self.count + 1))[:, : self.top], None

    def random(self, hashes: Tensor) -> Tensor:
        """A uniform order."""
        index = torch.arange(self.count, device=hashes.device)
        return _sorted(fold(hashes[:, None], index))[:, : self.top]

    def editor(self, names: Collection[str] | None = None, similar: Sequence[Sequence[str]] = ()) -> Editor:
        """Exchanges two neighbours; the last of a partial order may be exchanged for an unranked one."""
        for name in names or ():
            check_one_of("kinds", name, _EDITS)
        return Editor(self._edited, self._other)

    def _edited(self, response: Tensor, length: Tensor | None, count: Tensor, hashes: Tensor) -> Answered:
        whole = self._whole(response)
        for step in range(int(count.max()) if len(count) else 0):
            first = integers(fold(hashes, step), min(self.top, self.count - 1))[:, None]
            whole = torch.where((step < count)[:, None], _exchanged(whole, first, first + 1), whole)
        return whole[:, : self.top], None

    def _other(self, response: Tensor, length: Tensor | None, hashes: Tensor) -> Answered:
        # The first candidate is exchanged, since it counts most.
        index = 1 + integers(hashes, self.count - 1)[:, None]
        return _exchanged(self._whole(response), torch.zeros_like(index), index)[:, : self.top], None

    def beginning(self, response: Tensor, length: Tensor | None, steps: int) -> Answered:
        """The first positions as they are, the others as if nothing more had been ranked."""
        return self._whole(response[:, : max(steps, 0)])[:, : self.top], None

    def parse(self, given: Any) -> Tensor:
        """Indices of different candidates, best first."""
        read = numbers_in(given)
        order = torch.zeros(0) if isinstance(read, str) else as_tensor(read)
        fits = order.ndim == 1 and len(order) == self.top and not order.is_floating_point()
        if not fits or len(set(order.tolist()) & set(range(self.count))) < self.top:
            raise ValueError(
                f"response={given!r:.80} is no answer: give {self.top} different numbers from 0 to "
                f"{self.count - 1}, best first, as {list(range(self.top))}"
            )
        return order.to(torch.int64)

    def config(self) -> dict[str, Any]:
        """Counts and observation key."""
        return {"count": self.count, "top": self.top, "among": self.among}

    def _whole(self, response: Tensor) -> Tensor:
        """Orders of all candidates that begin as given, (n, count)."""
        width = response.shape[1]
        rank = torch.arange(width, device=response.device).expand(len(response), -1)
        ranks = torch.full((len(response), self.count), width, dtype=torch.int64, device=response.device)
        return _sorted(ranks.scatter(1, response, rank))


def _exchanged(orders: Tensor, first: Tensor, second: Tensor) -> Tensor:
    pair = torch.cat([first, second], 1)
    return orders.scatter(1, pair, orders.gather(1, pair.flip(1)))


def _sorted(values: Tensor) -> Tensor:
    """The indices that sort each row; equal values stay in order."""
    return torch.sort(values, dim=1, stable=True).indices
