"""Reward models as folders: JSON for what they are, safetensors for their weights. Nothing in them runs code.

The JSON file is written last and names the digest of the weights, so that a folder is whole or refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agents.state import copy_tensors, refuse_other_tensors
from agents.store import digest_of, load_tensors
from feedback.preferences.lines import whole_file
from feedback.reward_models.config import ModelConfig
from feedback.reward_models.ensemble import Ensemble
from feedback.reward_models.model import RewardModel
from feedback.reward_models.spaces import ModelSpaces
from mm_envs.tasks.task import Task

FORMAT = 1
_KIND = "mm-envs reward model"
_CONFIG, _WEIGHTS = "config.json", "weights.safetensors"
_STATISTICS = ("mean", "deviation", "temperature")
_CURE = "fit and save it again"
# What a file that says anything whatever may lead to, when it is made into a model.
_WRONG = (AttributeError, KeyError, MemoryError, OverflowError, RuntimeError, TypeError, ValueError)


def save(model: Ensemble, folder: str | Path, records: str = "") -> Path:
    """Writes an ensemble; returns its folder.

    Args:
        model: The ensemble.
        folder: Where; made if it is missing. A reward model that is there is replaced.
        records: The digest of the training records, as ``Fitted.records``.

    Raises:
        ValueError: A space has no JSON form, or a number of the model is not finite.
    """
    from safetensors.torch import save as serialised

    _check_numbers(model)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in _weights(model).items()}
    content = serialised(weights)
    file = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    config = {**describe(model), "records": records, "weights": file}
    for name, data in ((_WEIGHTS, content), (_CONFIG, f"{json.dumps(config, indent=1)}\n".encode())):
        with whole_file(folder / name) as out:
            out.write(data)
    return folder


def load(folder: str | Path, task: Task | ModelSpaces | None = None) -> Ensemble:
    """Reads an ensemble that ``save`` wrote, on the CPU.

    Args:
        folder: Where it is.
        task: A task, or spaces, that the model has to fit.

    Raises:
        FileNotFoundError: There is no reward model.
        ValueError: The folder is damaged, of another format, or for another task.
    """
    folder = Path(folder)
    content = read_config(folder)
    try:
        spaces = ModelSpaces.from_json(json.dumps(content["spaces"]))
    except _WRONG as error:
        raise _damaged(folder / _CONFIG, error) from None
    if task is not None:
        spaces.refuse_other(ModelSpaces.of(task))
    if content.get("vocabularies") != spaces.vocabularies:
        raise ValueError(
            f"{folder / _CONFIG}: the digests of its vocabularies are not those of its words: {_CURE}"
        )
    tensors = _tensors(folder, content)
    try:
        model = _built(spaces, content, tensors)
    except _WRONG as error:
        raise _damaged(folder / _CONFIG, error) from None
    return model.eval().requires_grad_(False)


def describe(model: Ensemble) -> dict[str, Any]:
    """What a model is, as JSON values: everything but its weights."""
    return {
        "kind": _KIND,
        "format": FORMAT,
        "model": asdict(model.config),
        "members": len(model.members),
        "shared": model.shared,
        "aggregation": model.aggregation,
        "penalty": model.penalty,
        "spaces": json.loads(model.spaces.to_json()),
        "vocabularies": model.spaces.vocabularies,
        "reference": {
            "answers": model.reference_size,
            "sha256": model.reference_digest,
            "mean": model.mean.tolist(),
            "deviation": model.deviation.tolist(),
        },
        "temperature": float(model.temperature),
    }


def is_reward_model(folder: str | Path) -> bool:
    """Whether a folder holds a saved reward model, damaged or not."""
    return (Path(folder) / _CONFIG).is_file() and (Path(folder) / _WEIGHTS).is_file()


def read_config(folder: str | Path) -> dict[str, Any]:
    """The JSON file of a saved model, checked to be one."""
    path = Path(folder) / _CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no reward model ({_CONFIG}): give the folder of a saved one")
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise _damaged(path, error) from None
    if not isinstance(content, dict) or content.get("kind") != _KIND:
        raise ValueError(f"{path} is not that of a reward model: give the folder of a saved one")
    if content.get("format") != FORMAT:
        raise ValueError(
            f"{path} is of format {content.get('format')!r}, and this version reads {FORMAT}: "
            "use the version of mm-envs that wrote it"
        )
    return content


def _built(spaces: ModelSpaces, content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Ensemble:
    config, members, reference = ModelConfig(**content["model"]), content["members"], content["reference"]
    if f"members.{members - 1}.head.out.weight" not in tensors:
        raise KeyError(f"member {members - 1}")

    def made() -> Ensemble:
        models = [RewardModel(spaces, config) for _ in range(members)]
        return Ensemble(models, content["aggregation"], content["penalty"], content["shared"])

    with torch.device("meta"):
        # Without memory: a file cannot have more of it taken than its weights need.
        refuse_other_tensors(_weights(made()), tensors, "reward model")
    model = made()
    copy_tensors(_weights(model), tensors, "reward model")
    for name in ("mean", "deviation"):
        getattr(model, name).copy_(torch.tensor(reference[name], dtype=torch.float32).view(members))
    model.temperature.fill_(content["temperature"])
    model.reference_size, model.reference_digest = int(reference["answers"]), str(reference["sha256"])
    _check_numbers(model)
    return model


def _check_numbers(model: Ensemble) -> None:
    """Refuses a model that gives no scores, or probabilities the wrong way round."""
    for name, tensor in model.state_dict().items():
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"{name!r} of the reward model is not finite")
    for name in ("deviation", "temperature"):
        if not bool((getattr(model, name) > 0).all()):
            raise ValueError(f"{name!r} of the reward model is not above 0")
    if not 0 <= model.penalty < float("inf"):
        raise ValueError(f"penalty={model.penalty!r} is no finite number from 0 on")


def _weights(model: Ensemble) -> dict[str, Tensor]:
    """The weights by name; what members share occurs once, under the first of them."""
    state = model.state_dict(keep_vars=True)
    once = {id(tensor): name for name, tensor in reversed(state.items()) if name not in _STATISTICS}
    return {name: state[name] for name in reversed(once.values())}


def _tensors(folder: Path, content: Mapping[str, Any]) -> dict[str, Tensor]:
    path, known = folder / _WEIGHTS, content.get("weights")
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: {_CURE}")
    if not isinstance(known, dict) or known.get("sha256") != digest_of(path):
        raise ValueError(f"{path} is not the file that {_CONFIG} was written with: {_CURE}")
    return load_tensors(path, _CURE)


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{path} is damaged ({type(error).__name__}: {error}): {_CURE}")
