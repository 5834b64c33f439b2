"""ONNX graphs of a policy, run by onnxruntime; and their difference from the policy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agents.acting import StepCounter
from agents.compression.onnx_export import (
    ENCODE,
    FORMAT,
    MODEL,
    POLICY,
    STATE,
    STEP,
    WORD,
    Logits,
    Start,
    Step,
)
from agents.examples import Examples
from agents.heads.choice import ChoiceHead
from agents.policy import ResponsePolicy
from agents.policy_folder import refuse_other_task
from mm_envs.answers import Text
from mm_envs.optional import require
from mm_envs.tasks.task import Task
from mm_envs.tokenizers import ends, is_end

TOLERANCE = 1e-4


class OnnxPolicy:
    """A policy of the graphs in a folder; it takes the likeliest answer.

    Args:
        folder: What ``export_onnx`` wrote.
        task: The task that it answers.
        threads: Of onnxruntime; 0 for its own choice.

    Raises:
        MissingPackage: The extra ``onnx`` is not installed.
        FileNotFoundError: The folder holds no graphs.
        ValueError: They are of another format or task.
    """

    def __init__(self, folder: str | Path, task: Task, threads: int = 0) -> None:
        require("onnxruntime")
        path = Path(folder) / MODEL
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist: give a folder of mm-envs compress --how onnx")
        config = json.loads(path.read_text(encoding="utf-8"))
        if config.get("format") != FORMAT:
            raise ValueError(f"format={config.get('format')!r} of {path} is not {FORMAT}: export it again")
        refuse_other_task(config, task, path)
        self.task, self.inputs, self.state = task, tuple(config["inputs"]), tuple(config["state"])
        names = (ENCODE, STEP) if isinstance(task.answer, Text) else (POLICY,)
        self._graphs = {name: _session(Path(folder) / name, threads) for name in names}
        self._count, self._response = StepCounter(), torch.zeros(0)

    def logits(self, contexts: Mapping[str, Tensor]) -> Tensor:
        """Logits of the choices, (n, choices)."""
        return self._run(POLICY, {key: contexts[key] for key in self.inputs})[0]

    def start(self, contexts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The state before the first word, by name."""
        found = self._run(ENCODE, {key: contexts[key] for key in self.inputs})
        return dict(zip(self.state, found, strict=True))

    def step(self, word: Tensor, state: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits of the next word, (n, words), and the state after the word before it, (n,) int64."""
        logits, after = self._run(STEP, {WORD: word, **state})
        return logits, {**state, STATE: after}

    def answers(self, contexts: Mapping[str, Tensor]) -> Tensor:
        """The likeliest answers to n contexts, as ``Episodes.response``."""
        kind = self.task.answer
        if not isinstance(kind, Text):
            return self.logits(contexts).argmax(1)
        state = self.start(contexts)
        word = torch.zeros(state[STATE].shape[1], dtype=torch.int64)
        written, ended = ends((len(word), kind.steps)), torch.zeros_like(word, dtype=torch.bool)
        for step in range(kind.steps):
            logits, state = self.step(word, state)
            written[:, step] = word = logits.argmax(1)
            ended |= is_end(word)
            if bool(ended.all()):
                break
        return kind.finish(written)[0]

    def __call__(self, observation: Mapping[str, Tensor], hashes: Tensor) -> Tensor:
        """The next actions; answers are written at the first step of an episode."""
        fresh, step = self._count(hashes)
        if bool(fresh.any()):
            made = self.answers({key: observation[key][fresh].cpu() for key in self.inputs})
            if len(self._response) != len(hashes):
                self._response = made.new_zeros((len(hashes), *made.shape[1:]))
            self._response[fresh.cpu()] = made
        return self.task.answer.action(self._response.to(step.device), step)

    def _run(self, graph: str, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        session, known = self._graphs[graph]
        given = {key: one.contiguous().numpy() for key, one in inputs.items() if key in known}
        return [torch.from_numpy(one) for one in session.run(None, given)]


def largest_difference(
    policy: ResponsePolicy, onnx: OnnxPolicy, task: Task, sizes: tuple[int, ...] = (1, 3, 64)
) -> float:
    """The largest absolute difference of logits between a policy and its graphs, on training items.

    Words are compared step by step, along the likeliest answers of the policy.
    """
    examples = Examples(task)
    return max(_difference(policy, onnx, examples.contexts(0, size)) for size in sizes)


def refuse_differences(policy: ResponsePolicy, onnx: OnnxPolicy, task: Task) -> float:
    """Returns the largest difference.

    Raises:
        ValueError: It is above 1e-4.
    """
    found = largest_difference(policy, onnx, task)
    if not found <= TOLERANCE:
        raise ValueError(
            f"the logits of the ONNX graphs differ by {found:.1e}, which is above {TOLERANCE}: use "
            "another version of onnxruntime"
        )
    return found


@torch.no_grad()
def _difference(policy: ResponsePolicy, onnx: OnnxPolicy, contexts: Mapping[str, Tensor]) -> float:
    entries = [contexts[key] for key in onnx.inputs]
    if isinstance(policy.head, ChoiceHead):
        return _away(Logits(policy, onnx.inputs)(*entries), onnx.logits(contexts))
    assert isinstance(policy.kind, Text)
    first, *others = Start(policy, onnx.inputs)(*entries)
    theirs, word, most = onnx.start(contexts), torch.zeros(first.shape[1], dtype=torch.int64), 0.0
    for _ in range(policy.kind.steps):
        logits, first = Step(policy)(word, first, *others)
        found, theirs = onnx.step(word, theirs)
        most, word = max(most, _away(logits, found)), logits.argmax(1)
    return most


def _away(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())


def _session(path: Path, threads: int) -> tuple[Any, set[str]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    # Inputs that no output depends on are not part of a graph.
    return session, {one.name for one in session.get_inputs()}
