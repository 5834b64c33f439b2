"""Attention on objects: the share is computed right, and a trained policy looks at what is asked about."""

import pytest
import torch
from torch import Tensor

from agents.explaining import AttentionMap, attention_on_objects, grounding
from agents.explaining.errors import NotApplicableError
from agents.explaining.grounding import covered_cells
from agents.policy import ResponsePolicy
from agents.sft import sft
from mm_envs.data.scenes.answering import mentioned
from mm_envs.data.scenes.layout import boxes
from mm_envs.tasks import make_task
from mm_envs.tasks.vqa import VQA


def attention(weights: Tensor, shape: tuple[int, ...] = (4, 4)) -> AttentionMap:
    n, words, cells = weights.shape
    names = (("",) * words,) * n
    return AttentionMap("phrase", "question", "image", weights, names, (("",) * cells,) * n, None, shape)


def test_by_hand() -> None:
    """One object covers the top left quarter, another one the cell at the bottom right."""
    around = torch.tensor([[[0.0, 0.0, 0.5, 0.5], [0.75, 0.75, 1.0, 1.0]]])
    named = torch.tensor([[[True, False], [False, False], [False, True]]])
    weights = torch.full((1, 3, 16), 1 / 16)
    weights[0, 2] = 0.0
    weights[0, 2, [15, 0]] = torch.tensor([0.3, 0.1])  # the rest of the attention is on a sound
    found = attention_on_objects(attention(weights), named, around)
    assert torch.allclose(found.share, torch.tensor([0.25, 0.75]))
    assert torch.allclose(found.chance, torch.tensor([4 / 16, 1 / 16]))
    assert found.item.tolist() == [0, 0]
    assert found.times_chance == pytest.approx(0.5 / (5 / 32))
    assert found.to_dict()["words"] == 2


@pytest.mark.parametrize("side", [4, 8])
def test_uniform_attention_is_chance_and_attention_on_the_object_is_all(side: int) -> None:
    task = make_task("vqa", items=256)
    items = torch.arange(64)
    graph, config = task.dataset.graph(items), task.dataset.config  # type: ignore[attr-defined]
    question, around = task.batch(items, ["question"])["question"], boxes(graph, config)
    named = mentioned(question, graph, config)
    uniform = torch.full((64, question.shape[1], side * side), side**-2.0)
    found = attention_on_objects(attention(uniform, (side, side)), named, around)
    assert found.times_chance == pytest.approx(1)
    assert torch.allclose(found.share, found.chance)
    on_it = torch.einsum("nwk,nkc->nwc", named.float(), covered_cells(around, (side, side)).float())
    whole = attention_on_objects(attention(on_it, (side, side)), named, around)
    assert torch.allclose(whole.share, torch.ones_like(whole.share))
    assert float(whole.chance.min()) > 0


def test_what_cannot_be_measured_is_refused() -> None:
    task = make_task("vqa", items=64)
    policy = ResponsePolicy(task, features=16, hidden=16, fusion="concat")
    with pytest.raises(NotApplicableError, match="train one with fusion='word_patch'"):
        grounding(policy, task, torch.arange(4))
    caption = make_task("caption", items=64)
    with pytest.raises(NotApplicableError, match="has no questions"):
        grounding(ResponsePolicy(caption, features=16, hidden=16), caption, torch.arange(4))
    nothing = torch.zeros(1, 2, 3, dtype=torch.bool)
    with pytest.raises(NotApplicableError, match="no word of these items names an object"):
        attention_on_objects(attention(torch.zeros(1, 2, 16)), nothing, torch.zeros(1, 3, 4))
    with pytest.raises(NotApplicableError, match="no grid"):
        attention_on_objects(attention(torch.zeros(1, 2, 16), (4, 2, 2)), nothing, torch.zeros(1, 3, 4))


@pytest.mark.slow
def test_a_trained_policy_looks_at_what_is_asked_about() -> None:
    """At least three times chance with 95 % confidence, on held-out items, after 40,000 items."""
    task = VQA(items=40_000)
    policy = sft(task, ResponsePolicy(task, 128, 128, 0, "word_patch"), epochs=1)
    items = torch.tensor(task.dataset.range("test"))[:256]
    found = grounding(policy, task, items)
    assert found.interval.low > 3 * float(found.chance.mean())
