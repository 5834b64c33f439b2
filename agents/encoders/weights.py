"""Weights of pretrained models from local files; nothing is downloaded and nothing in a file is run."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

_COUNTER = "num_batches_tracked"  # of batch norms; files of old versions lack it


def load_weights(file: str | os.PathLike[str], name: str) -> dict[str, Tensor]:
    """The tensors of a state dict, by key, on the CPU.

    Args:
        file: A ``.safetensors`` file, or a file of ``torch.save``, which is read with ``weights_only=True``.
        name: The name of the model, for messages.

    Raises:
        ValueError: There is no such file, or it holds no state dict.
    """
    cure = f"give a local .safetensors or .pth file of the state dict of torchvision's {name}"
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"weights={os.fspath(file)!r} is not a file: {cure}")
    try:
        state = _read(path)
    except (OSError, ValueError, RuntimeError, EOFError, LookupError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"weights={os.fspath(file)!r} cannot be read ({reason}): {cure}") from None
    if not isinstance(state, Mapping):
        raise ValueError(f"weights={os.fspath(file)!r} holds a {type(state).__name__}: {cure}")
    for key, value in state.items():
        if not isinstance(value, Tensor):
            kind = type(value).__name__
            raise ValueError(f"weights={os.fspath(file)!r} holds a {kind} as {key!r}: {cure}")
    return dict(state)


def fit_weights(
    model: nn.Module, state: Mapping[str, Tensor], file: str | os.PathLike[str], name: str, head: str
) -> None:
    """Puts weights into a torchvision model without those of its head, whose keys begin with ``head``.

    Raises:
        ValueError: A key is missing or unknown, or a tensor has another shape than the model's.
    """
    cure = f"give the state dict of torchvision's {name}"
    wanted = {key: value for key, value in model.state_dict().items() if not key.startswith(head)}
    given = {key: value for key, value in state.items() if not key.startswith(head)}
    for key, value in wanted.items():
        if key not in given:
            if not key.endswith(_COUNTER):
                raise ValueError(f"weights={os.fspath(file)!r} has no {key!r}: {cure}")
        elif given[key].shape != value.shape:
            shapes = f"{tuple(given[key].shape)} instead of {tuple(value.shape)}"
            raise ValueError(f"weights={os.fspath(file)!r} has {key!r} of shape {shapes}: {cure}")
    for key in given:
        if key not in wanted:
            raise ValueError(f"weights={os.fspath(file)!r} has {key!r}, which {name} has not: {cure}")
    model.load_state_dict(given, strict=False)


def _read(path: Path) -> Any:
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(str(path))
        except SafetensorError as error:
            raise ValueError(str(error)) from None
    import torch

    return torch.load(path, map_location="cpu", weights_only=True)
