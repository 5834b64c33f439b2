"""Compression of a trained policy: each method writes a folder, and all are measured alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from agents.agent_folder import read_config
from agents.compression.distil import STUDENT_SHARE, DistilSettings, distil, student_of
from agents.compression.int8 import is_quantised, quantise
from agents.compression.measure import Candidate, Measured, measure
from agents.compression.onnx_export import export_onnx
from agents.compression.onnx_policy import OnnxPolicy, refuse_differences
from agents.compression.prune import SHARE, kept, prune
from agents.compression.sparse import packed
from agents.policy import ResponsePolicy
from agents.policy_folder import COMPRESSION, CONFIG, INT8, WEIGHTS, load_policy, write_folder
from agents.run_folder import Setting, fresh_folder
from agents.store import write_json
from mm_envs.names import at_least, check_one_of, whole
from mm_envs.optional import require
from mm_envs.tasks.task import Task

REPORT = "compression.json"
METHODS = (INT8, "prune", "distil", "onnx")
ALL = "all"


@dataclass(frozen=True)
class CompressSettings:
    """How a policy is made smaller.

    Attributes:
        share: Of the weights that pruning removes.
        rows: Whether pruning removes whole hidden units.
        finetune: Contexts that a pruned policy learns from afterwards, to answer as before; 0 for none.
        student: The share of the parameters that a distilled policy has, at most.
        distil: Settings of distillation, and of learning after pruning.
        seed: Of the student's weights, of the order of items and of the test items.

    Raises:
        ValueError: A value is out of its range.
    """

    share: float = SHARE
    rows: bool = False
    finetune: int = 0
    student: float = STUDENT_SHARE
    distil: DistilSettings = field(default_factory=DistilSettings)
    seed: int = 0

    def __post_init__(self) -> None:
        whole("finetune", self.finetune)
        at_least("finetune", self.finetune, 0)
        for name in ("share", "student"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(
                    f"{name}={getattr(self, name)} is not between 0 and 1: give a share of the whole"
                )


@dataclass(frozen=True)
class Compressed:
    """The policy before, and one after each method.

    Attributes:
        threads: Of torch and onnxruntime, which the latencies depend on.
        episodes: Test items that the utilities are means over.
        skipped: Methods of "all" that do not fit the policy, each with the reason.
    """

    id: str
    threads: int
    episodes: int
    measured: Sequence[Measured]
    skipped: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        rows = [one.to_dict() for one in self.measured]
        return {
            "id": self.id,
            "threads": self.threads,
            "episodes": self.episodes,
            "policies": rows,
            "skipped": dict(self.skipped),
        }


def compress(
    setting: Setting,
    out: Path,
    how: str = INT8,
    settings: CompressSettings | None = None,
    episodes: int = 1000,
    overwrite: bool = False,
    on_step: Callable[[str, int, int], None] | None = None,
) -> Compressed:
    """Writes smaller policies of a training, and the report ``compression.json``.

    Args:
        setting: The environment and the agent, as ``agents.run_folder.load_run`` gives them.
        out: The folder of the smaller policy; with "all", of one folder a method.
        how: A name of ``METHODS``, or "all".
        settings: None for the defaults.
        episodes: Test items to evaluate on, at most.
        overwrite: Whether the folder may hold something.
        on_step: Called on the way of a training with the method, the contexts so far and all of them.

    Raises:
        FileExistsError: The folder is not empty.
        MissingPackage: A graph was asked for and the extra ``onnx`` is not installed.
        ValueError: There is no policy of whole answers, or a method does not fit it.
    """
    check_one_of("how", how, (*METHODS, ALL))
    at_least("episodes", episodes, 1, "evaluate on at least one")
    if setting.agent is None:
        raise ValueError(
            f"{setting.id} is an id and no trained agent: give a folder that `mm-envs train` wrote"
        )
    if how in ("onnx", ALL):
        require("onnx", "onnxruntime", "onnxscript")
    task = setting.make(1).task
    policy = load_policy(setting.agent, task)
    if is_quantised(policy):
        raise ValueError(f"{setting.agent} holds int8 weights: compress the policy that it was made of")
    fresh_folder(out, overwrite)
    work = _Work(setting, task, policy, settings or CompressSettings(), on_step)
    candidates, skipped = [Candidate("before", setting.agent, _policy_files(setting.agent), policy)], {}
    for name in METHODS if how == ALL else (how,):
        try:
            candidates.append(work.make(name, out / name if how == ALL else out))
        except ValueError as error:
            if how != ALL:
                raise
            skipped[name] = str(error)
    measured = measure(setting, candidates, episodes, work.settings.seed)
    found = min(episodes, len(task.dataset.range("test")))
    result = Compressed(setting.id, torch.get_num_threads(), found, measured, skipped)
    write_json(out / REPORT, result.to_dict())
    return result


class _Work:
    """A policy, and what is needed to make it smaller."""

    def __init__(
        self,
        setting: Setting,
        task: Task,
        policy: ResponsePolicy,
        settings: CompressSettings,
        on_step: Callable[[str, int, int], None] | None,
    ) -> None:
        assert setting.agent is not None
        self.agent, self.task, self.policy, self.settings = setting.agent, task, policy, settings
        self._on_step = on_step

    def make(self, how: str, folder: Path) -> Candidate:
        """Writes the smaller policy, or its graphs."""
        if how == "onnx":
            files = export_onnx(self.policy, self.task, folder)
            onnx = OnnxPolicy(folder, self.task, torch.get_num_threads())
            refuse_differences(self.policy, onnx, self.task)
            return Candidate(how, folder, files, self.policy, onnx)
        about: dict[str, Any] = {"how": how}
        if how == INT8:
            made = quantise(self.policy)
        elif how == "prune":
            about |= {"share": self.settings.share, "rows": self.settings.rows}
            made = self._pruned()
        else:
            made = self._distilled()
        config = {key: one for key, one in read_config(self.agent).items() if key != "format"}
        config |= {"policy": made.arguments, COMPRESSION: about}
        weights = packed(made.state_dict()) if how == "prune" else made.state_dict()
        write_folder(folder, weights, config)
        # Measured as it is read again.
        return Candidate(how, folder, _policy_files(folder), load_policy(folder, self.task))

    def _pruned(self) -> ResponsePolicy:
        settings = self.settings
        made = prune(self.policy, settings.share, settings.rows)
        if settings.finetune:
            self._learn("prune", made, settings.finetune, masks=kept(made))
        return made

    def _distilled(self) -> ResponsePolicy:
        settings = self.settings
        student = student_of(self.policy, self.task, settings.student, settings.seed)
        return self._learn("distil", student, settings.distil.steps)

    def _learn(self, how: str, student: ResponsePolicy, steps: int, **arguments: Any) -> ResponsePolicy:
        given = {**vars(self.settings.distil), "steps": steps}
        if how == "prune":
            # A policy that is nearly trained takes smaller steps.
            given["learning_rate"] = given["learning_rate"] / 3
        watch = self._on_step
        after = None if watch is None else lambda step, loss: watch(how, step, steps)
        about = {"seed": self.settings.seed, "on_step": after, **arguments}
        return distil(self.policy, student, self.task, DistilSettings(**given), **about)


def _policy_files(folder: Path) -> list[Path]:
    return [folder / WEIGHTS, folder / CONFIG]
