"""Changed scenes, answers to given questions, and the objects that words name."""

from typing import Any

import pytest
import torch

from mm_envs.data.scenes import Scenes
from mm_envs.data.scenes.answering import answer_to, mentioned
from mm_envs.data.scenes.changes import FACTS, changes, sorted_graph
from mm_envs.data.scenes.layout import COLOURS, SHAPES, boxes
from mm_envs.data.scenes.questions import QUESTION_KINDS, answers, ask, question_vocabulary

CONFIGURATIONS: list[dict[str, Any]] = [
    {},
    {"objects": (1, 4), "textures": 3},
    {"sound": "complement"},
    {"objects": (3, 3), "sizes": 1, "colours": 5},
]


@pytest.mark.parametrize("arguments", CONFIGURATIONS)
def test_questions_are_answered_as_they_were_made(arguments: dict[str, Any]) -> None:
    """The answer from the words of a question and the scene is the one that it was made with."""
    scenes, items = Scenes(items=2048, **arguments), torch.arange(2048)
    graph, hashes = scenes.graph(items), scenes.hashes(items)
    for kind in range(len(QUESTION_KINDS)):
        asked = ask(graph, scenes.config, hashes, torch.full_like(items, kind))
        answer, fits = answer_to(asked.tokens, asked.kind, graph, scenes.config)
        assert bool(fits.all())
        assert torch.equal(answer, asked.answer)


@pytest.mark.parametrize("arguments", CONFIGURATIONS)
def test_one_fact_is_changed_and_no_other(arguments: dict[str, Any]) -> None:
    scenes, items = Scenes(items=64, **arguments), torch.arange(32)
    graph = scenes.graph(items)
    changed = changes(graph, scenes.config)
    old, new = graph.select(changed.source), changed.graph
    for number, names in enumerate((("colour",), ("shape",), ("quadrant", "x", "y"))):
        rows = changed.fact == number
        assert bool(rows.any())
        for name in ("present", "shape", "colour", "size", "texture", "quadrant", "x", "y"):
            differs = (getattr(old, name) != getattr(new, name))[rows]
            assert (
                bool(differs.any(1).all()) if name in names[:1] else name in names or not bool(differs.any())
            )
    index = changed.object[:, None]
    value = torch.stack([new.colour, new.shape, new.quadrant])[changed.fact, torch.arange(len(changed))]
    assert torch.equal(value.gather(1, index)[:, 0], changed.value)
    around = boxes(new, scenes.config)
    assert float(around.min()) >= 0
    assert float(around.max()) <= 1
    assert all(len(set(row.tolist())) == len(row) for row in _quadrants(new))
    if scenes.config.distinct_shapes:
        assert all(len(set(row[row >= 0].tolist())) == int((row >= 0).sum()) for row in new.shape)
    pixels = scenes.drawn(new, scenes.hashes(items)[changed.source], ["image"])["image"]
    before = scenes.batch(items, ["image"])["image"][changed.source]
    differs = (pixels != before).flatten(1).any(1)
    hidden = scenes.config.hide_colour and changed.fact == FACTS.index("colour")
    assert torch.equal(differs, ~torch.as_tensor(hidden).expand_as(differs))


def _quadrants(graph: Any) -> Any:
    return [row[there] for row, there in zip(graph.quadrant, graph.present, strict=True)]


def test_scenes_are_all_there_and_once() -> None:
    scenes = Scenes(items=64)
    graph = scenes.graph(torch.arange(1))
    changed = changes(graph, scenes.config)
    # Two objects: other colours and shapes of each, they change places, and each moves along the other axis.
    count = changed.fact.bincount().tolist()
    assert count == [2 * (len(COLOURS) - 1), 2 * (len(SHAPES) - 1), 3]
    rows = torch.cat([changed.graph.colour, changed.graph.shape, changed.graph.quadrant], 1)
    assert len(rows.unique(dim=0)) == len(rows)


def test_drawing_a_graph_is_drawing_the_item() -> None:
    scenes, items = Scenes(items=64, sound="agree"), torch.arange(8)
    names = ["image", "audio", "boxes", "colour"]
    drawn = scenes.drawn(scenes.graph(items), scenes.hashes(items), names)
    for name, value in scenes.batch(items, names).items():
        assert torch.equal(drawn[name], value)


def test_objects_in_reading_order() -> None:
    scenes = Scenes(items=64, objects=(1, 4))
    graph = scenes.graph(torch.arange(64))
    assert torch.equal(sorted_graph(graph).colour, graph.colour)
    changed = sorted_graph(changes(graph, scenes.config, ("position",)).graph)
    quadrant = torch.where(changed.present, changed.quadrant, 4)
    assert bool((quadrant.diff(dim=1) >= 0).all())


def test_questions_that_do_not_fit_a_scene() -> None:
    """A changed scene fits exactly where the right words still refer to one object each."""
    scenes, items = Scenes(items=512), torch.arange(512)
    graph, config = scenes.graph(items), scenes.config
    kind = torch.full_like(items, QUESTION_KINDS.index("colour"))
    asked = ask(graph, config, scenes.hashes(items), kind)
    changed = changes(graph, config, ("shape",))
    answer, fits = answer_to(asked.tokens[changed.source], asked.kind[changed.source], changed.graph, config)
    vocabulary, names = question_vocabulary(config), answers(config)
    rows = (asked.kind[changed.source] == kind[0]).nonzero()[:, 0][:200].tolist()
    for row in rows:
        words = vocabulary.decode(asked.tokens[changed.source[row]]).split()
        shape, options = SHAPES.index(words[4]), {words[-3], words[-1]}
        found = [
            COLOURS[colour]
            for colour, one in zip(
                changed.graph.colour[row].tolist(), changed.graph.shape[row].tolist(), strict=True
            )
            if one == shape
        ]
        assert bool(fits[row]) == (len(found) == 1 and found[0] in options)
        assert not fits[row] or names[int(answer[row])] == found[0]


def test_words_name_the_object_that_they_describe() -> None:
    scenes, items = Scenes(items=256, objects=(2, 4)), torch.arange(256)
    graph, config = scenes.graph(items), scenes.config
    vocabulary, seen = question_vocabulary(config), set()
    for kind in range(len(QUESTION_KINDS)):
        asked = ask(graph, config, scenes.hashes(items), torch.full_like(items, kind))
        named = mentioned(asked.tokens, graph, config)
        assert int(named.sum(2).max()) <= 1
        for row, word, index in named.nonzero().tolist():
            text = vocabulary.words[int(asked.tokens[row, word])]
            colour, shape = COLOURS[int(graph.colour[row, index])], SHAPES[int(graph.shape[row, index])]
            assert text in (colour, shape, shape + "s", shape + "es")
            sentence = vocabulary.decode(asked.tokens[row]).partition(",")[0].split()
            assert text in sentence
            if " ".join(sentence[-2:]) == f"{colour} {shape}" and word >= len(sentence) - 2:
                seen.add("pair")
            seen.add(int(asked.kind[row]))
        if QUESTION_KINDS[kind] in ("relation", "comparison"):
            assert bool((named[asked.kind == kind].any(2).sum(1) == 4).all())
    assert seen == {*range(len(QUESTION_KINDS)), "pair"}
