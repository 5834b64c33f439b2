"""Speed of training reward models, compared with imitation and with a plain PyTorch loop.

All sides train our ``RewardModel`` from the same weights (parameters and scores are checked) on the same
pictures, captions and pairs, with equal minibatches, optimizer and threads. imitation 1.0.1 runs in a Python
of its own and takes turns with ours. At the end each side trains from the first weights again, and losses are
compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks.experiment import Context, Experiment, Finding, Grid
from benchmarks.experiments.imitation_environment import NotInstalledError, imitation_python
from benchmarks.experiments.reward_sides import (
    ImitationProcess,
    PlainLoop,
    Training,
    check_same,
    our_loss,
    ours,
)
from benchmarks.report import Table
from benchmarks.reward_models import READERS, caption_pairs
from benchmarks.sides import speed_table, take_turns
from feedback.reward_models import RewardModel
from mm_envs.statistics import ratio_of_medians

# Answers a picture -> name, and pictures a minibatch.
_GROUPS = {2: ("separate pairs", 64), 4: ("groups of four", 16)}


def training(
    context: Context,
    seed: int,
    reader: str,
    group: int,
    answers: int,
    repeats: int,
    seconds: float,
    imitation_pairs: int,
    epochs: int,
    install: bool,
) -> dict[str, Any]:
    """Times all sides in turns, and compares their losses.

    Args:
        context: Progress.
        seed: Decides pictures and answers.
        reader: The answer encoder: see ``ModelConfig``.
        group: Answers a picture; every two of them are a pair.
        answers: Answers in all.
        repeats: Turns of each side.
        seconds: The length of a turn.
        imitation_pairs: Pairs a step of imitation.
        epochs: Epochs until losses are compared.
        install: Whether to install imitation where it is missing.

    Returns:
        "sides" with their speeds and losses, "versions" of imitation, and why it is "missing".
    """
    data = caption_pairs(answers // group, group, seed)
    plan = Training(data, reader, min(_GROUPS[group][1], answers // group), torch.get_num_threads())
    model, missing, versions = plan.fitted(0), "", {}
    with ExitStack() as stack:
        plain, imitation = PlainLoop(plan, model), None
        sides = [ours(plan), plain.side()]
        try:
            python = imitation_python(context.progress, install=install)
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="mm-envs-imitation-")))
            imitation = ImitationProcess(python, plan, model, folder)
            stack.callback(imitation.close)
            sides.append(imitation.side(imitation_pairs))
            versions = imitation.what["versions"]
        except NotInstalledError as error:
            missing = str(error)
        check_same(plan, model, plain, imitation)
        turns = take_turns(sides, repeats, seconds)
        found = losses(plan, model, epochs, imitation)
    results = [
        {**side.result(speeds), "loss": loss} for side, speeds, loss in zip(sides, turns, found, strict=True)
    ]
    return {"sides": results, "versions": versions, "missing": missing}


def losses(
    plan: Training, model: RewardModel, epochs: int, imitation: ImitationProcess | None
) -> list[float]:
    """The loss of each side after some epochs from the first weights."""
    plain = PlainLoop(plan, model)
    for _ in range(epochs):
        plain.epoch()
    found = [our_loss(plan, epochs), plain.loss()]
    if imitation is not None:
        imitation.ask(do="restart")
        imitation.ask(do="train", pairs=len(plan.data), epochs=epochs)
        found.append(imitation.ask(do="loss")["loss"])
    return found


def tables(findings: Mapping[str, list[Finding]]) -> list[Table]:
    """Quotients of speeds with losses, and speeds."""
    ratios, speeds = [], []
    for one in findings["training"]:
        sides = one.result["sides"]
        group, reader = (one.cell.arguments[name] for name in ("group", "reader"))
        name = f"{_GROUPS[group][0]}, {READERS[reader]}"
        for other in sides[1:]:
            ratio = ratio_of_medians(sides[0]["speeds"], other["speeds"], np.random.default_rng(0))
            compared = f"{sides[0]['loss']:.3f} / {other['loss']:.3f}"
            turns = str(len(other["speeds"]))
            ratios.append((name, ratio.format(".2f"), turns, other["name"], compared))
        speeds.append(speed_table(f"Pairs a second, {name}", sides))
    columns = ("training", "mm-envs over it [95 %]", "turns", "compared with", "final losses")
    return [Table("Quotients of median speeds (percentile bootstrap)", columns, ratios), *speeds]


def notes(findings: Mapping[str, list[Finding]]) -> list[str]:
    """Versions of imitation, or why it is missing."""
    found = findings["training"][0].result
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return [
        "Ours is a whole call of `fit`, with its checks and the normalisation of scores; that "
        "of imitation is "
        "its trainer alone, given picture and caption in one flat Box, since it refuses Dict observations.",
        f"Not compared with imitation: {found['missing']}." if found["missing"] else f"Versions: {versions}.",
    ]


EXPERIMENT = Experiment(
    "Speed of training reward models",
    "All sides train the same network from the same weights on the same pairs of captions, with AdamW and "
    "minibatches of 64 pairs (separate) or 96 (16 pictures with six pairs of four answers). "
    "Sides take turns.",
    (
        Grid(
            training,
            {
                "repeats": 7,
                "seconds": 1.0,
                "imitation_pairs": 192,
                "epochs": 2,
                "answers": 1024,
                "install": True,
            },
            {"reader": tuple(READERS), "group": tuple(_GROUPS)},
            quick={
                "reader": "encoder",
                "answers": 32,
                "repeats": 2,
                "seconds": 0.01,
                "imitation_pairs": 16,
                "epochs": 1,
                "install": False,
            },
        ),
    ),
    tables,
    notes,
)
