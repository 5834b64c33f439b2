"""What every kind of answer promises: two forms that say the same, rows that do not depend on the batch."""

from __future__ import annotations

import json

import gymnasium as gym
import pytest
import torch
from torch import Tensor

from mm_envs.answers import (
    KINDS,
    AnswerKind,
    Boxes,
    Choice,
    Ranking,
    Text,
    Turns,
    Vector,
    from_config,
    kind_of,
    response_hashes,
    to_config,
)
from mm_envs.random import fold, stream
from mm_envs.spaces import Image, Tokens
from mm_envs.tokenizers import Vocabulary

N = 64
WORDS = Vocabulary.of(["red", "green", "blue", "circle", "cross"])
MADE: dict[str, AnswerKind] = {
    "choice": Choice(["yes", "no", "red", "green"]),
    "choice of two": Choice(["yes", "no"], among="candidates"),
    "text": Text(WORDS, 6),
    "one word": Text(WORDS, 1),
    "vector": Vector(3),
    "matrix": Vector((2, 2), 0.0, 5.0),
    "box": Boxes(1),
    "boxes": Boxes(3),
    "order": Ranking(4),
    "best two": Ranking(5, top=2, among="candidates"),
    "best": Ranking(3, top=1),
    "pair": Ranking(2),
    "turn": Turns([("a", "b", "c")]),
    "turns": Turns([("what?", "how?"), ("red circle", "green cross", "blue circle"), ("sure",)]),
}
every = pytest.mark.parametrize("kind", MADE.values(), ids=MADE)
CPU = torch.device("cpu")


def hashes(name: str, n: int = N) -> Tensor:
    return fold(stream(0, name), torch.arange(n))


def drawn(kind: AnswerKind, name: str = "answers") -> tuple[Tensor, Tensor | None]:
    """Random answers as an episode holds them."""
    return kind.finish(kind.random(hashes(name)))


def rows_of(response: Tensor, length: Tensor | None, rows: Tensor) -> tuple[Tensor, Tensor | None]:
    return response[rows], None if length is None else length[rows]


def equal(one: tuple[Tensor, Tensor | None], other: tuple[Tensor, Tensor | None]) -> bool:
    same = torch.equal(one[0], other[0]) and (one[1] is None) == (other[1] is None)
    return same and (one[1] is None or other[1] is None or torch.equal(one[1], other[1]))


def test_every_kind_is_tested() -> None:
    assert {type(kind) for kind in MADE.values()} == set(KINDS.values())


@every
def test_writing_action_by_action_gives_the_response(kind: AnswerKind) -> None:
    response, length = drawn(kind)
    state, ended = kind.start(N, CPU), torch.zeros(N, dtype=torch.bool)
    assert set(kind.state_spaces) == set(state)
    given, size = torch.zeros_like(response), torch.zeros(N, dtype=torch.int64)
    for step in range(kind.steps):
        assert torch.equal(
            kind.action(response, step), kind.action(response, torch.full((N,), step, dtype=torch.int64))
        )
        before = {key: value.clone() for key, value in state.items()}
        new, over = kind.write(state, kind.action(response, step))
        assert all(torch.equal(state[key], value) for key, value in before.items())
        for key, space in kind.state_spaces.items():
            assert all(space.contains(row.numpy()) for row in new[key])
        written, count = kind.response(new, kind.action(response, step))
        now = over & ~ended
        given[now] = written[now]
        if count is not None:
            size[now] = count[now]
        state, ended = new, ended | over
    assert bool(ended.all())
    assert torch.equal(given, response)
    assert length is None or torch.equal(size, length)


@every
def test_valid_actions_write_different_answers(kind: AnswerKind) -> None:
    """Each is one of the space, there is always one, and no two of them lead to the same state."""
    if not isinstance(kind.action_space, gym.spaces.Discrete):
        with pytest.raises(ValueError, match="are numbers, and all are valid"):
            kind.valid(kind.start(2, CPU), 2, CPU)
        return
    count, state = int(kind.action_space.n), kind.start(N, CPU)
    for step in range(kind.steps):
        masks = kind.valid(state, N, CPU)
        assert (tuple(masks.shape), masks.dtype) == ((N, count), torch.bool)
        assert bool(masks.any(1).all())
        for row in range(4):
            one = {key: value[row : row + 1].expand(count, -1) for key, value in state.items()}
            written = kind.write(one, torch.arange(count))[0]
            keys = torch.cat([torch.zeros(count, 0, dtype=torch.int64), *written.values()], 1)
            if state:
                assert len(keys[masks[row]].unique(dim=0)) == int(masks[row].sum())
                # An invalid action does nothing that a valid one does not, but for padding in texts.
                assert len(keys.unique(dim=0)) == int(masks[row].sum()) + (kind.name == "text")
        noise = torch.rand(masks.shape, generator=torch.Generator().manual_seed(step))
        state, _ = kind.write(state, noise.masked_fill(~masks, -1).argmax(1))


@every
def test_random_answers_lie_in_the_space_and_are_finished(kind: AnswerKind) -> None:
    response, length = drawn(kind)
    assert all(kind.space.contains(row.numpy()) for row in response)
    assert equal(kind.finish(response), (response, length))
    assert all(kind.action_space.contains(one.numpy()) for one in kind.action(response, 0))


@every
def test_texts_are_read_back(kind: AnswerKind) -> None:
    response, length = kind.close(drawn(kind)[0])
    for row, text in zip(response, kind.formats(response), strict=True):
        assert text == kind.format(row)
        assert torch.equal(kind.parse(text), row), text
        assert torch.equal(kind.parse(kind.normalise(f" {text} ".replace(" ", "  "))), row)
        assert torch.equal(kind.parse(row), row)
        assert row.ndim == 0 or torch.equal(kind.parse(json.dumps(row.tolist())), row)
        assert isinstance(kind.describe(row), str)
    assert equal(kind.close(response), (response, length))


@every
def test_a_kind_is_made_again_from_plain_values(kind: AnswerKind) -> None:
    config = json.loads(json.dumps(to_config(kind)))
    again = from_config(config)
    assert again == kind
    assert hash(again) == hash(kind)
    assert again.digest == kind.digest
    assert again.space == kind.space


def test_unequal_kinds_differ() -> None:
    kinds = list(MADE.values())
    assert len(set(kinds)) == len(kinds)


@every
def test_edits_stay_valid_and_do_not_depend_on_the_batch(kind: AnswerKind) -> None:
    editor, (response, length) = kind.editor(), kind.close(drawn(kind)[0])
    count = torch.arange(N) % 4
    edited = editor.edit(response, length, count, hashes("edits"))
    assert all(kind.space.contains(row.numpy()) for row in edited[0])
    assert equal(kind.finish(edited[0]), edited)
    none = editor.edit(response, length, torch.zeros_like(count), hashes("edits"))
    assert equal(none, (response, length))
    if kind.max_edits is None and kind.steps > 1:
        assert bool((edited[0] != response).flatten(1).any())
    for rows in (torch.tensor([5]), torch.tensor([40, 3])):
        mine = editor.edit(*rows_of(response, length, rows), count[rows], hashes("edits")[rows])
        assert equal(mine, rows_of(*edited, rows))


@every
def test_the_other_answer_differs_and_is_valid(kind: AnswerKind) -> None:
    response, length = kind.close(drawn(kind)[0])
    for other, size in (
        kind.editor().other(response, length, hashes("other")),
        kind.slip(response, length, hashes("slip")),
    ):
        assert all(kind.space.contains(row.numpy()) for row in other)
        differs = (other != response).reshape(N, -1).any(1)
        # A slip leaves an answer without words as it is, and two random boxes are never equal.
        assert bool(differs.all()) or (length is not None and bool(differs[length > 0].all()))
        assert (size is None) == (length is None)
    assert bool(
        (kind.editor().other(response, length, hashes("x"))[0] != response).reshape(N, -1).any(1).all()
    )


@every
def test_distance_is_zero_for_equal_answers_only(kind: AnswerKind) -> None:
    response, length = kind.close(drawn(kind)[0])
    other, size = kind.close(drawn(kind, "others")[0])
    assert not bool(kind.distance(response, length, response, length).any())
    assert bool(kind.same(response, response).all())
    found = kind.distance(response, length, other, size)
    differs = (response != other).reshape(N, -1).any(1)
    assert torch.equal(found > 0, differs)
    assert torch.equal(found, kind.distance(other, size, response, length))


@every
def test_hashes_tell_answers_apart(kind: AnswerKind) -> None:
    response, length = kind.close(drawn(kind)[0])
    distinct = len({kind.format(row) for row in response})
    assert len(response_hashes(response, length).unique()) == distinct
    assert torch.equal(
        response_hashes(response[3:5], None if length is None else length[3:5]),
        response_hashes(response, length)[3:5],
    )


@every
def test_beginnings(kind: AnswerKind) -> None:
    response, length = kind.close(drawn(kind)[0])
    if kind.steps == 1 and not isinstance(kind, (Text, Ranking, Turns)):
        with pytest.raises(ValueError, match="have one step"):
            kind.beginning(response, length, 0)
        return
    whole, size = kind.beginning(response, length, max(kind.steps, response.shape[1]))
    assert torch.equal(whole, response)
    assert length is None or torch.equal(size, length)
    empty, _ = kind.beginning(response, length, 0)
    assert len(empty.unique(dim=0)) == 1


def test_text_ends_in_one_way() -> None:
    kind = Text(WORDS, 4)
    assert equal(
        kind.finish(torch.tensor([[3, 1, 4, 5], [3, 0, 4, 5], [1, 3, 3, 3]])),
        (torch.tensor([[3, 1, 0, 0], [3, 0, 4, 5], [1, 0, 0, 0]]), torch.tensor([1, 4, 0])),
    )
    assert equal(
        kind.close(torch.tensor([[3, 4, 0, 5], [0, 3, 3, 3], [3, 4, 5, 6]])),
        (torch.tensor([[3, 4, 1, 0], [1, 0, 0, 0], [3, 4, 5, 6]]), torch.tensor([2, 0, 4])),
    )
    # References may be shorter or longer than an answer.
    assert kind.close(torch.tensor([[3, 0]]))[0].tolist() == [[3, 1, 0, 0]]
    assert kind.close(torch.tensor([[3, 4, 5, 6, 7]]))[0].tolist() == [[3, 4, 5, 6]]


def test_a_part_is_left_out() -> None:
    kind = Text(WORDS, 3)
    tokens, length = torch.tensor([[3, 4, 5], [3, 1, 0]]), torch.tensor([3, 1])
    shorter, size = kind.without(tokens, length, torch.tensor([1, 2]))
    assert (shorter.tolist(), size.tolist()) == ([[3, 5, 1], [3, 1, 0]], [2, 1])
    with pytest.raises(ValueError, match="have no parts"):
        MADE["choice"].without(torch.tensor([0]), None, torch.tensor([0]))


def test_a_ranking_takes_no_candidate_twice() -> None:
    kind = Ranking(3)
    state = kind.start(1, CPU)
    for action in (2, 2):
        state, ended = kind.write(state, torch.tensor([action]))
    assert bool(ended)
    assert kind.response(state, torch.tensor([2]))[0].tolist() == [[2, 0, 1]]
    orders = kind.random(hashes("orders", 6000))
    counts = (orders * torch.tensor([9, 3, 1])).sum(1).unique(return_counts=True)[1]
    assert len(counts) == 6
    # 1,000 of each are expected; six standard deviations.
    assert ((counts - 1000).abs() < 180).all()


def test_absent_boxes_stay_absent() -> None:
    kind = Boxes(2)
    one = kind.parse([[0.25, 0.25, 0.5, 0.75]])
    assert kind.present(one).tolist() == [True, False]
    several = one.expand(N, 2, 4)
    edited, _ = kind.editor().edit(several, None, torch.full((N,), 3), hashes("edits"))
    assert not bool(kind.present(edited)[:, 1].any())
    assert kind.describe(one) == "[[0.25, 0.25, 0.5, 0.75]]"


def test_words_that_answers_hold() -> None:
    texts = torch.stack([MADE["text"].parse(text) for text in ("red circle", "green", "")])
    length = MADE["text"].finish(texts)[1]
    assert MADE["text"].holds("red", texts, length).tolist() == [True, False, False]
    assert MADE["choice"].holds("no", torch.tensor([0, 1]), None).tolist() == [False, True]
    turns = torch.tensor([[0, 1, 0], [1, 0, 0]])
    assert MADE["turns"].holds("red", turns, None).tolist() == [False, True]
    for name in ("text", "choice", "turns", "vector"):
        kind = MADE[name]
        response, size = drawn(kind)
        with pytest.raises(ValueError, match="is in no answer"):
            kind.holds("violet", response, size)


REFUSED = [
    ("choice", "maybe", "answer 'maybe' is unknown: did you mean"),
    ("choice", [0.5], "give one of 4 classes"),
    ("text", "red violet", "word 'violet' is unknown"),
    ("text", [3] * 7, "give at most 6 words"),
    ("text", [3, 1, 4], "goes on after the episode has ended with step 2"),
    ("vector", "red", "is no vector: give its numbers"),
    ("vector", [0.0, 1.0], r"give numbers of shape \(3,\)"),
    ("box", "red", "give at most 1 boxes"),
    ("box", [[0, 0, 1, 2]], "give at most 1 boxes"),
    ("box", [[0, 0, 1, float("nan")]], "give at most 1 boxes"),
    ("box", [[0, 0, 1, 1]] * 2, "give at most 1 boxes"),
    ("order", "[0, 1, 1, 2]", "give 4 different numbers from 0 to 3"),
    ("order", [0, 1], "give 4 different numbers"),
    ("turns", "what?", "give 3 turns"),
    ("turns", "what? / red cross / sure", "option 'red cross' is unknown"),
    ("turns", [0, 5, 0], "one option for each of 3 turns"),
    ("choice", {"a": 1}, "holds something else than numbers"),
]


@pytest.mark.parametrize(("name", "given", "message"), REFUSED)
def test_what_is_no_answer_is_refused(name: str, given: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MADE[name].parse(given)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Choice([]), "give each answer once"),
        (lambda: Choice(["a", "a"]), "give each answer once"),
        (lambda: Choice(["a"]).editor(), "is the only choice and never wrong"),
        (lambda: Text(WORDS, 0), "max_tokens=0 is below 1"),
        (lambda: Vector(2, 1.0, 1.0), "are no range"),
        (lambda: Boxes(0), "count=0 is below 1"),
        (lambda: Ranking(1), "count=1 is below 2"),
        (lambda: Ranking(3, 4), "top=4 is not within 1 to 3"),
        (lambda: Turns([]), "name each option once"),
        (lambda: Turns([("a",)]).editor(), "no turn has a second option"),
        (lambda: MADE["order"].editor(["bend"]), "kinds='bend' is not one of swap"),
        (lambda: from_config({"kind": "song"}), "kind='song' is not one of choice"),
        (lambda: from_config({"kind": "choice", "colour": 1}), "do not take"),
        (lambda: kind_of(gym.spaces.MultiBinary(2)), "use Discrete or Box"),
    ],
)
def test_what_makes_no_kind_is_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


def test_kinds_of_foreign_actions() -> None:
    assert kind_of(gym.spaces.Discrete(3)) == Choice(["0", "1", "2"])
    assert kind_of(gym.spaces.Box(-2.0, 2.0, (3,))) == Vector((3,), -2.0, 2.0)
    assert kind_of(Tokens(4, WORDS)) == Text(WORDS, 4)
    assert kind_of(Image(40, 40)).space.shape == (3, 40, 40)
    unbounded = kind_of(gym.spaces.Box(-float("inf"), float("inf"), (2,)))
    assert from_config(json.loads(json.dumps(to_config(unbounded)))) == unbounded
    with pytest.raises(ValueError, match="give finite bounds"):
        unbounded.random(hashes("x"))
