"""Boxes and retrieval against torchvision and plain Python."""

from __future__ import annotations

import pytest
import torch
import torchvision.ops as ops
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_envs.metrics.boxes import giou, iou
from mm_envs.metrics.retrieval import recall_at_k


def boxes(n: int, seed: int) -> torch.Tensor:
    corners = torch.rand(n, 2, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.cat([corners.amin(1), corners.amax(1) + 0.01], 1)


def test_overlap_is_that_of_torchvision() -> None:
    one, two = boxes(40, 0), boxes(30, 1)
    assert torch.allclose(iou(one, two, pairwise=True), ops.box_iou(one, two))
    assert torch.allclose(giou(one, two, pairwise=True), ops.generalized_box_iou(one, two))
    assert torch.allclose(iou(one[:30], two), ops.box_iou(one[:30], two).diagonal())
    assert torch.allclose(giou(one[:30], two), ops.generalized_box_iou(one[:30], two).diagonal())
    assert (iou(one, two, pairwise=True) > 0).any()
    assert (giou(one, two, pairwise=True) < 0).any()


def test_overlap_is_symmetric_and_ignores_scale_and_position() -> None:
    one, two = boxes(50, 2), boxes(50, 3)
    moved = torch.tensor([3.0, -5.0, 3.0, -5.0], dtype=torch.float64)
    for overlap in (iou, giou):
        assert torch.equal(overlap(one, two), overlap(two, one))
        assert torch.allclose(overlap(7 * one + moved, 7 * two + moved), overlap(one, two))
        assert (overlap(one, one) == 1).all()
    assert (giou(one, two) <= iou(one, two)).all()
    assert (giou(one, two) > -1).all()


def test_boxes_without_area_overlap_with_nothing() -> None:
    empty = torch.tensor([[1.0, 1, 1, 1], [1, 1, 1, 5], [3, 3, 2, 2]])
    others = torch.tensor([[0.0, 0, 4, 4], [1, 1, 1, 1], [3, 3, 2, 2]])
    assert (iou(empty, others, pairwise=True) == 0).all()
    assert giou(empty, others, pairwise=True).isfinite().all()
    assert giou(empty[:1], others[1:2]).item() == 0
    with pytest.raises(ValueError, match="boxes have shape"):
        iou(torch.zeros(3, 4, dtype=torch.int64), others)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=9),
    st.integers(1, 10),
)
@settings(max_examples=200, deadline=None)
def test_recall_at_k_is_that_of_the_least_lucky_order(row: list[tuple[int, bool]], k: int) -> None:
    order = sorted(row, key=lambda pair: (-pair[0], pair[1]))
    hits = sum(positive for _, positive in order[:k])
    there = sum(positive for _, positive in row)
    scores = torch.tensor([[float(score) for score, _ in row]])
    positives = torch.tensor([[positive for _, positive in row]])
    assert recall_at_k(scores, positives, k).item() == float(hits > 0)
    expected = hits / there if there else 0.0
    assert recall_at_k(scores, positives, k, "fraction").item() == pytest.approx(expected)


def test_recall_at_k_of_rows_does_not_depend_on_each_other() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(5, (60, 12), generator=generator).float()
    positives = torch.rand(60, 12, generator=generator) < 0.3
    whole = recall_at_k(scores, positives, 3, "fraction")
    alone = [recall_at_k(scores[i : i + 1], positives[i : i + 1], 3, "fraction") for i in range(60)]
    assert torch.equal(torch.cat(alone), whole)
    no_number = scores.masked_fill(positives, torch.nan)
    assert recall_at_k(no_number, positives, 3).sum() < recall_at_k(scores, positives, 3).sum()
    for wrong in ({"k": 0}, {"k": 1, "hit": "all"}):
        with pytest.raises(ValueError, match=r"below 1|is not one of any, fraction"):
            recall_at_k(scores, positives, **wrong)
    with pytest.raises(ValueError, match=r"give \(queries, candidates\)"):
        recall_at_k(scores, positives.long(), 1)
