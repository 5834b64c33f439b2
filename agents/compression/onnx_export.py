"""Policies as ONNX graphs, for runtimes without torch.

policy.onnx  context -> logits, for choices
encode.onnx  context -> the state before the first word, for words
step.onnx    word and state -> logits of the next word and the state after it
model.json   the inputs of the graphs, the kind of the answers and the spaces
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from agents.compression.int8 import is_quantised
from agents.decoders import GRUDecoder
from agents.decoders.gru import GRUState
from agents.examples import Examples
from agents.heads.choice import ChoiceHead
from agents.heads.text import TextHead
from agents.policy import ResponsePolicy
from agents.policy_folder import spaces_of
from agents.store import write_json
from mm_envs.optional import require
from mm_envs.tasks.task import Task

FORMAT = 1
POLICY, ENCODE, STEP, MODEL = "policy.onnx", "encode.onnx", "step.onnx", "model.json"
LOGITS, WORD, STATE = "logits", "word", "state"
_MEMORY = ("keys", "values", "mask")


class Logits(nn.Module):
    """Logits of the choices (n, choices) of contexts, entries in a given order."""

    def __init__(self, policy: ResponsePolicy, keys: Sequence[str]) -> None:
        super().__init__()
        self.policy, self.keys = policy, tuple(keys)

    def forward(self, *entries: Tensor) -> Tensor:
        """See the class."""
        head = self.policy.head
        assert isinstance(head, ChoiceHead)
        return head.logits(self.policy.encode(dict(zip(self.keys, entries, strict=True))))


class Start(nn.Module):
    """The state of a decoder before the first word, as a flat tuple of tensors."""

    def __init__(self, policy: ResponsePolicy, keys: Sequence[str]) -> None:
        super().__init__()
        self.policy, self.keys = policy, tuple(keys)

    def forward(self, *entries: Tensor) -> tuple[Tensor, ...]:
        """The state that ``Step`` takes, of contexts with entries in a given order."""
        context = self.policy.encode(dict(zip(self.keys, entries, strict=True)))
        return flat(decoder_of(self.policy).start(context))


class Step(nn.Module):
    """One step of a decoder."""

    def __init__(self, policy: ResponsePolicy) -> None:
        super().__init__()
        self.decoder = decoder_of(policy)

    def forward(self, word: Tensor, state: Tensor, added: Tensor, *memory: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the next word (n, words) and the state of the recurrence (1, n, H) after it."""
        mask = memory[2] if len(memory) > 2 else None
        looked = (memory[0], memory[1], mask) if memory else None
        logits, after = self.decoder.step(word, GRUState(state, added, looked))
        return logits, after.state


def export_onnx(policy: ResponsePolicy, task: Task, folder: str | Path) -> list[Path]:
    """Writes the graphs of a policy, for any number of rows, and ``model.json``.

    Args:
        policy: A policy of choices, or of words with the decoder "gru".
        task: The task that it answers.
        folder: Made if need be.

    Returns:
        The files.

    Raises:
        MissingPackage: A package of the extra ``onnx`` is not installed.
        ValueError: The policy has other answers, another decoder, or int8 weights.
    """
    require("onnx", "onnxscript")
    refuse_others(policy)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    contexts = Examples(task).contexts(0, 2)
    # Two rows at least: a graph of one row is exported for one row.
    contexts = {key: torch.cat([value, value]) for key, value in contexts.items()}
    keys, entries = list(contexts), tuple(contexts.values())
    policy = policy.to("cpu")
    outputs = [LOGITS]
    if isinstance(policy.head, ChoiceHead):
        files = [_write(Logits(policy, keys), entries, keys, outputs, folder / POLICY)]
    else:
        start = Start(policy, keys)
        with torch.no_grad():
            state = tuple(one.clone() for one in start(*entries))
        outputs = [STATE, "added", *_MEMORY][: len(state)]
        word = torch.zeros(state[0].shape[1], dtype=torch.int64)
        files = [
            _write(start, entries, keys, outputs, folder / ENCODE),
            _write(Step(policy), (word, *state), [WORD, *outputs], [LOGITS, "next_state"], folder / STEP),
        ]
    write_json(
        folder / MODEL, {"format": FORMAT, "inputs": keys, "state": outputs, "spaces": spaces_of(task)}
    )
    return [*files, folder / MODEL]


def refuse_others(policy: ResponsePolicy) -> None:
    """Refuses policies that have no graph.

    Raises:
        ValueError: See ``export_onnx``.
    """
    if is_quantised(policy):
        raise ValueError("an int8 policy has no ONNX graph: export the policy that it was made of")
    if isinstance(policy.head, TextHead):
        decoder_of(policy)
    elif not isinstance(policy.head, ChoiceHead):
        raise ValueError(
            f"answers of kind {policy.kind.name!r} have no ONNX graph: those of choice and text do"
        )


def decoder_of(policy: ResponsePolicy) -> GRUDecoder:
    """The decoder of a policy of words.

    Raises:
        ValueError: It is no GRU.
    """
    assert isinstance(policy.head, TextHead)
    decoder = policy.head.decoder
    if not isinstance(decoder, GRUDecoder):
        name = policy.arguments["decoder"]
        raise ValueError(f"decoder={name!r} has a state that grows and no ONNX graph: use decoder='gru'")
    return decoder


def flat(state: GRUState) -> tuple[Tensor, ...]:
    """The tensors of a state: of the recurrence, added, and keys, values and mask of the memory."""
    return (state.state, state.added, *(one for one in state.memory or () if one is not None))


def _write(
    module: nn.Module, inputs: tuple[Tensor, ...], names: list[str], outputs: list[str], path: Path
) -> Path:
    batch = torch.export.Dim("batch", min=1)
    shapes = [{1 if name == STATE else 0: batch} for name in names]
    # Parameters after *args are one entry of the dynamic shapes.
    fixed = 3 if isinstance(module, Step) else 0
    dynamic = (*shapes[:fixed], tuple(shapes[fixed:]))
    with _quiet():
        program = torch.onnx.export(
            module.eval(),
            inputs,
            input_names=names,
            output_names=outputs,
            dynamic_shapes=dynamic,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.save(str(path))
    return path


@contextmanager
def _quiet() -> Iterator[None]:
    """Without notes of the exporter about optional packages and its own deprecations."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
