"""What is saved of an object whose work goes on later: JSON values and tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class State:
    """The state of an object, as files hold it.

    Attributes:
        values: JSON values by name.
        tensors: Tensors by name.

    Example:
        >>> whole = State.join(clock=State({"step": 3}), net=State(tensors={"bias": torch.zeros(2)}))
        >>> whole.part("clock").values, list(whole.tensors)
        ({'step': 3}, ['net/bias'])
    """

    values: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def join(cls, **parts: State) -> State:
        """The states of several parts as one."""
        tensors = {f"{part}/{name}": t for part, one in parts.items() for name, t in one.tensors.items()}
        return cls({part: one.values for part, one in parts.items()}, tensors)

    def part(self, name: str) -> State:
        """The state of one part; empty where there is none."""
        start = f"{name}/"
        tensors = {key[len(start) :]: t for key, t in self.tensors.items() if key.startswith(start)}
        return State(self.values.get(name, {}), tensors)


def refuse_other_tensors(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor], owner: str) -> None:
    """Refuses tensors that are missing, too many, or of another shape or dtype.

    Raises:
        ValueError: Naming the first of them.
    """
    for name in (*wanted, *given):
        kinds = [(one[name].shape, one[name].dtype) for one in (wanted, given) if name in one]
        if len(kinds) != 2 or kinds[0] != kinds[1]:
            raise ValueError(f"weights {name!r} of the {owner} are missing or not of the right shape")


def copy_tensors(into: Mapping[str, Tensor], tensors: Mapping[str, Tensor], owner: str) -> None:
    """Copies tensors into others, see ``refuse_other_tensors``."""
    refuse_other_tensors(into, tensors, owner)
    with torch.no_grad():
        for name, tensor in into.items():
            tensor.copy_(tensors[name])


def optimizer_state(optimizer: torch.optim.Optimizer) -> State:
    """The state of an optimizer: learning rates, and what it keeps of each weight."""
    whole = optimizer.state_dict()
    tensors = {f"{i}/{name}": t for i, entry in whole["state"].items() for name, t in entry.items()}
    return State({"learning_rates": [group["lr"] for group in whole["param_groups"]]}, tensors)


def load_optimizer_state(optimizer: torch.optim.Optimizer, state: State) -> None:
    """Puts back what ``optimizer_state`` took.

    Raises:
        ValueError: An entry does not fit its weight.
    """
    whole = optimizer.state_dict()
    whole["state"] = {}
    for name, tensor in state.tensors.items():
        index, _, entry = name.partition("/")
        whole["state"].setdefault(int(index), {})[entry] = tensor.clone()
    rates: Iterable[float] = state.values["learning_rates"]
    for group, rate in zip(whole["param_groups"], rates, strict=True):
        group["lr"] = float(rate)
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for index, entries in whole["state"].items():
        for entry, tensor in entries.items():
            if entry != "step" and tensor.shape != weights[index].shape:
                raise ValueError(f"entry {entry!r} of the optimizer does not fit weight {index}")
    optimizer.load_state_dict(whole)
