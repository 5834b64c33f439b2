"""The preference trainer of imitation on pairs of captions, in a process that trains on request.

    python imitation_side.py FOLDER

imitation 1.0.1 needs old versions of Gymnasium and Stable-Baselines3, so this file is run by a Python that
has those (``benchmarks.experiments.imitation_environment``), not by ours. FOLDER holds ``pairs.npz``
(``PlainPairs``), ``weights.npz`` and ``settings.json``: ``threads``, ``batch``, ``learning_rate``, ``spaces``
and ``model``. Each line of the standard input is a JSON object with ``do``; the answer is one line on the
standard output.

The network is our ``RewardModel`` itself. imitation refuses Dict observations: picture and answer are one
flat Box of bytes, which the network splits again. A pair is two trajectories of one step, without true
rewards, which would only cost time.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

_PACKAGES = (
    "mm_envs",
    "mm_envs.tasks",
    "agents",
    "feedback",
    "feedback.preferences",
    "feedback.reward_models",
    "benchmarks",
    "benchmarks.experiments",
    "benchmarks.experiments.baselines",
)


def _open_packages(root: Path) -> None:
    """Makes modules of our packages importable without what the packages themselves import.

    The network needs nothing of the engine, which needs a newer Gymnasium.
    """
    for name in _PACKAGES:
        package = types.ModuleType(name)
        package.__path__ = [str(root / name.replace(".", "/"))]
        sys.modules[name] = package


if __name__ == "__main__":
    _open_packages(Path(__file__).resolve().parents[3])

from benchmarks.experiments.baselines.plain_reward import PlainPairs, mean_loss, plain_scores  # noqa: E402
from feedback.reward_models.config import ModelConfig  # noqa: E402
from feedback.reward_models.model import RewardModel  # noqa: E402
from feedback.reward_models.spaces import ModelSpaces  # noqa: E402


def main(folder: Path) -> None:
    """Answers the orders on the standard input until it ends."""
    answers = sys.stdout
    warnings.simplefilter("ignore")
    # imitation reports its progress, which is none of the answers.
    with contextlib.redirect_stdout(sys.stderr):
        side = ImitationSide(folder)
        for line in sys.stdin:
            order = json.loads(line)
            answer = getattr(side, order.pop("do"))(**order)
            print(json.dumps(answer), file=answers, flush=True)


class ImitationSide:
    """imitation's ``BasicRewardTrainer`` with our reward model.

    Args:
        folder: Where pairs, weights and settings are.
    """

    def __init__(self, folder: Path) -> None:
        settings = json.loads((folder / "settings.json").read_text())
        torch.set_num_threads(settings["threads"])
        self.learning_rate, self.batch = settings["learning_rate"], settings["batch"]
        self.spaces, self.config = ModelSpaces.from_json(settings["spaces"]), ModelConfig(**settings["model"])
        with np.load(folder / "pairs.npz", allow_pickle=False) as arrays:
            self.pairs = PlainPairs(**{name: torch.from_numpy(arrays[name]) for name in arrays.files})
        with np.load(folder / "weights.npz", allow_pickle=False) as arrays:
            self.weights = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        self.steps = _trajectories(self.pairs)
        self.dataset = _dataset(self.pairs, self.steps)
        self.restart()

    def restart(self) -> dict[str, Any]:
        """The first weights and a new optimizer; returns what the network is."""
        from importlib.metadata import version

        from imitation.algorithms import preference_comparisons as preferences

        self.network = RewardModel(self.spaces, self.config)
        # Refuses weights of another network.
        self.network.load_state_dict(self.weights, strict=True)
        model = preferences.PreferenceModel(_reward_net(self.network))
        self.trainer = preferences.BasicRewardTrainer(
            model,
            preferences.CrossEntropyRewardLoss(),
            np.random.default_rng(0),
            batch_size=self.batch,
            lr=self.learning_rate,
            custom_logger=_silent_logger(),
        )
        names = ("imitation", "stable-baselines3", "gymnasium", "torch", "numpy")
        parameters = sum(one.numel() for one in self.network.parameters())
        return {"parameters": parameters, "versions": {name: version(name) for name in names}}

    def train(self, pairs: int, epochs: int = 1) -> dict[str, float]:
        """Trains on the first pairs.

        Args:
            pairs: How many.
            epochs: How often each is seen.

        Returns:
            Seconds of the training itself: the pairs are handed over before.
        """
        dataset = torch.utils.data.Subset(self.dataset, range(pairs))
        self.trainer.epochs = epochs
        start = time.perf_counter()
        self.trainer.train(dataset)
        return {"seconds": time.perf_counter() - start}

    def loss(self) -> dict[str, float]:
        """The mean loss over all pairs."""
        return {"loss": mean_loss(self.network, self.pairs)}

    def scores(self, answers: int) -> dict[str, list[float]]:
        """What imitation's model says of the first answers."""
        from imitation.data import rollout

        model = self.trainer._preference_model
        with torch.no_grad():
            each = [model.rewards(rollout.flatten_trajectories([self.steps[i]])) for i in range(answers)]
        return {"scores": torch.cat(each).tolist()}


def _trajectories(pairs: PlainPairs) -> list[Any]:
    """Each answer as a trajectory of one step: picture and words flat, and an action that says nothing."""
    from imitation.data.types import Trajectory

    words = torch.cat([pairs.tokens, pairs.length[:, None]], 1).to(torch.uint8)
    flat = torch.cat([pairs.pictures[pairs.context].flatten(1), words], 1).numpy()
    action = np.zeros(1, dtype=np.int64)
    return [Trajectory(obs=np.stack([row, row]), acts=action, infos=None, terminal=True) for row in flat]


def _dataset(pairs: PlainPairs, steps: list[Any]) -> Any:
    """All pairs as imitation's ``PreferenceDataset``."""
    from imitation.algorithms.preference_comparisons import PreferenceDataset

    dataset, both = PreferenceDataset(), zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)
    dataset.push([(steps[first], steps[second]) for first, second in both], pairs.target.numpy())
    return dataset


def _reward_net(network: RewardModel) -> Any:
    """The network as imitation's ``RewardNet``, which takes the flat observation apart."""
    from gymnasium import spaces
    from imitation.rewards.reward_nets import RewardNet

    picture = network.spaces.context["image"].shape or ()
    (length,) = network.spaces.answer.space.shape or ()
    pixels = math.prod(picture)

    class FlatReward(RewardNet):
        def __init__(self) -> None:
            super().__init__(spaces.Box(0, 255, (pixels + length + 1,), np.uint8), spaces.Discrete(2))
            self.network = network

        def forward(self, state: Any, action: Any, next_state: Any, done: Any) -> Any:
            words = state[:, pixels:].long()
            return plain_scores(
                self.network, state[:, :pixels].reshape(-1, *picture), words[:, :-1], words[:, -1]
            )

    return FlatReward()


def _silent_logger() -> Any:
    """Writes nowhere: writing is none of what is compared."""
    from imitation.util import logger

    return logger.configure(folder=None, format_strs=())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
