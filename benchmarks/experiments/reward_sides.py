"""The sides of the speed of reward models: ours, a plain batched loop, and imitation in its own process."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.experiments.baselines import imitation_side
from benchmarks.experiments.baselines.plain_reward import PlainPairs, mean_loss, plain_scores, train
from benchmarks.reward_models import PairSet
from benchmarks.sides import Side
from feedback.losses import bradley_terry
from feedback.reward_models import FitConfig, ModelConfig, RewardModel, fit

LEARNING_RATE, SCORED, SCORES_DIFFER = 1e-3, 16, 1e-4


@dataclass(frozen=True)
class Training:
    """The same training for all sides.

    Attributes:
        data: The pairs.
        reader: The answer encoder: see ``ModelConfig``.
        pictures: Pictures a minibatch; the pairs that share them come with them.
        threads: Of torch.
    """

    data: PairSet
    reader: str
    pictures: int
    threads: int

    @property
    def batch(self) -> int:
        """Pairs a minibatch."""
        return self.pictures * self.data.pairs_per_picture

    def config(self, epochs: int) -> FitConfig:
        """The settings of our fit; nothing is held out, as on the other sides."""
        return FitConfig(
            ModelConfig(reader=self.reader),
            epochs=epochs,
            batch=self.pictures,
            learning_rate=LEARNING_RATE,
            held_out=0.0,
        )

    def fitted(self, epochs: int) -> RewardModel:
        """Our model after some epochs; it starts from the same weights every time."""
        (member,) = fit(self.data.labelled, self.data.task, self.config(epochs)).model.members
        assert isinstance(member, RewardModel)
        return member


def plain_pairs(data: PairSet) -> PlainPairs:
    """Pairs as plain PyTorch takes them."""
    answers, pairs = data.labelled.answers, data.labelled.pairs
    assert answers.length is not None
    return PlainPairs(
        answers.contexts["image"],
        answers.response,
        answers.length,
        answers.context,
        pairs.first,
        pairs.second,
        pairs.target,
    )


def ours(training: Training, epochs: int = 4) -> Side:
    """A whole call of ``fit``: checking, weights, epochs, and the normalisation of the scores."""
    pairs = len(training.data) * epochs
    return Side("mm-envs", pairs, True, lambda _: training.fitted(epochs), [None])


def our_loss(training: Training, epochs: int) -> float:
    """The mean loss of our model over all pairs after some epochs."""
    model, labelled = training.fitted(epochs), training.data.labelled
    with torch.no_grad():
        scores = model(labelled.answers)
    pairs = labelled.pairs
    return float(bradley_terry(scores[pairs.first] - scores[pairs.second], pairs.target).mean())


class PlainLoop:
    """The usual batched loop in plain PyTorch.

    Args:
        training: What is trained.
        model: Where it starts; it is not changed.
    """

    def __init__(self, training: Training, model: RewardModel) -> None:
        self.training, self.pairs = training, plain_pairs(training.data)
        self.model = copy.deepcopy(model)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=LEARNING_RATE)
        self.generator = torch.Generator().manual_seed(0)

    def epoch(self) -> None:
        """One epoch."""
        train(self.model, self.pairs, self.optimizer, self.training.batch, self.generator)

    def loss(self) -> float:
        """The mean loss over all pairs."""
        return mean_loss(self.model, self.pairs)

    def side(self) -> Side:
        """The loop as a side that takes turns."""
        return Side("plain PyTorch", len(self.pairs), True, lambda _: self.epoch(), [None])


class ImitationProcess:
    """imitation's trainer in a process of its own.

    Args:
        python: The Python that has imitation.
        training: What is trained.
        model: Where it starts.
        folder: An empty folder for its inputs.
    """

    def __init__(self, python: Path, training: Training, model: RewardModel, folder: Path) -> None:
        _save(folder / "pairs.npz", vars(plain_pairs(training.data)))
        _save(folder / "weights.npz", model.state_dict())
        settings = {
            "threads": training.threads,
            "batch": training.batch,
            "learning_rate": LEARNING_RATE,
            "spaces": model.spaces.to_json(),
            "model": asdict(model.config),
        }
        (folder / "settings.json").write_text(json.dumps(settings))
        self._errors = (folder / "errors.txt").open("w+")
        self._process = subprocess.Popen(
            [str(python), imitation_side.__file__, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self.pairs = len(training.data)
        try:
            self.what = self.ask(do="restart")
        except RuntimeError:
            self.close()
            raise

    def ask(self, **order: Any) -> dict[str, Any]:
        """The answer of the process to an order.

        Raises:
            RuntimeError: The process has ended.
        """
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._errors.seek(0)
            last = self._errors.read().strip().splitlines()[-1:] or ["it printed nothing"]
            raise RuntimeError(f"the process of imitation ended: {last[0]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def side(self, pairs: int) -> Side:
        """The process as a side that takes turns, some pairs a step."""
        pairs = min(pairs, self.pairs)
        return Side("imitation", pairs, True, lambda _: self.ask(do="train", pairs=pairs), [None], self.close)

    def close(self) -> None:
        """Ends the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(timeout=60)
        self._errors.close()


def _save(path: Path, tensors: Mapping[str, Tensor]) -> None:
    arrays: Any = {name: value.numpy() for name, value in tensors.items()}
    np.savez(path, **arrays)


def check_same(
    training: Training, model: RewardModel, plain: PlainLoop, imitation: ImitationProcess | None
) -> None:
    """Checks that all sides train the same network.

    Raises:
        RuntimeError: Parameters or scores differ.
    """
    answers = training.data.labelled.answers.take(torch.arange(SCORED))
    with torch.no_grad():
        scores = {"mm-envs": model(answers)}
        pairs, rows = plain.pairs, torch.arange(SCORED)
        scores["plain PyTorch"] = plain_scores(
            plain.model, pairs.pictures[pairs.context[rows]], pairs.tokens[rows], pairs.length[rows]
        )
    parameters = sum(one.numel() for one in model.parameters())
    if imitation is not None:
        scores["imitation"] = torch.tensor(imitation.ask(do="scores", answers=SCORED)["scores"])
        if imitation.what["parameters"] != parameters:
            raise RuntimeError(
                f"imitation trains {imitation.what['parameters']} parameters, ours {parameters}"
            )
    for name, found in scores.items():
        difference = float((found - scores["mm-envs"]).abs().max())
        if not difference <= SCORES_DIFFER:
            raise RuntimeError(f"scores of {name} differ by {difference:.2g}: it is another network")
