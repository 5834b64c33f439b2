"""Reward models fitted to human labels of captions, which score captions of other pictures.

There are no pixels for these sets: the references stand for the picture. A model encodes their words, or is
given the numbers of ``benchmarks.experiments.people.features``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.experiments.people.features import Features
from benchmarks.experiments.people.labels import HumanLabels
from feedback.losses import Likelihood
from feedback.preferences import Answers, Approvals, Labelled, Labels, Pairs, Ratings
from feedback.reward_models import FitConfig, ModelConfig, fit
from feedback.reward_models.spaces import ModelSpaces
from mm_envs.spaces import Tokens, Vector
from mm_envs.tokenizers import Vocabulary

Numbers: TypeAlias = "NDArray[np.float64]"
Rows: TypeAlias = "NDArray[np.int64]"

FOLDS = 5
_MIN_CAPTIONS = 5  # with a word, for it to be in the vocabulary
_REFERENCE_WORDS, _CANDIDATE_WORDS = 64, 24
_MAX_DEVIATION = 5.0
_MANY = 10_000
_REFERENCE = 1024
# How many levels the scale of a set's ratings has; 0: shares of people who approve.
LEVELS = {"Flickr8k experts": 4, "Flickr8k crowd": 0, "THumB": 9, "THumB without people's captions": 9}


TEXT = "text"
METRICS = "metrics"
MEANING = "metrics and meaning"
# The inputs of a reward model: context; answer.
READERS = {
    TEXT: "the words of the references; the words of the caption",
    METRICS: "numbers of the caption and its references, as context and as answer",
    MEANING: "the same, and the agreement of caption and references by direction of meaning in the answer",
}


def folds(captions: HumanLabels, seed: int, count: int = FOLDS) -> Rows:
    """The fold of every picture, (images,) int64: equally many pictures each."""
    return np.random.default_rng(seed).permutation(captions.images) % count


def out_of_fold(
    captions: HumanLabels, counted: Features, reader: str, config: FitConfig, count: int = FOLDS
) -> Numbers:
    """Scores of all captions, (captions,), each by a model that was not fitted to labels of its picture.

    An eighth of the pictures of a training part decides when to stop. Scores of all folds have one scale: a
    model is normalised on captions that it was fitted to.

    Args:
        captions: The set.
        counted: The numbers of its captions.
        reader: The inputs of the models, one of ``READERS``.
        config: The settings; its seed decides the folds, too.
        count: The number of folds.
    """
    fold = folds(captions, config.seed, count)[captions.image]
    everything, spaces = _labelled(captions, counted, reader)
    scores = np.zeros(len(captions.candidates))
    pictures = np.random.default_rng(config.seed + 1).random(captions.images)[captions.image]
    for held_out in range(count):
        seen = fold != held_out
        stop = seen & (pictures < 0.125)
        few = np.random.default_rng(config.seed).permutation(np.flatnonzero(seen & ~stop))[:_REFERENCE]
        fitted = fit(
            _of(everything, torch.tensor(seen & ~stop)),
            spaces,
            replace(config, seed=config.seed * count + held_out),
            validation=_of(everything, torch.tensor(stop)),
            likelihood=Likelihood(levels=LEVELS.get(captions.name) or 2),
            reference=everything.answers.take(torch.tensor(few)),
        )
        rows = torch.tensor(np.flatnonzero(~seen))
        scores[rows] = fitted.model.predict(everything.answers.take(rows)).mean(0).double().numpy()
    return scores


def _of(labelled: Labelled, answers: Tensor) -> Labelled:
    """The labels of some answers, (a,) bool; both answers of a pair are about one picture."""
    kept = []
    for labels in labelled.labels:
        row = labels.first if isinstance(labels, Pairs) else labels.answer  # type: ignore[attr-defined]
        kept.append(labels.take(answers[row]))
    return replace(labelled, labels=tuple(kept))


def _labelled(captions: HumanLabels, counted: Features, reader: str) -> tuple[Labelled, ModelSpaces]:
    answers, spaces = _answers(captions, counted, reader)
    if captions.paired:
        labels, people = _pairs(captions)
    elif LEVELS[captions.name]:
        labels, people = _ratings(captions)
    else:
        labels, people = _approvals(captions)
    return Labelled(answers, tuple(f"person {i}" for i in range(people)), (labels,)), spaces


def _answers(captions: HumanLabels, counted: Features, reader: str) -> tuple[Answers, ModelSpaces]:
    """The captions as answers; each has a context of its own where that differs from caption to caption."""
    if reader == TEXT:
        return _texts(captions)
    rows = torch.arange(len(captions.candidates))
    numbers = _standard(counted.values)
    answer = numbers if reader == METRICS else torch.cat([numbers, _standard(counted.agreement)], 1)
    spaces = ModelSpaces({"counted": _space(numbers)}, _space(answer))
    return Answers({"counted": numbers}, rows, answer), spaces


def _texts(captions: HumanLabels) -> tuple[Answers, ModelSpaces]:
    """A context is the joined references of a picture."""
    vocabulary = _vocabulary(captions)
    texts = [" ".join(known) for known in captions.references]
    index = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    references, candidates = Tokens(_REFERENCE_WORDS, vocabulary), Tokens(_CANDIDATE_WORDS, vocabulary)
    contexts = {"references": _encoded(list(index), references)}
    rows = torch.tensor([index[text] for text in texts])
    answers = Answers(contexts, rows, _encoded(captions.candidates, candidates))
    return answers, ModelSpaces({"references": references}, candidates)


def _standard(values: Numbers) -> Tensor:
    """Columns of mean 0 and standard deviation 1, clipped at ``_MAX_DEVIATION``."""
    values = (values - values.mean(0)) / np.maximum(values.std(0), 1e-6)
    return torch.tensor(values.clip(-_MAX_DEVIATION, _MAX_DEVIATION), dtype=torch.float32)


def _space(values: Tensor) -> Vector:
    return Vector(values.shape[1], -_MAX_DEVIATION, _MAX_DEVIATION)


def _vocabulary(captions: HumanLabels) -> Vocabulary:
    spread: dict[str, int] = {}
    for text in [*captions.candidates, *(one for known in captions.references for one in set(known))]:
        for word in set(text.split()):
            spread[word] = spread.get(word, 0) + 1
    return Vocabulary.of(sorted(word for word, count in spread.items() if count >= _MIN_CAPTIONS))


def _encoded(texts: Sequence[str], space: Tokens) -> Tensor:
    return torch.stack([space.vocabulary.encode(text, length=space.shape[0]) for text in texts])


def _pairs(captions: HumanLabels) -> tuple[Labels, int]:
    """Every vote is a label: FIRST, SECOND, or TIE."""
    people = max(map(len, captions.given))
    votes = [(row, who, vote) for row, given in enumerate(captions.given) for who, vote in enumerate(given)]
    row, who, vote = torch.tensor(votes).T
    choice = torch.tensor([1, 2, 0])[vote + 1]
    first, second = torch.tensor(captions.first)[row], torch.tensor(captions.second)[row]
    return Pairs(who, first, second, choice, torch.ones_like(row, dtype=torch.bool)), people


def _ratings(captions: HumanLabels) -> tuple[Labels, int]:
    values = torch.tensor(captions.values, dtype=torch.float32)
    who = torch.zeros(len(values), dtype=torch.int64)
    return Ratings(who, torch.tensor(captions.first), values), 1


def _approvals(captions: HumanLabels) -> tuple[Labels, int]:
    """Every person who looked is a label."""
    row, who, yes = torch.tensor(list(_votes(captions))).T
    return Approvals(who, torch.tensor(captions.first)[row], yes.bool()), int(who.max()) + 1


def _votes(captions: HumanLabels) -> Iterator[tuple[int, int, bool]]:
    for row, (share, people) in enumerate(zip(captions.values, captions.people, strict=True)):
        approving = round(share * people)
        yield from ((row, who, who < approving) for who in range(people))


def config(captions: HumanLabels, reader: str, seed: int, quick: bool = False) -> FitConfig:
    """How the reward models of a set are fitted; larger steps where there are many captions.

    Two members, but one of those that read words: they take longest.
    """
    many = len(captions.candidates) > _MANY
    return FitConfig(
        ModelConfig(features=64, reader="encoder", width=32),
        members=1 if quick or reader == TEXT else 2,
        epochs=1 if quick else 10 if many else 30,
        batch=512 if many else 128,
        learning_rate=3e-3 if many else 2e-3,
        weight_decay=0.05,
        patience=4,
        seed=seed,
    )
