"""Labels by context: nothing lost, nothing twice."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from reward_answers import answers, labelled
from torch import Tensor

from feedback.preferences import (
    Approvals,
    Corrections,
    Critiques,
    Demonstrations,
    Labelled,
    Labels,
    Pairs,
    Rankings,
    Ratings,
)
from feedback.reward_models.minibatches import ContextBatches, digest, merged, split

WORTH = "MMClassify-digits-v0"


def mixed(n: int = 12, k: int = 4) -> Labelled:
    """Labels of every kind on one table, drawn at random within contexts."""
    _, table = answers(WORTH, n, k)
    draws = torch.Generator().manual_seed(2)

    def row(m: int) -> tuple[Tensor, Tensor, Tensor]:
        order = torch.rand(m, k, generator=draws).argsort(1)
        rows = torch.randint(n, (m, 1), generator=draws) * k + order
        who = torch.randint(3, (m,), generator=draws)
        return who, rows, torch.randint(2, (m,), generator=draws)

    who, rows, coin = row(30)
    labels: list[Labels] = [Pairs(who, rows[:, 0], rows[:, 1], coin, coin == 1)]
    who, rows, coin = row(9)
    labels.append(Rankings(who, torch.where(torch.arange(k) < 4 - coin[:, None], rows, -1)))
    who, rows, coin = row(8)
    labels.append(Ratings(who, rows[:, 0], coin.float()))
    labels.append(Approvals(who, rows[:, 1], coin == 1))
    labels.append(Corrections(who, rows[:, 0], rows[:, 2]))
    labels.append(Demonstrations(who, rows[:, 0], torch.where(coin[:, None] == 1, rows[:, 1:], -1)))
    labels.append(Critiques(who, rows[:, 3], rows[:, 2], coin == 1))
    return Labelled(table, ("a", "b", "c"), tuple(labels))


def spoken(labelled: Labelled) -> list[tuple]:
    """Every label by the content of the answers it speaks of."""
    table, result = labelled.answers, []
    images = table.contexts["image"].flatten(1).sum(1).tolist()

    def content(rows: Tensor) -> tuple:
        flat = rows.reshape(-1).tolist()
        return tuple(None if i < 0 else (images[table.context[i]], table.response[i].item()) for i in flat)

    for labels in labelled.labels:
        for i in range(len(labels)):
            values = {name: value[i] for name, value in labels.tensors().items()}
            of_rows = ("first", "second", "order", "answer", "corrected", "others", "without")
            result.append(
                (
                    type(labels).__name__,
                    tuple((k, content(v) if k in of_rows else v.item()) for k, v in values.items()),
                )
            )
    return sorted(result, key=repr)


def test_batches_of_contexts_hold_every_label_once() -> None:
    whole = mixed()
    batches = ContextBatches(whole)
    parts = [batches.take(some) for some in batches.contexts.flip(0).split(5)]
    assert sorted((one for part in parts for one in spoken(part)), key=repr) == spoken(whole)
    for part in parts:
        assert len(torch.unique(part.answers.context)) == len(part.answers.contexts["image"])
        used = torch.cat([getattr(part.labels[0], side) for side in ("first", "second")])
        assert int(used.max()) < len(part.answers)


def test_a_context_that_occurs_twice_brings_its_labels_twice() -> None:
    batches = ContextBatches(mixed())
    once = batches.take(batches.contexts[:1])
    twice = batches.take(batches.contexts[:1].repeat(2))
    assert len(twice.answers) == len(once.answers)
    assert [len(a) for a in twice.labels] == [2 * len(a) for a in once.labels]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_split_parts_contexts_and_loses_nothing(share: float) -> None:
    whole = mixed()
    train, held_out = split(whole, share, torch.Generator().manual_seed(0))
    assert held_out is not None
    assert sorted(spoken(train) + spoken(held_out), key=repr) == spoken(whole)
    contexts = [set(one.answers.contexts["image"].flatten(1).sum(1).tolist()) for one in (train, held_out)]
    assert not contexts[0] & contexts[1]


def test_the_same_context_under_two_rows_becomes_one() -> None:
    _, whole = labelled(WORTH)
    table = whole.answers
    twice = {key: value.repeat_interleave(2, 0) for key, value in table.contexts.items()}
    doubled = replace(whole, answers=replace(table, contexts=twice, context=table.context * 2 + 1))
    again = merged(doubled)
    assert len(again.answers.contexts["image"]) <= 12
    assert spoken(again) == spoken(whole)
    assert torch.equal(
        again.answers.contexts["image"][again.answers.context], table.contexts["image"][table.context]
    )


def test_the_digest_speaks_of_everything() -> None:
    _, whole = labelled(WORTH)
    pairs, table = whole.pairs, whole.answers
    other = [
        replace(whole, labels=(replace(pairs, choice=pairs.choice.roll(1)),)),
        replace(whole, annotators=("another",)),
        replace(whole, answers=replace(table, response=table.response.roll(1))),
        replace(whole, answers=replace(table, contexts={"image": table.contexts["image"].roll(1, 0)})),
    ]
    assert digest(whole) == digest(labelled(WORTH)[1])
    assert len({digest(one) for one in [whole, *other]}) == 5


def test_without_labels_there_is_nothing_to_fit() -> None:
    _, table = answers(WORTH)
    with pytest.raises(ValueError, match="there are no labels"):
        ContextBatches(Labelled(table, (), ()))
