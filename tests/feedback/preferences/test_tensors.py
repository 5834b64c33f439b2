from __future__ import annotations

import pytest
import torch

from feedback.collection import draw_prompts
from feedback.preferences import (
    Approval,
    Approvals,
    Correction,
    Corrections,
    Critique,
    Critiques,
    Demonstration,
    Demonstrations,
    Pairs,
    Pairwise,
    Ranking,
    Rankings,
    Rating,
    Ratings,
    labelled,
    pairwise_records,
)
from mm_envs.random import fold
from mm_envs.tasks import make_task

N = 24


def drawn(name: str, **arguments: object):  # noqa: ANN201
    prompts, tickets = draw_prompts(name, N, seed=3, **arguments)
    hashes = torch.arange(N)
    first, second = tickets.task.random(fold(hashes, 0)), tickets.task.random(fold(hashes, 1))
    return prompts, tickets, first, second


@pytest.mark.parametrize("name", ["MMCaption-v0", "MMVQA-v0", "MMClassify-digits-v0"])
def test_tensors_to_records_and_back(name: str) -> None:
    prompts, tickets, first, second = drawn(name)
    if first.ndim == 2:  # random words hold padding, which words do not say
        first, second = (
            tickets.task.oracle(prompts.reference),
            tickets.task.oracle(prompts.take(torch.arange(N).flip(0)).reference),
        )
    choice, shown = torch.arange(N) % 4, torch.arange(N) % 3 == 0
    who = torch.arange(N) % 2
    label_records = pairwise_records(
        tickets.task,
        list(tickets),
        first,
        second,
        choice,
        annotators=["ann", "bob"],
        annotator=who,
        shown_first=shown,
    )
    batch = labelled(label_records, tickets.task)
    assert batch.annotators == ("ann", "bob")
    pairs, answers = batch.pairs, batch.answers
    assert torch.equal(pairs.choice, choice)
    assert torch.equal(pairs.shown_first, shown)
    assert torch.equal(pairs.annotator, who)
    assert torch.equal(answers.response[pairs.first], first)
    assert torch.equal(answers.response[pairs.second], second)
    for key, value in prompts.context.items():
        assert torch.equal(answers.contexts[key][answers.context[pairs.first]], value)
        assert torch.equal(answers.contexts[key][answers.context[pairs.second]], value)
    if answers.length is not None:
        assert torch.equal(answers.length, (answers.response > 1).sum(1))


def test_an_answer_is_one_row_and_an_item_one_context() -> None:
    _, tickets, _, _ = drawn("MMVQA-v0", about=torch.arange(N) % 4)
    choice = torch.zeros((N, 3), dtype=torch.int64)
    no, yes = torch.ones(N, dtype=torch.int64), torch.zeros(N, dtype=torch.int64)
    label_records = pairwise_records(tickets.task, list(tickets), no, yes, choice, annotators=["ann"])
    batch = labelled(label_records, tickets.task)
    assert len(batch.pairs) == 3 * N
    assert len(next(iter(batch.answers.contexts.values()))) == 4
    assert len(batch.answers) == 8


def test_every_kind_finds_its_answers() -> None:
    task = make_task("caption")
    prompts, tickets = draw_prompts("MMCaption-v0", 2, seed=1)
    good, other = task.answer.formats(task.oracle(prompts.reference))
    words = good.split()
    shared = {"query": "q", "item": tickets[0], "annotator": "ann"}
    short = " ".join(words[1:])
    label_records = [
        Pairwise(**shared, answers=(good, other), choice="first", displayed=(1, 0)),
        Ranking(**shared, answers=(good, other, short), order=(2, 0, 1)),
        Ranking(**shared, answers=(good, other), order=(1, 0)),
        Rating(**shared, answers=(good,), rating=4.0),
        Approval(**shared, answers=(other,), approved=False),
        Correction(**shared, answers=(other,), corrected=good),
        Demonstration(**shared, answers=(other, good), demonstration=good),
        Critique(**shared, answers=(good,), start=0, stop=1, verdict="bad"),
    ]
    batch = labelled(reversed(label_records), task)
    text = task.answer.formats(batch.answers.response)
    assert sorted(text) == sorted({good, other, short})
    row = {words: number for number, words in enumerate(text)}
    found = {type(one): one for one in batch.labels}
    assert found[Pairs].shown_first.tolist() == [False]
    assert found[Pairs].first.tolist() == [row[good]]
    assert sorted(found[Rankings].order.tolist()) == sorted(
        [[row[short], row[good], row[other]], [row[other], row[good], -1]]
    )
    assert found[Ratings].rating.tolist() == [0.75]
    assert (found[Approvals].answer.tolist(), found[Approvals].approved.tolist()) == ([row[other]], [False])
    assert (found[Corrections].answer.tolist(), found[Corrections].corrected.tolist()) == (
        [row[other]],
        [row[good]],
    )
    assert (found[Demonstrations].answer.tolist(), found[Demonstrations].others.tolist()) == (
        [row[good]],
        [[row[other]]],
    )
    assert (found[Critiques].without.tolist(), found[Critiques].good.tolist()) == ([row[short]], [False])


def test_a_distribution_keeps_every_bit() -> None:
    _, tickets, first, second = drawn("MMClassify-digits-v0", answer="distribution")
    label_records = pairwise_records(
        tickets.task, list(tickets), first, second, torch.zeros(N, dtype=torch.int64), annotators=["a"]
    )
    batch = labelled(label_records, tickets.task)
    assert torch.equal(batch.answers.response[batch.pairs.second], second)


def one(item: str, answers: tuple[str, str] = ("yes", "no"), annotator: str = "ann") -> Pairwise:
    return Pairwise(query="q7", item=item, annotator=annotator, answers=answers, choice="tie")


def test_only_the_asked_split_counts() -> None:
    task = make_task("vqa")
    _, train = draw_prompts("MMVQA-v0", 3, "train")
    _, test = draw_prompts("MMVQA-v0", 2, "test")
    label_records = [one(item) for item in (*train, *test)]
    assert len(labelled(label_records, task, split="test").pairs) == 2
    assert len(labelled(label_records, task).pairs) == 5
    with pytest.raises(ValueError, match="no records on items of split 'validation'"):
        labelled(label_records, task, split="validation")


def test_items_may_be_named_by_their_content() -> None:
    task = make_task("vqa")
    name = "sha256:" + "0" * 64
    batch = labelled([one(name)], task, items={name: 5})
    question = task.batch(torch.tensor([5]), ["question"])["question"]
    assert torch.equal(batch.answers.contexts["question"], question)
    with pytest.raises(ValueError, match=f"q7 speaks of {name}, which is unknown"):
        labelled([one(name)], task)
    with pytest.raises(ValueError, match="=10000000 is no item of dataset 'scenes'"):
        labelled([one(name)], task, items={name: 10_000_000})


def test_what_does_not_fit_is_refused_by_name() -> None:
    task = make_task("vqa")
    _, tickets = draw_prompts("MMVQA-v0", 1)
    _, others = draw_prompts("MMClassify-v0", 1)
    _, changed = draw_prompts("MMVQA-v0", 1, kinds=("count",))
    cases = [
        ([one(tickets[0]), one(others[0])], {}, "record q7 is of MMClassify-v0, others of MMVQA-v0"),
        ([one(tickets[0])], {"environment": "MMCaption-v0"}, "is of MMVQA-v0, others of MMCaption-v0"),
        ([one(changed[0])], {}, "the ticket was made on dataset 'scenes'"),
        ([one("mm1:nothing")], {}, "record q7: ticket 'mm1:nothing' is not as it was made"),
        ([one(tickets[0], ("yes", "yess"))], {}, "record q7 of ann: response: answer 'yess' is unknown"),
        ([one(tickets[0])], {"annotators": ["bob"]}, "annotator 'ann', who is not among those given"),
        ([], {}, "there are no records"),
    ]
    for records, arguments, sentence in cases:
        with pytest.raises(ValueError, match=sentence):
            labelled(records, task, **arguments)


def test_indices_of_annotators_can_be_kept() -> None:
    _, tickets = draw_prompts("MMVQA-v0", 1)
    batch = labelled([one(tickets[0], annotator="bob")], tickets.task, annotators=["zoe", "bob"])
    assert batch.annotators == ("zoe", "bob")
    assert batch.pairs.annotator.tolist() == [1]


def test_a_question_has_one_name_wherever_it_is_asked() -> None:
    _, tickets = draw_prompts("MMVQA-v0", 1)
    yes, no = torch.tensor([0]), torch.tensor([1])
    names = set()
    for seconds, who in ((1.0, "ann"), (2.0, "bob")):
        (record,) = pairwise_records(tickets.task, list(tickets), yes, no, yes, annotators=[who], at=seconds)
        names.add(record.query)
    (swapped,) = pairwise_records(tickets.task, list(tickets), no, yes, yes, annotators=["ann"])
    (other,) = pairwise_records(
        tickets.task, list(tickets), yes, no, yes, annotators=["ann"], sampler="edits"
    )
    assert len(names) == 1
    assert not names & {swapped.query, other.query}


def test_no_pairs_give_no_records() -> None:
    nothing = torch.zeros(0, dtype=torch.int64)
    assert pairwise_records(make_task("vqa"), [], nothing, nothing, nothing, annotators=["ann"]) == []


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"first": torch.tensor([0])}, "first has 1 rows: give one for each of 2 items"),
        ({"choice": torch.tensor([0, 1, 1])}, "choice has 3 rows: give one for each of 2 items"),
        ({"choice": torch.zeros(2, 1, 1, dtype=torch.int64)}, r"choice has shape \(2, 1, 1\)"),
        ({"choice": torch.tensor([0, -1])}, "choice goes from -1 to 0: give 0 to 3"),
        ({"annotator": torch.tensor([0, -1])}, "annotator goes from -1 to 0: give 0 to 1"),
        ({"annotator": torch.tensor([2, 0])}, "annotator goes from 0 to 2: give 0 to 1"),
        ({"latency": torch.ones(2, 1)}, r"latency has shape \(2, 1\): give \(2,\)"),
    ],
)
def test_shapes_and_indices_that_do_not_fit_are_refused(
    changed: dict[str, torch.Tensor], sentence: str
) -> None:
    two = torch.tensor([0, 1])
    given = {"first": two, "second": 1 - two, "choice": two, **changed}
    first, second, choice = (given.pop(name) for name in ("first", "second", "choice"))
    with pytest.raises(ValueError, match=sentence):
        pairwise_records(
            make_task("vqa"), ["mm1:a", "mm1:b"], first, second, choice, annotators=["ann", "bob"], **given
        )
