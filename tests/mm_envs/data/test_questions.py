"""Questions about scenes: the scene decides every answer, and neither half of the pair helps alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mm_envs.data.scenes.layout import COLOURS, SHAPES, SceneConfig, SceneGraph, decode, scene
from mm_envs.data.scenes.naming import NAME_LENGTH, name_by_quadrant, name_by_shape, name_vocabulary
from mm_envs.data.scenes.questions import (
    QUESTION_KINDS,
    Questions,
    answers,
    ask,
    choices,
    pick,
    plural,
    question_length,
    question_vocabulary,
)
from mm_envs.random import fold, integers

CONFIGS = [
    SceneConfig(),
    SceneConfig(objects=(1, 1)),
    SceneConfig(objects=(1, 4), textures=2),
    SceneConfig(objects=(3, 3), colours=3, shapes=2),
    SceneConfig(objects=(2, 3), sizes=1, distinct_shapes=True),
]


def graphs(config: SceneConfig, n: int) -> SceneGraph:
    return scene(config, 0, fold(torch.arange(n), 3))


# A plain reader of questions ------------------------------------------------------------------------------


def reply(question: str, graph: SceneGraph, row: int) -> str:
    """The answer to a question, read word by word; asserts that every reference is unique."""
    objects = [
        {
            "shape": SHAPES[int(graph.shape[row, i])],
            "colour": COLOURS[int(graph.colour[row, i])],
            "size": int(graph.size[row, i]),
            "x": int(graph.quadrant[row, i]) % 2,
            "y": int(graph.quadrant[row, i]) // 2,
        }
        for i in range(int(graph.present[row].sum()))
    ]

    def only(*words: str) -> dict[str, object]:
        found = [item for item in objects if set(words) <= {item["shape"], item["colour"]}]
        assert len(found) == 1, f"{words} is not unique"
        return found[0]

    def yes(truth: bool) -> str:
        return "yes" if truth else "no"

    match question.split():
        case ["is", "there", "a", colour, shape]:
            return yes(any((item["colour"], item["shape"]) == (colour, shape) for item in objects))
        case ["how", "many", colour, "objects"]:
            return str(sum(item["colour"] == colour for item in objects))
        case ["how", "many", shapes]:
            return str(sum(plural(str(item["shape"])) == shapes for item in objects))
        case ["what", "colour", "is", "the", shape, ",", one, "or", two]:
            colour = str(only(shape)["colour"])
            assert one != two
            assert colour in (one, two)
            return colour
        case ["what", "shape", "is", "the", colour, "object", ",", one, "or", two]:
            shape = str(only(colour)["shape"])
            assert one != two
            assert shape in (one, two)
            return shape
        case ["is", "the", c1, s1, ("larger" | "smaller") as word, "than", "the", c2, s2]:
            first, second = only(c1, s1)["size"], only(c2, s2)["size"]
            assert first != second
            return yes((first > second) == (word == "larger"))  # type: ignore[operator]
        case ["is", "the", c1, s1, ("left" | "right") as word, "of", "the", c2, s2]:
            left, right = only(c1, s1)["x"], only(c2, s2)["x"]
            assert left != right
            return yes((left < right) == (word == "left"))  # type: ignore[operator]
        case ["is", "the", c1, s1, ("above" | "below") as word, "the", c2, s2]:
            top, bottom = only(c1, s1)["y"], only(c2, s2)["y"]
            assert top != bottom
            return yes((top < bottom) == (word == "above"))  # type: ignore[operator]
    raise AssertionError(f"{question!r} is not a question")


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_the_scene_decides_every_answer(config: SceneConfig) -> None:
    n, vocabulary, names = 1500, question_vocabulary(config), answers(config)
    graph = graphs(config, n)
    asked = ask(graph, config, fold(torch.arange(n), 4))
    assert asked.tokens.shape == (n, question_length(config))
    for row in range(n):
        question = vocabulary.decode(asked.tokens[row])
        assert reply(question, graph, row) == names[int(asked.answer[row])], question
    met = set(asked.kind.tolist())
    assert met >= {0} if config.maximum == 1 else len(met) >= 4


def test_wanted_kinds_are_asked_where_they_can_be() -> None:
    config = SceneConfig()
    graph, hashes = graphs(config, 2000), fold(torch.arange(2000), 5)
    for number in range(len(QUESTION_KINDS)):
        forced = ask(graph, config, hashes, kind=torch.full((2000,), number)).kind
        drawn = ask(graph, config, hashes, allowed=[number]).kind
        assert torch.equal(forced, drawn)
        assert set(forced.tolist()) <= {0, number}
        assert (forced == number).any()
    some = ask(graph, config, hashes, allowed=[2, 4])
    assert set(some.kind.tolist()) == {0, 2, 4}


# Balance --------------------------------------------------------------------------------------------------


def accuracy_of_guess(evidence: Tensor, asked: Questions, config: SceneConfig) -> float:
    """How often the usual answer to the same evidence is right, learned on one half, tried on the other.

    So chance patterns of a finite sample do not flatter the guess.
    """
    _, group = evidence.unique(dim=0, return_inverse=True)
    size = len(answers(config))
    half = torch.arange(len(group)) % 2 == 0
    flat = (group * size + asked.answer)[half]
    counts = torch.bincount(flat, minlength=(int(group.max()) + 1) * size).view(-1, size)
    return (counts.argmax(1)[group[~half]] == asked.answer[~half]).double().mean().item()


def only(asked: Questions, rows: Tensor) -> Questions:
    return Questions(asked.tokens[rows], asked.answer[rows], asked.kind[rows])


BALANCED = [SceneConfig(), SceneConfig(colours=3, shapes=4)]


def question_guesses(graph: SceneGraph, config: SceneConfig) -> dict[str, float]:
    """How far the guess from the question alone is above chance, by kind."""
    n, above = len(graph), {}
    asked = ask(graph, config, fold(torch.arange(n), 6))
    for number, (kind, offered) in enumerate(choices(config).items()):
        of_kind = only(asked, asked.kind == number)
        assert len(of_kind.kind) > n / 40
        above[kind] = accuracy_of_guess(of_kind.tokens, of_kind, config) - 1 / offered
    return above


@pytest.mark.parametrize("config", BALANCED, ids=str)
def test_the_question_alone_does_not_help(config: SceneConfig) -> None:
    # Over all graphs the balance is exact, hence a narrow bound where there are many samples a question.
    graph = decode(config, integers(fold(torch.arange(80_000), 3), config.graphs))
    assert max(question_guesses(graph, config).values()) <= 0.025


def test_the_question_alone_does_not_help_in_the_train_split_either() -> None:
    above = question_guesses(graphs(SceneConfig(), 80_000), SceneConfig())
    assert max(above.values()) <= 0.025, above


@pytest.mark.parametrize("config", BALANCED, ids=str)
def test_the_picture_alone_does_not_help(config: SceneConfig) -> None:
    scenes, times = 300, 80
    graph = graphs(config, scenes)
    rows = torch.arange(scenes).repeat_interleave(times)
    hashes = fold(torch.arange(scenes * times), 7)
    for number, (kind, offered) in enumerate(choices(config).items()):
        asked = ask(graph.select(rows), config, hashes, kind=torch.full_like(rows, number))
        of_kind = asked.kind == number
        assert of_kind.sum() > len(rows) / 50
        guess = accuracy_of_guess(rows[of_kind, None], only(asked, of_kind), config)
        assert guess <= 1 / offered + 0.05, kind


def test_question_and_picture_together_decide() -> None:
    # The guess above is a fair test only if it can succeed: given both, it does.
    config = SceneConfig()
    rows = torch.arange(10).repeat_interleave(3000)
    asked = ask(graphs(config, 10).select(rows), config, fold(torch.arange(len(rows)), 8))
    assert accuracy_of_guess(torch.cat([rows[:, None], asked.tokens], 1), asked, config) > 0.98


# Invariance and names -------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_one_row_is_asked_as_among_many(config: SceneConfig) -> None:
    graph, hashes = graphs(config, 48), fold(torch.arange(48), 9)
    many = ask(graph, config, hashes)
    names = [name(graph, config, hashes) for name in (name_by_quadrant, name_by_shape)]
    for row in range(0, 48, 5):
        one, single = slice(row, row + 1), graph.select(slice(row, row + 1))
        alone = ask(single, config, hashes[one])
        assert torch.equal(alone.tokens, many.tokens[one])
        assert torch.equal(alone.answer, many.answer[one])
        assert torch.equal(alone.kind, many.kind[one])
        for name, (text, index) in zip((name_by_quadrant, name_by_shape), names, strict=True):
            alone_text, alone_index = name(single, config, hashes[one])
            assert torch.equal(alone_text, text[one])
            assert torch.equal(alone_index, index[one])


def test_picks_are_uniform_over_what_is_possible() -> None:
    possible = torch.tensor([True, False, True, True, False]).expand(30_000, 5)
    counts = pick(possible, fold(torch.arange(30_000), 10)).bincount(minlength=5)
    assert counts[1] == counts[4] == 0
    assert (counts[[0, 2, 3]] - 10_000).abs().max() < 500


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_names_fit_one_object_only(config: SceneConfig) -> None:
    n, words = 600, name_vocabulary(config)
    graph, hashes = graphs(config, n), fold(torch.arange(n), 11)
    kinds = set()
    for name in (name_by_quadrant, name_by_shape):
        text, index = name(graph, config, hashes)
        assert text.shape == (n, NAME_LENGTH)
        for row in range(n):
            name_words = words.decode(text[row]).split()
            kinds.add(len(name_words))
            corners = {
                0: ["top", "left"],
                1: ["top", "right"],
                2: ["bottom", "left"],
                3: ["bottom", "right"],
            }
            fits = [
                i
                for i in range(int(graph.present[row].sum()))
                if name_words in (corners[int(graph.quadrant[row, i])], [SHAPES[int(graph.shape[row, i])]])
            ]
            assert fits == [int(index[row])]
    assert kinds == {1, 2}
