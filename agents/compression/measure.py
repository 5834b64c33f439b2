"""What a policy costs and how well it answers: parameters, bytes, latency, utility on test items."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.acting import AnsweringPolicy, Policy
from agents.comparison import evaluation_items, interval_record, without_feedback
from agents.compression.int8 import parameters
from agents.compression.onnx_policy import OnnxPolicy
from agents.compression.prune import zeros
from agents.evaluate import evaluate
from agents.heads import GREEDY
from agents.policy import ResponsePolicy
from agents.run_folder import Setting
from mm_envs.statistics import Interval
from mm_envs.tasks.play import hearing

BATCHES = (1, 256)
_WARM, _MIN_RUNS, _SECONDS = 3, 11, 0.5


@dataclass(frozen=True)
class Measured:
    """A policy with what it costs.

    Attributes:
        name: Of the method, or "before".
        folder: Where it is.
        parameters: Learned numbers, see ``agents.compression.int8.parameters``.
        nonzero: Those that are not 0.
        bytes: Of the files that answering needs.
        latency: Median seconds of an answer to so many contexts at once, by their number.
        utility: Mean true utility on test items, with its 95 % interval.
        same: The share of these items with the same answer as before.
    """

    name: str
    folder: Path
    parameters: int
    nonzero: int
    bytes: int
    latency: Mapping[int, float]
    utility: Interval
    same: float

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "how": self.name,
            "folder": str(self.folder),
            "parameters": self.parameters,
            "nonzero": self.nonzero,
            "bytes": self.bytes,
            "latency_ms": {str(size): 1000 * seconds for size, seconds in self.latency.items()},
            "utility": interval_record(self.utility),
            "same_answers": self.same,
        }


@dataclass(frozen=True)
class Candidate:
    """A policy to measure.

    Attributes:
        name: Of the method, or "before".
        folder: Where it is.
        files: Those that answering needs.
        policy: The policy.
        onnx: The graphs that were made of it and are measured instead; None for the policy.
    """

    name: str
    folder: Path
    files: Sequence[Path]
    policy: ResponsePolicy
    onnx: OnnxPolicy | None = None


def measure(
    setting: Setting, candidates: Sequence[Candidate], episodes: int, seed: int = 0
) -> list[Measured]:
    """Measures policies on the same contexts and test items; the first one is that before.

    Args:
        setting: The environment.
        candidates: The policies.
        episodes: Test items, at most.
        seed: Decides the items.
    """
    setting = without_feedback(setting)
    items = evaluation_items(setting, episodes, "test", seed)
    found = []
    for one in candidates:
        envs = setting.make(len(items), split="test")
        acting: Policy = AnsweringPolicy(one.policy, envs.task) if one.onnx is None else one.onnx
        found.append(evaluate(acting, envs, seed=seed, items=items))
    latencies = {
        size: median_seconds([_answering(setting, one, size) for one in candidates]) for size in BATCHES
    }
    return [
        Measured(
            one.name,
            one.folder,
            parameters(one.policy),
            nonzero(one.policy),
            sum(file.stat().st_size for file in one.files),
            {size: seconds[index] for size, seconds in latencies.items()},
            found[index].mean_utility,
            _same(found[index].response, found[0].response),
        )
        for index, one in enumerate(candidates)
    ]


def _answering(setting: Setting, candidate: Candidate, size: int) -> Callable[[], object]:
    """A function that answers so many test contexts at once."""
    envs = setting.make(size, split="test")
    envs.reset(seed=0)
    prompts, hashes, policy = envs.prompts(), torch.arange(size), candidate.policy
    contexts, hear, onnx = prompts.context, hearing(envs.task, prompts), candidate.onnx
    if onnx is not None:
        return lambda: onnx.answers(contexts)

    @torch.no_grad()
    def answer() -> object:
        return policy.sample(policy.encode(contexts), hashes, GREEDY, hear)

    return answer


def _same(answers: Tensor, before: Tensor) -> float:
    """The share of equal answers (n, ...)."""
    return float((answers == before).reshape(len(answers), -1).all(1).double().mean())


def nonzero(policy: ResponsePolicy) -> int:
    """How many learned numbers of a policy are not pruned."""
    return parameters(policy) - zeros(policy)[0]


def median_seconds(runs: Sequence[Callable[[], object]]) -> list[float]:
    """The median time of each of several functions, of 11 calls at least and about half a second each.

    They are called in turn, so that a busy machine slows all of them alike.
    """
    for run in runs:
        for _ in range(_WARM):
            run()
    times: list[list[float]] = [[] for _ in runs]
    begin = time.perf_counter()
    while len(times[0]) < _MIN_RUNS or time.perf_counter() - begin < _SECONDS * len(runs):
        for run, known in zip(runs, times, strict=True):
            start = time.perf_counter()
            run()
            known.append(time.perf_counter() - start)
    return [float(np.median(known)) for known in times]
