"""Captions of scenes: the tensor grader against plain Python, and the references against the grader."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.baselines.plain_caption import plain_scene, plain_utility
from mm_envs.data.scenes.captions import (
    MAX_WORDS,
    CaptionGrader,
    caption_vocabulary,
    default_max_tokens,
    part_modalities,
    references,
)
from mm_envs.data.scenes.layout import SceneConfig, SceneGraph, scene
from mm_envs.random import fold, integers
from mm_envs.tokenizers import EOS, PAD, compact

CONFIGS = [
    SceneConfig(),
    SceneConfig(objects=(1, 1)),
    SceneConfig(objects=(1, 3), sizes=1),
    SceneConfig(objects=(2, 4), textures=3),
    SceneConfig(objects=(4, 4), colours=2, shapes=2, textures=2),
]


def graphs(config: SceneConfig, n: int, start: int = 0) -> SceneGraph:
    return scene(config, 0, fold(torch.arange(start, start + n), 3))


def lengths(tokens: Tensor) -> Tensor:
    return ((tokens == EOS) | (tokens == PAD)).long().cumsum(-1).eq(0).sum(-1)


def mutated(captions: Tensor, words: int, hashes: Tensor) -> Tensor:
    """Captions with some words replaced by random ones, cut out, or swapped with a neighbour."""
    at = torch.arange(captions.shape[1])
    coins, drawn = (fold(hashes[:, None], at, 1), integers(fold(hashes[:, None], at, 2), words - 2) + 2)
    strength = integers(fold(hashes, 3), 4)[:, None] * 5
    replaced = torch.where(integers(coins, 100) < strength, drawn, captions)
    dropped = compact(torch.where(integers(fold(coins, 4), 100) < strength // 3, PAD, replaced), len(at))
    turn = integers(fold(hashes, 5), len(at))[:, None]
    swapped = dropped.gather(1, torch.where(at == turn, (at + 1) % len(at), at))
    return torch.where(integers(fold(hashes, 6), 4)[:, None] == 0, swapped, dropped)


def answers(config: SceneConfig, graph: SceneGraph) -> Tensor:
    """Three captions of each scene: random words, a changed reference of it, and one of another scene."""
    n, words, width = len(graph), len(caption_vocabulary(config)), default_max_tokens(config)
    at, hashes = torch.arange(width), fold(torch.arange(n), 9)
    noise = integers(fold(hashes[:, None], at), words)
    known = references(graph, config, width)
    chosen = known[torch.arange(n), integers(fold(hashes, 1), known.shape[1])]
    return torch.cat(
        [noise, mutated(chosen, words, fold(hashes, 2)), mutated(chosen.roll(1, 0), words, hashes)]
    )


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_agrees_exactly_with_plain_python(config: SceneConfig) -> None:
    n = 150 if config.maximum == 4 else 600
    graph, grader, vocabulary = graphs(config, n), CaptionGrader(config), caption_vocabulary(config)
    tokens = answers(config, graph)
    judgement = grader.score(tokens, lengths_to_eos(tokens), grader.facts(graph).repeat(3, 1))
    scenes = [plain_scene(graph, row, config) for row in range(n)]
    for row, words in enumerate(tokens.tolist()):
        utility, parts = plain_utility(words, scenes[row % n], vocabulary)
        assert judgement.reward[row].item() == np.float32(utility), vocabulary.decode(words)
        assert {name: part[row].item() for name, part in judgement.parts.items()} == {
            name: np.float32(part) for name, part in parts.items()
        }, vocabulary.decode(words)
    spread = judgement.reward.unique()
    assert len(spread) > 5, "the captions are too alike to test anything"


def lengths_to_eos(tokens: Tensor) -> Tensor:
    """The length as an engine counts it: everything before the first <eos>, <pad> included."""
    return (tokens == EOS).long().cumsum(1).eq(0).sum(1)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_references_are_true_and_the_first_is_perfect(config: SceneConfig) -> None:
    graph, grader, width = graphs(config, 400), CaptionGrader(config), default_max_tokens(config)
    known = references(graph, config, width)
    facts = grader.facts(graph)
    assert known.shape[1] == (4 if config.maximum > 1 else 2)
    for number in range(known.shape[1]):
        caption = known[:, number]
        judgement = grader.score(caption, lengths(caption), facts)
        assert (judgement.parts["invented"] == 0).all()
        assert (judgement.parts["grammar"] == 0).all()
        assert (judgement.reward > 0).all()
        assert (caption == EOS).sum(1).eq(1).all()
    assert (grader.score(known[:, 0], lengths(known[:, 0]), facts).reward == 1).all()
    # One word to spare, and no more, behind the longest caption and its <eos>.
    assert lengths(known[:, 0]).max() <= width - 2
    assert default_max_tokens(SceneConfig()) == 12


def test_references_that_do_not_fit_are_cut() -> None:
    config = SceneConfig()
    whole, cut = (references(graphs(config, 50), config, length) for length in (20, 5))
    assert torch.equal(whole[..., :5], cut)
    assert (whole[..., 11:] == PAD).all()


@pytest.mark.parametrize("config", [SceneConfig(), SceneConfig(objects=(2, 4), textures=3)], ids=str)
def test_one_row_is_scored_as_among_many(config: SceneConfig) -> None:
    graph, grader = graphs(config, 64), CaptionGrader(config)
    facts, tokens = grader.facts(graph), references(graph, config, 12).roll(1, 0)[:, 1]
    many = grader.score(tokens, lengths(tokens), facts)
    for row in range(0, 64, 7):
        one = slice(row, row + 1)
        single = graph.select(one)
        alone = grader.score(tokens[one], lengths(tokens[one]), grader.facts(single))
        assert torch.equal(alone.reward, many.reward[one])
        assert all(torch.equal(part, many.parts[name][one]) for name, part in alone.parts.items())
        assert torch.equal(references(single, config, 12), references(graph, config, 12)[one])


def test_utility_is_the_clamped_sum_of_its_parts() -> None:
    config = SceneConfig(objects=(1, 3))
    graph, grader = graphs(config, 500), CaptionGrader(config)
    tokens = answers(config, graph)
    judgement = grader.score(tokens, lengths_to_eos(tokens), grader.facts(graph).repeat(3, 1))
    assert tuple(judgement.parts) == grader.parts == tuple(part_modalities(config))
    total = torch.stack(list(judgement.parts.values())).sum(0)
    torch.testing.assert_close(judgement.reward, total.clamp(0, 1))
    assert judgement.reward.dtype == torch.float32
    assert (total < 0).any()


def test_hedging_does_not_pay() -> None:
    config = SceneConfig()
    graph, grader, vocabulary = graphs(config, 300), CaptionGrader(config), caption_vocabulary(config)

    def mean(caption: str) -> float:
        tokens = vocabulary.encode(caption, length=12).expand(300, 12)
        return grader.score(tokens, lengths(tokens), grader.facts(graph)).reward.mean().item()

    assert mean("a small large circle") < mean("a small circle")
    assert mean("a red blue circle") < mean("a red circle")
    assert mean("a circle left above a circle") < mean("a circle left of a circle")
    assert mean("") == mean("a a a") == 0


def test_words_behind_the_length_do_not_count() -> None:
    config = SceneConfig()
    graph, grader = graphs(config, 100), CaptionGrader(config)
    facts, tokens = grader.facts(graph), references(graph, config, 12)[:, 0]
    length = lengths(tokens)
    rubbish = torch.where(torch.arange(12) >= length[:, None], 7, tokens)
    assert torch.equal(
        grader.score(tokens, length, facts).reward, grader.score(rubbish, length, facts).reward
    )


def test_captions_beyond_the_counters_are_refused() -> None:
    config = SceneConfig()
    grader = CaptionGrader(config)
    tokens = torch.zeros((1, MAX_WORDS + 1), dtype=torch.int64)
    with pytest.raises(ValueError, match="lower max_tokens"):
        grader.score(tokens, torch.tensor([3]), grader.facts(graphs(config, 1)))


def test_counters_hold_the_longest_caption_of_one_word() -> None:
    # Every sum at its largest: nothing may spill into the neighbouring counter.
    config = SceneConfig(objects=(4, 4), textures=3)
    graph, grader, vocabulary = graphs(config, 1), CaptionGrader(config), caption_vocabulary(config)
    scenes = plain_scene(graph, 0, config)
    for word in vocabulary.words[2:]:
        tokens = vocabulary.encode([word] * MAX_WORDS)[None]
        judgement = grader.score(tokens, torch.tensor([MAX_WORDS]), grader.facts(graph))
        _, parts = plain_utility(tokens[0].tolist(), scenes, vocabulary)
        assert {name: part.item() for name, part in judgement.parts.items()} == {
            name: np.float32(part) for name, part in parts.items()
        }, word


def test_parts_know_their_modality() -> None:
    assert part_modalities(SceneConfig(hide_colour=True), audio=True)["colour"] == ("audio",)
    heard = part_modalities(SceneConfig(textures=2), audio=True)
    assert heard["shape"] == heard["colour"] == heard["invented"] == ("image", "audio")
    assert heard["relation"] == heard["texture"] == ("image",)
    assert heard["grammar"] == ()
