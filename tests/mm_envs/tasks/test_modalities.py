"""Every modality matters: a policy without one loses much utility, however well the others are used.

The best answer without a modality is estimated from many items: learned on one half of them, tried on the
other, given exactly what the other modalities show. The names of colours and shapes do not matter to that
answer (scenes are symmetric in them), so evidence and answer are renamed in order of their occurrence;
without this, hardly any evidence would occur twice and the guess would be poorer than it need be.
"""

from __future__ import annotations

from functools import lru_cache

import pytest
import torch
from torch import Tensor

from mm_envs import CONFIGURATIONS
from mm_envs.answers import Vector
from mm_envs.data.scenes import Scenes
from mm_envs.data.scenes.layout import COLOURS, SHAPES
from mm_envs.data.scenes.questions import plural
from mm_envs.tasks import Task, make_task
from mm_envs.tasks.baselines import best_constant_words, conditional_majority
from mm_envs.tasks.caption import Caption
from mm_envs.tasks.classify import Classify
from mm_envs.tasks.ground import Ground
from mm_envs.tasks.guess import Guess
from mm_envs.tasks.retrieve import Retrieve

ITEMS = 50_000
ENOUGH = 0.2
COLOUR, SHAPE = 1000, 2000  # symbols: names of colours and of shapes, unlike all other numbers
CONDITIONS, FIT = 24, 96  # captions: how many conditions are tried, on how many items each

SYMBOLS = {name: COLOUR + i for i, name in enumerate(COLOURS)}
SYMBOLS |= {name: SHAPE + i for i, shape in enumerate(SHAPES) for name in (shape, plural(shape))}

Items = dict[str, Tensor]


@lru_cache(maxsize=2)
def made(name: str) -> tuple[Task, Items]:
    """The task of an id and many of its training items, no picture and no sound among them."""
    arguments = dict(CONFIGURATIONS[name])
    if arguments.get("dataset") != "digits":
        arguments["items"] = ITEMS
    task = make_task(**arguments)
    fields = {*task.reference, *task.context.values()} - {"image", "audio", "candidates"}
    fields |= set(getattr(task.dataset, "graph_fields", ()))
    return task, task.batch(torch.tensor(task.dataset.range("train")), fields)


# What each modality shows --------------------------------------------------------------------------------


def shown(task: Task, items: Items, modality: str) -> Tensor:
    """All that a modality says of each item, as symbols, int64 of shape (n, columns)."""
    if modality not in ("image", "audio"):
        words = task.context_spaces[modality].vocabulary.words
        return symbols(words)[items[modality]]
    assert isinstance(task.dataset, Scenes)
    shape, colour = (
        torch.where(items["present"], base + items[name], -1)
        for base, name in ((SHAPE, "shape"), (COLOUR, "colour"))
    )
    if modality == "audio":  # whose sound comes when is chance: a bag of pairs of shape and colour
        pairs = (shape * 10_000 + colour).sort(1).values
        return torch.cat([pairs // 10_000, pairs % 10_000], 1)
    seen = [shape, items["size"], items["texture"], items["quadrant"]]
    return torch.cat(seen if task.dataset.config.hide_colour else [colour, *seen], 1)


def symbols(words: tuple[str, ...]) -> Tensor:
    return torch.tensor([SYMBOLS.get(word, i) for i, word in enumerate(words)])


def evidence_without(task: Task, items: Items, modality: str) -> Tensor:
    """What all the other modalities say."""
    nothing = torch.zeros(len(next(iter(items.values()))), 1, dtype=torch.int64)
    return torch.cat([nothing, *(shown(task, items, key) for key in task.modalities if key != modality)], 1)


def renamed(evidence: Tensor, answer: Tensor) -> tuple[Tensor, Tensor]:
    """Evidence and answer with colours and shapes named in the order of their first occurrence."""
    rows = torch.cat([evidence, answer[:, None]], 1)
    for base, size in ((COLOUR, len(COLOURS)), (SHAPE, len(SHAPES))):
        here = evidence[:, :, None] == base + torch.arange(size)
        first = torch.where(here.any(1), here.to(torch.uint8).argmax(1), evidence.shape[1])
        name = base + first.argsort(dim=1, stable=True).argsort(1)
        ours = (rows >= base) & (rows < base + size)
        rows = torch.where(ours, name.gather(1, (rows - base).clamp(0, size - 1)), rows)
    return rows[:, :-1], rows[:, -1]


# The best answer to what is shown ------------------------------------------------------------------------


def utility_of_choice(evidence: Tensor, answer: Tensor, most: int = 1) -> float:
    """The utility of the best answer to the evidence, fitted to even items and tried on odd ones.

    The answer may be a set of up to ``most`` words, judged by F1: k words, one of them right, get
    2 / (k + 1).
    """
    group = evidence.unique(dim=0, return_inverse=True)[1]
    values, answer = answer.unique(return_inverse=True)
    counts = torch.zeros(int(group.max()) + 1, len(values), dtype=torch.float64)
    counts.index_put_((group[::2], answer[::2]), torch.ones(()).double(), accumulate=True)
    counts = torch.where(counts.any(1, keepdim=True), counts, counts.sum(0))  # never seen: as all others
    rank = counts.argsort(dim=1, descending=True, stable=True)
    worth = 2 / (torch.arange(min(most, len(values))) + 2.0)
    hits = counts.gather(1, rank).cumsum(1)[:, : len(worth)]
    size = (hits * worth).argmax(1)
    position = rank.argsort(1)[group[1::2], answer[1::2]]
    chosen = size[group[1::2]]
    return torch.where(position <= chosen, worth[chosen], 0).mean().item()


def utility_of_distribution(task: Classify, items: Items) -> float:
    """The utility of the frequencies of the classes: the best distribution where nothing is shown."""
    logits = task.blind({}, items, items)
    return task.utility(logits, None, items).reward.mean().item()


def utility_of_caption(task: Caption, items: Items, evidence: Tensor) -> float:
    """The utility of the best caption of a condition, found by local search, over some conditions."""
    group = evidence.unique(dim=0, return_inverse=True)[1]
    means = []
    for number in group[:CONDITIONS].unique():
        rows = (group == number).nonzero()[:, 0]
        fit, rest = (rows[half::2][:FIT] for half in range(2))
        candidates = items["captions"][fit[:16]].flatten(0, 1)
        best = best_constant_words(
            lambda captions, fit=fit: mean_utility(task, captions, items["facts"][fit]),
            candidates,
            len(task.answer.vocabulary),
        )
        assert len(rest) > FIT / 4
        means.append(mean_utility(task, best[None], items["facts"][rest]))
    return torch.cat(means).mean().item()


def mean_utility(task: Caption, captions: Tensor, facts: Tensor) -> Tensor:
    """The mean utility of each caption over some scenes."""
    pairs = captions.repeat_interleave(len(facts), 0)
    reference = {"facts": facts.repeat(len(captions), 1)}
    utility = task.utility(*task.answer.close(pairs), reference).reward
    return utility.view(len(captions), len(facts)).double().mean(1)


def without_in_retrieval(task: Retrieve, items: Items, without: str) -> float:
    """Without the caption or without the pictures nothing tells the candidates apart: a constant index."""
    constant = task.blind({}, items, items)
    return task.utility(constant, None, items).reward.mean().item()


def without_in_grounding(task: Ground, items: Items, without: str) -> float:
    """Without the phrase: the box of either object, or one around both. Without the picture: the best box of
    the training half for each phrase.
    """
    if without == "phrase":
        boxes = items["boxes"]
        both = torch.cat([boxes[..., :2].amin(1), boxes[..., 2:].amax(1)], 1)
        tried = [boxes[:, 0], boxes[:, 1], both]
    else:
        _, group = torch.unique(items["phrase"], dim=0, return_inverse=True)
        tried = [torch.zeros(len(group), 4)]
        for number in range(CONDITIONS):
            rows = (group == number).nonzero()[:, 0]
            known = {key: value[rows[::2]] for key, value in items.items()}
            tried[0][rows] = task.blind({}, known, {"row": rows})[:, 0]
        rows = (group < CONDITIONS).nonzero()[:, 0]
        tried, items = [tried[0][rows]], {key: value[rows] for key, value in items.items()}
    return max(task.utility(box[:, None], None, items).reward.mean().item() for box in tried)


def without_in_guessing(task: Guess, items: Items, without: str) -> float:
    """Without the picture: the best question, and the most frequent name for each reply to it."""
    found = []
    for question in range(items["replies"].shape[1]):
        reply = items["replies"][:, question, None]
        name = conditional_majority(reply[::2], items["name"][::2], reply[1::2])
        answer = torch.stack([torch.full_like(name, question), name], 1)
        half = {key: value[1::2] for key, value in items.items()}
        found.append(task.utility(answer, None, half).reward.mean().item())
    return max(found)


WITHOUT = {Retrieve: without_in_retrieval, Ground: without_in_grounding, Guess: without_in_guessing}


def best_utility(name: str, without: str) -> float:
    """The utility of the best answer that lacks a modality."""
    task, items = made(name)
    if type(task) in WITHOUT:
        return WITHOUT[type(task)](task, items, without)
    evidence = evidence_without(task, items, without)
    if isinstance(task, Caption):
        return utility_of_caption(task, items, evidence)
    if isinstance(task, Classify) and isinstance(task.answer, Vector):
        assert evidence.unique(dim=0).shape[0] == 1
        return utility_of_distribution(task, items)
    (field,) = {"label", "answer"} & set(task.reference)
    answer = symbols(task.classes if isinstance(task, Classify) else task.answers)[items[field]]
    return utility_of_choice(*renamed(evidence, answer), task.horizon)


CASES = [
    (name, modality) for name in CONFIGURATIONS for modality in make_task(**CONFIGURATIONS[name]).modalities
]


@pytest.mark.parametrize(("name", "modality"), CASES)
def test_without_a_modality_much_utility_is_lost(name: str, modality: str) -> None:
    assert best_utility(name, modality) <= 1 - ENOUGH


@pytest.mark.parametrize("name", ["MMClassify-v0", "MMClassify-sound-v0", "MMVQA-v0", "MMVQA-sound-v0"])
def test_with_all_modalities_the_estimate_finds_the_answer(name: str) -> None:
    # It would prove nothing if it missed answers that are shown.
    assert best_utility(name, "none") > 0.99
