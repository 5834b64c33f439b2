"""Counterfactual swaps: one fact of a scene changes, the question stays, and the answer should follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from agents.explaining.errors import NotApplicableError
from agents.explaining.values import greedy
from agents.policy import ResponsePolicy
from mm_envs.batch import Batch
from mm_envs.data.scenes import Scenes
from mm_envs.data.scenes.answering import answer_to
from mm_envs.data.scenes.changes import FACTS, Changes, changes, sorted_graph
from mm_envs.data.scenes.layout import SceneGraph
from mm_envs.statistics import Interval, share_interval
from mm_envs.tasks.fields import SceneCaptions, SceneQuestions
from mm_envs.tasks.task import Task

_CHUNK = 512


@dataclass(frozen=True)
class Swaps(Batch):
    """m changed contexts, with the answers of a policy before and after.

    Attributes:
        source: The row of the item that was changed, (m,) int64.
        fact: The index in ``FACTS`` of what was changed, (m,) int64.
        object: The index of the changed object, (m,) int64.
        value: Its new colour, shape or quadrant, (m,) int64.
        truth_changes: Whether the best answer before is no longer as good as the best one now, (m,) bool.
        answer_changes: Whether the greedy answer differs, (m,) bool.
        kl: ``KL(before || after)`` of the answer distributions in nats, (m,) float32; of answers of several
            parts the sum over the parts of the greedy answer before.
        utility_before: The true utility of the greedy answer before, in the scene before, (m,) float32.
        utility_after: That of the greedy answer after, in the scene after, (m,) float32.
        response: The greedy answer after, (m, ...).
    """

    source: Tensor
    fact: Tensor
    object: Tensor
    value: Tensor
    truth_changes: Tensor
    answer_changes: Tensor
    kl: Tensor
    utility_before: Tensor
    utility_after: Tensor
    response: Tensor

    def __len__(self) -> int:
        return len(self.source)

    @property
    def sensitivity(self) -> Interval | None:
        """How often the answer changes where the truth does; None where it never does. By items."""
        return self._share(self.answer_changes, self.truth_changes)

    @property
    def invariance(self) -> Interval | None:
        """How often the answer stays where the truth does; None where it never does. By items."""
        return self._share(~self.answer_changes, ~self.truth_changes)

    def of(self, fact: str) -> Swaps:
        """Those of one fact."""
        return self.take(self.fact == FACTS.index(fact))

    def to_dict(self) -> dict[str, Any]:
        """Shares, divergences and utilities as JSON values."""
        return {
            "swaps": len(self),
            "truth_changes": int(self.truth_changes.sum()),
            "sensitivity": _record(self.sensitivity),
            "invariance": _record(self.invariance),
            "kl_truth_changes": _mean(self.kl, self.truth_changes),
            "kl_truth_stays": _mean(self.kl, ~self.truth_changes),
            "utility_before": _mean(self.utility_before, self.truth_changes),
            "utility_after": _mean(self.utility_after, self.truth_changes),
        }

    def _share(self, outcome: Tensor, rows: Tensor) -> Interval | None:
        if not bool(rows.any()):
            return None
        return share_interval(outcome[rows].double().cpu().numpy(), self.source[rows].tolist())


@torch.no_grad()
def counterfactuals(
    policy: ResponsePolicy, task: Task, items: Tensor, facts: tuple[str, ...] = FACTS
) -> Swaps:
    """All changes of one fact of the scenes of some items, rendered again with the question kept.

    Pictures keep their background and sounds their order, volume and noise. Changed scenes that the question
    cannot be asked of (see ``answer_to``) are left out. Sensitivity and invariance are what the minimality of
    a counterfactual asks of a model (Kaushik et al., 2020, arXiv 1909.12434; Gardner et al., 2020, arXiv
    2004.02709).

    Args:
        policy: The policy.
        task: Its task: questions or captions about ``scenes``.
        items: Indices of items, (n,) int64.
        facts: What is changed, some of ``FACTS``.

    Raises:
        NotApplicableError: The task is about no scenes, or is of another kind; or no change fits.
        ValueError: A fact is unknown.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> task = make_task("vqa", items=64)
        >>> policy = ResponsePolicy(task, features=16, hidden=16)
        >>> swaps = counterfactuals(policy, task, torch.arange(16), facts=("colour",))
        >>> len(swaps) > 0, bool((swaps.kl >= 0).all())
        (True, True)
    """
    dataset = scenes_of(task)
    before = task.batch(items, (*task.context.values(), *task.reference))
    changed = changes(dataset.graph(items), dataset.config, facts)
    reference, fits = _reference(task, before, changed)
    if not bool(fits.any()):
        raise NotApplicableError(
            f"no fact of {len(items)} items can be changed so that the question still fits: give more items"
        )
    changed, rows = changed.select(fits), fits.nonzero()[:, 0]
    reference = {name: value[rows] for name, value in reference.items()}
    seen = {key: before[name] for key, name in task.context.items()}
    policy_side = _answers(policy, seen)
    parts = []
    for chunk in torch.split(torch.arange(len(changed), device=items.device), _CHUNK):
        some = changed.select(chunk)
        truth = {name: value[chunk] for name, value in reference.items()}
        old = {name: before[name][some.source] for name in task.reference}
        context = changed_context(task, items, seen, some)
        parts.append(_compare(policy, task, some, context, (old, truth), policy_side))
    return Swaps.join(parts)


def scenes_of(task: Task) -> Scenes:
    """The scenes that a task is about, if their facts can be changed and the task kept.

    Raises:
        NotApplicableError: They cannot.
    """
    if isinstance(task.dataset, Scenes) and isinstance(task.source, (SceneQuestions, SceneCaptions)):
        return task.dataset
    name = type(task).__name__
    raise NotApplicableError(
        f"task {name} on dataset {task.dataset.name!r} has no scenes with questions or captions: facts can "
        "be changed in those of vqa and caption on scenes"
    )


def changed_context(
    task: Task, items: Tensor, seen: Mapping[str, Tensor], changed: Changes
) -> dict[str, Tensor]:
    """The contexts of changed scenes: picture and sound drawn again, everything else kept."""
    dataset = scenes_of(task)
    names = [name for name in task.context.values() if name in dataset.spaces]
    drawn = dataset.drawn(changed.graph, dataset.hashes(items)[changed.source], names)
    return {
        key: drawn[name] if name in drawn else seen[key][changed.source] for key, name in task.context.items()
    }


def _reference(
    task: Task, before: Mapping[str, Tensor], changed: Changes
) -> tuple[dict[str, Tensor], Tensor]:
    """The truth of changed scenes, and which of them fit the question."""
    config, rows = scenes_of(task).config, changed.source
    if isinstance(task.source, SceneQuestions):
        kind = before["kind"][rows]
        answer, fits = answer_to(before["question"][rows], kind, changed.graph, config)
        return {"answer": answer, "kind": kind}, fits
    assert task.source is not None
    graph = sorted_graph(changed.graph)
    facts = {name: getattr(graph, name) for name in SceneGraph.__dataclass_fields__}
    made = task.source.make(facts, torch.zeros_like(rows))
    return {name: made[name] for name in task.reference}, torch.ones_like(rows, dtype=torch.bool)


def _answers(policy: ResponsePolicy, context: Mapping[str, Tensor]) -> tuple[Any, Tensor, Tensor | None]:
    """Encoded contexts, the greedy answers, and their lengths."""
    return policy.encode(context), *greedy(policy, context)


def _compare(
    policy: ResponsePolicy,
    task: Task,
    changed: Changes,
    context: Mapping[str, Tensor],
    truths: tuple[Mapping[str, Tensor], Mapping[str, Tensor]],
    before: tuple[Any, Tensor, Tensor | None],
) -> Swaps:
    """Answers to changed contexts against those before; ``truths`` are references before and after."""
    (old, new), (encoded, response, length) = truths, before
    encoded, response = encoded.take(changed.source), response[changed.source]
    length = None if length is None else length[changed.source]
    after, after_response, after_length = _answers(policy, context)
    divergence = policy.distribution(encoded, response, length).kl(
        policy.distribution(after, response, length)
    )
    best_old, best_new = task.oracle(old), task.oracle(new)
    kept, best = (task.utility(*task.answer.finish(one), new).reward for one in (best_old, best_new))
    return Swaps(
        changed.source,
        changed.fact,
        changed.object,
        changed.value,
        truth_changes=kept < best - 1e-6,
        answer_changes=~task.answer.same(response, after_response),
        kl=divergence.sum(1).clamp(min=0),
        utility_before=task.utility(response, length, old).reward,
        utility_after=task.utility(after_response, after_length, new).reward,
        response=after_response,
    )


def _mean(values: Tensor, rows: Tensor) -> float | None:
    return float(values[rows].double().mean()) if bool(rows.any()) else None


def _record(interval: Interval | None) -> dict[str, float] | None:
    if interval is None:
        return None
    return {"mean": interval.value, "low": interval.low, "high": interval.high}
