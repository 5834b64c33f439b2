"""Counterfactual swaps: truths follow the facts, and a policy that knows the truth is perfect."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from agents.explaining import counterfactuals
from agents.explaining.counterfactual import changed_context, scenes_of
from agents.explaining.errors import NotApplicableError
from agents.heads import Categorical
from agents.policy import ResponsePolicy
from mm_envs.answers import Choice
from mm_envs.data.scenes.answering import answer_to
from mm_envs.data.scenes.changes import FACTS, changes
from mm_envs.tasks import make_task
from mm_envs.tasks.task import Task


class Knowing:
    """A policy that recognises all changed scenes: it answers the truth, or always the same."""

    def __init__(self, task: Task, items: Tensor, constant: bool = False) -> None:
        self.kind, self.constant, dataset = task.answer, constant, scenes_of(task)
        assert isinstance(self.kind, Choice)
        fields = task.batch(items, (*task.context.values(), *task.reference))
        context = {key: fields[name] for key, name in task.context.items()}
        changed = changes(dataset.graph(items), dataset.config)
        new = changed_context(task, items, context, changed)
        rows = changed.source
        answer, _ = answer_to(fields["question"][rows], fields["kind"][rows], changed.graph, dataset.config)
        self.known: dict[bytes, int] = {}
        for seen, truth in ((context, fields["answer"]), (new, answer)):
            for row, one in enumerate(truth.tolist()):
                self.known[self.key(seen, row)] = one

    def key(self, context: Mapping[str, Tensor], row: int) -> bytes:
        return context["image"][row].numpy().tobytes() + context["question"][row].numpy().tobytes()

    def encode(self, context: Mapping[str, Tensor]) -> Any:
        keys = [self.key(context, row) for row in range(len(context["image"]))]
        index = torch.tensor([0 if self.constant else self.known[key] for key in keys])
        return Answers(index, len(self.kind.names))

    def sample(self, encoded: Any, hashes: Tensor, sampling: Any) -> tuple[Tensor, None]:
        return encoded.index, None

    def distribution(self, encoded: Any, response: Tensor, length: None) -> Categorical:
        one_hot = torch.nn.functional.one_hot(encoded.index, encoded.options).float()
        log_probs = (0.9 * one_hot + 0.1 / encoded.options).log()[:, None]
        return Categorical(log_probs, log_probs)


class Answers:
    """Contexts that are encoded as the answer to them."""

    def __init__(self, index: Tensor, options: int) -> None:
        self.index, self.options, self.pooled = index, options, index

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: Tensor) -> "Answers":
        return Answers(self.index[rows], self.options)


@pytest.mark.parametrize("arguments", [{}, {"objects": (1, 4)}])
def test_one_who_knows_is_sensitive_and_invariant(arguments: dict[str, Any]) -> None:
    task, items = make_task("vqa", items=64, **arguments), torch.arange(24)
    policy: Any = Knowing(task, items)
    swaps = counterfactuals(policy, task, items)
    assert torch.equal(swaps.truth_changes, swaps.answer_changes)
    assert swaps.sensitivity is not None
    assert swaps.invariance is not None
    assert swaps.sensitivity.value == swaps.invariance.value == 1
    assert bool((swaps.utility_before == 1).all())
    assert bool((swaps.utility_after == 1).all())
    assert bool(((swaps.kl > 1) == swaps.truth_changes).all())
    assert sum(len(swaps.of(fact)) for fact in FACTS) == len(swaps)


def test_a_constant_answer_is_invariant_and_not_sensitive() -> None:
    task, items = make_task("vqa", items=64), torch.arange(16)
    policy: Any = Knowing(task, items, constant=True)
    swaps = counterfactuals(policy, task, items)
    assert swaps.sensitivity is not None
    assert swaps.invariance is not None
    assert (swaps.sensitivity.value, swaps.invariance.value) == (0, 1)
    assert float(swaps.kl.max()) == 0


@pytest.mark.parametrize("sound", ["none", "agree", "complement"])
@pytest.mark.parametrize("name", ["vqa", "caption"])
def test_every_task_of_scenes(name: str, sound: str) -> None:
    task = make_task(name, items=64, sound=sound)
    policy = ResponsePolicy(task, features=16, hidden=16)
    swaps = counterfactuals(policy, task, torch.arange(8))
    # One fact is changed, so no caption stays as good as it was.
    assert name == "vqa" or bool(swaps.truth_changes.all())
    record = swaps.to_dict()
    assert record["swaps"] == len(swaps) > 5
    some = counterfactuals(policy, task, torch.tensor([1]))
    assert torch.allclose(some.kl, swaps.kl[swaps.source == 1], atol=1e-5)


def test_captions_of_several_objects() -> None:
    """Another colour or shape makes the best caption wrong; another position need not."""
    task = make_task("caption", items=64, objects=(1, 4))
    swaps = counterfactuals(ResponsePolicy(task, features=16, hidden=16), task, torch.arange(6))
    position = swaps.fact == FACTS.index("position")
    assert bool(swaps.truth_changes[~position].all())
    assert 0 < int(swaps.truth_changes[position].sum()) < int(position.sum())
    assert swaps.of("colour").invariance is None


def test_other_tasks_are_refused() -> None:
    for task in (make_task("classify"), make_task("classify", dataset="digits")):
        with pytest.raises(NotApplicableError, match="those of vqa and caption on scenes"):
            counterfactuals(SimpleNamespace(), task, torch.arange(2))  # type: ignore[arg-type]
    vqa = make_task("vqa", items=64)
    with pytest.raises(ValueError, match="facts='texture' is not one of colour, shape, position"):
        counterfactuals(SimpleNamespace(), vqa, torch.arange(2), ("texture",))  # type: ignore[arg-type]
    policy = ResponsePolicy(vqa, features=16, hidden=16)
    with pytest.raises(NotApplicableError, match="no fact of 4 items can be changed so that"):
        counterfactuals(policy, vqa, torch.arange(4), ("colour",))
