"""Shapley values of the modalities of contexts, for anything that values a context."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from agents.explaining.shapley import coalitions, shapley_values
from mm_envs.names import at_least, check_one_of
from mm_envs.statistics import Interval, mean_interval

Value: TypeAlias = Callable[[Mapping[str, Tensor]], Tensor]
"""From contexts of n rows to what they are worth, (n,)."""

ABSENT = ("mask", "swap")
_LENGTH, _PRESENT = "_length", "_present"


@dataclass(frozen=True)
class Attribution:
    """Shapley values of modalities for n contexts.

    Attributes:
        modalities: Their observation keys.
        values: The values of all coalitions, (2 ** modalities, n), in the order of ``coalitions``.
        shapley: (n, modalities) float64.
    """

    modalities: tuple[str, ...]
    values: Tensor
    shapley: Tensor

    def intervals(self, clusters: Sequence[object] | None = None) -> dict[str, Interval]:
        """The mean Shapley value of each modality with its t interval; see ``mean_interval``."""
        columns = self.shapley.T.cpu().numpy()
        return {
            key: mean_interval(column, clusters) for key, column in zip(self.modalities, columns, strict=True)
        }

    def of_row(self, row: int) -> dict[str, float]:
        """The Shapley values of one context, by modality."""
        return dict(zip(self.modalities, self.shapley[row].tolist(), strict=True))

    @property
    def efficiency_gap(self) -> float:
        """The largest ``|sum_i phi_i - (v(all) - v(none))|``, 0 but for rounding: the efficiency axiom."""
        gain = self.values[-1].double() - self.values[0].double()
        return float((self.shapley.sum(1) - gain).abs().max()) if len(gain) else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Means and intervals as JSON values."""
        whole, empty = (float(self.values[row].double().mean()) for row in (-1, 0))
        each = {
            key: {"mean": one.value, "low": one.low, "high": one.high}
            for key, one in self.intervals().items()
        }
        return {"all": whole, "none": empty, "items": self.values.shape[1], "shapley": each}


def attribute(
    value: Value, context: Mapping[str, Tensor], modalities: Sequence[str], absent: str = "mask"
) -> Attribution:
    """The exact Shapley values of modalities: ``value`` is asked for every coalition of them.

    Shapley values as feature attributions are those of Lundberg and Lee (2017, arXiv 1705.07874); with
    modalities as players those of SHAPE (Hu et al., 2022). The value of an absent modality is not observed:

    - ``"mask"``: it is missing, as ``<key>_present`` of 0 says. A network that was never trained with missing
      modalities is asked outside of its training distribution.
    - ``"swap"``: it is that of the next context of the batch, which must be in random order: the
      interventional value of one draw. The expected Shapley value of a modality that is independent of
      everything else is exactly 0.

    Args:
        value: The game.
        context: n contexts, entries (n, ...).
        modalities: Keys of the context.
        absent: How a modality is taken away, one of ``ABSENT``.

    Raises:
        ValueError: A name is unknown, there is no context, or there are too many modalities.

    Example:
        >>> context = {"x": torch.tensor([[1.0], [2.0]]), "y": torch.tensor([[4.0], [8.0]])}
        >>> attribute(lambda rows: (rows["x"] + rows["y"])[:, 0], context, ["x", "y"]).shapley.tolist()
        [[1.0, 4.0], [2.0, 8.0]]
    """
    check_one_of("absent", absent, ABSENT)
    for key in modalities:
        check_one_of("modality", key, context)
    rows = len(context[modalities[0]]) if modalities else 0
    at_least("contexts", rows, 1 if absent == "mask" else 2, "give more contexts")
    take_away = without if absent == "mask" else swapped
    values = []
    for there in coalitions(len(modalities)).tolist():
        missing = [key for key, present in zip(modalities, there, strict=True) if not present]
        values.append(value(take_away(context, missing)).detach())
    games = torch.stack(values)
    return Attribution(tuple(modalities), games, shapley_values(games))


def without(context: Mapping[str, Tensor], missing: Sequence[str]) -> dict[str, Tensor]:
    """Contexts without some modalities: 0 everywhere, of no length, and not present.

    Example:
        >>> sorted(without({"x": torch.ones(2, 3)}, ["x"]).items())
        [('x', tensor([[0., 0., 0.], [0., 0., 0.]])), ('x_present', tensor([[0], [0]]))]
    """
    shown = dict(context)
    for key in missing:
        # The values go, too: what is not masked by a fusion must not be known by accident.
        shown[key] = torch.zeros_like(context[key])
        if key + _LENGTH in context:
            shown[key + _LENGTH] = torch.zeros_like(context[key + _LENGTH])
        shown[key + _PRESENT] = torch.zeros((len(shown[key]), 1), dtype=torch.int64, device=shown[key].device)
    return shown


def swapped(context: Mapping[str, Tensor], missing: Sequence[str]) -> dict[str, Tensor]:
    """Contexts with some modalities of the next row, their length and presence with them.

    Example:
        >>> swapped({"x": torch.tensor([1, 2, 3])}, ["x"])
        {'x': tensor([2, 3, 1])}
    """
    entries = [key + ending for key in missing for ending in ("", _LENGTH, _PRESENT)]
    return {key: one.roll(-1, 0) if key in entries else one for key, one in context.items()}
