"""Edits: each kind does what it says, in every row by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from feedback.collection import draw_prompts
from feedback.responses import Edits
from mm_envs.answers.edits import EDITS
from mm_envs.answers.word_classes import WordClasses
from mm_envs.random import fold, pick, stream
from mm_envs.tasks import make_task
from mm_envs.tokenizers import EOS, PAD, SPECIALS, lengths

N, PLACES = 400, 9
COLOURS, SHAPES = ("red", "green", "blue"), ("circle", "cross")
WORDS = (*SPECIALS, "a", *COLOURS, *SHAPES, "of")
CLASSES = WordClasses.among(WORDS, [COLOURS, SHAPES, ("alone",)], len(SPECIALS))
ALL = WordClasses.among(WORDS, (), len(SPECIALS))


def answers() -> tuple[Tensor, Tensor]:
    """Random answers of 0 to 9 words, padded."""
    hashes = fold(stream(0, "answers"), torch.arange(N))
    length = (hashes >> 3) % (PLACES + 1)
    words = len(SPECIALS) + (fold(hashes[:, None], torch.arange(PLACES)) >> 3) % (len(WORDS) - len(SPECIALS))
    return words.masked_fill(torch.arange(PLACES) >= length[:, None], PAD), length


def edited(kind: str) -> list[tuple[list[int], list[int]]]:
    """Words before and after."""
    tokens, length = answers()
    given = tokens.clone()
    table = ALL if kind == "replace" else CLASSES
    after, size = EDITS[kind](tokens, length, fold(stream(1, kind), torch.arange(N)), table)
    assert torch.equal(tokens, given)
    assert (after.masked_select(torch.arange(PLACES) >= size[:, None]) == PAD).all()
    return [
        (old[:n].tolist(), new[:m].tolist())
        for old, n, new, m in zip(given, length, after, size, strict=True)
    ]


def class_of(word: int) -> int:
    return int(CLASSES.of[word])


def differing(old: list[int], new: list[int]) -> list[int]:
    assert len(old) == len(new)
    return [index for index in range(len(old)) if old[index] != new[index]]


def substituted(old: list[int], new: list[int]) -> bool:
    indices = differing(old, new)
    possible = any(class_of(word) >= 0 for word in old)
    return len(indices) == possible and all(class_of(old[p]) == class_of(new[p]) >= 0 for p in indices)


def replaced(old: list[int], new: list[int]) -> bool:
    return len(differing(old, new)) == bool(old) and all(word >= len(SPECIALS) for word in new)


def dropped(old: list[int], new: list[int]) -> bool:
    return new in [old[:p] + old[p + 1 :] for p in range(len(old))] or not old


def doubled(old: list[int], new: list[int]) -> bool:
    if len(old) in (0, PLACES):
        return new == old
    return new in [old[:p] + old[p : p + 1] + old[p:] for p in range(len(old))]


def swapped(old: list[int], new: list[int]) -> bool:
    indices, possible = differing(old, new), any(a != b for a, b in pairwise(old))
    near = not indices or (len(indices) == 2 and indices[1] == indices[0] + 1)
    return Counter(old) == Counter(new) and near and bool(indices) == possible


def bound(old: list[int], new: list[int]) -> bool:
    indices = differing(old, new)
    possible = any(class_of(a) == class_of(b) >= 0 and a != b for a in old for b in old)
    kept = [class_of(word) for word in old] == [class_of(word) for word in new]
    return Counter(old) == Counter(new) and kept and len(indices) == 2 * possible


def shortened(old: list[int], new: list[int]) -> bool:
    return new == old[: len(new)] and (0 < len(new) < len(old) or len(old) < 2)


RULES: dict[str, Callable[[list[int], list[int]], bool]] = {
    "substitute": substituted,
    "replace": replaced,
    "drop": dropped,
    "double": doubled,
    "swap": swapped,
    "bind": bound,
    "cut": shortened,
}


@pytest.mark.parametrize("kind", EDITS)
def test_an_edit_does_what_its_name_says(kind: str) -> None:
    before_and_after = edited(kind)
    wrong = [pair for pair in before_and_after if not RULES[kind](*pair)]
    assert not wrong
    changed = sum(old != new for old, new in before_and_after)
    assert changed > N / 3


def test_words_are_drawn_uniformly_among_the_others_of_their_class() -> None:
    """Chi-square of 7 degrees of freedom: above 35 by chance in one test of 100,000."""
    words = [f"w{i}" for i in range(9)]
    classes = WordClasses.among(words, [words])
    n = 8000
    drawn = classes.others(torch.full((n,), 4), fold(stream(2, "x"), torch.arange(n)))
    counts = torch.bincount(drawn, minlength=9)
    assert counts[4] == 0
    kept = counts[torch.arange(9) != 4].double()
    assert float(((kept - n / 8) ** 2 / (n / 8)).sum()) < 35


def test_a_position_is_drawn_uniformly_among_those_allowed() -> None:
    n, allowed = 8000, torch.tensor([True, False, True, True, False, True])
    index, some = pick(allowed.expand(n, -1), fold(stream(3, "x"), torch.arange(n)))
    counts = torch.bincount(index, minlength=6)
    assert some.all()
    assert (counts[~allowed] == 0).all()
    assert float(((counts[allowed] - n / 4) ** 2 / (n / 4)).sum()) < 28  # 3 degrees of freedom, 1 in 10**5


def test_captions_are_edited_as_often_as_requested() -> None:
    prompts, tickets = draw_prompts("MMCaption-v0", 300)
    known = prompts.reference["captions"]
    for most in (0, 1, 3):
        tokens, length = Edits(tickets.task, (most, most), ["substitute"]).sample(prompts, 2)
        assert length is not None
        assert torch.equal(lengths(tokens.flatten(0, 1)), length.flatten())
        changed = (tokens[:, :, None] != known[:, None]).sum(3).amin(2)
        assert changed.amax() == most
        assert most == 0 or (changed > 0).float().mean() > 0.8
    tokens, length = Edits(tickets.task, (0, 4), ["drop"]).sample(prompts, 4)
    assert length is not None
    rest = known[:, None].expand(-1, 4, -1, -1)
    missing = (lengths(rest.flatten(0, 2)).view(300, 4, -1).amax(2) - length).flatten()
    assert missing.amin() == 0
    assert (tokens.gather(2, length.clamp(max=tokens.shape[2] - 1)[:, :, None]) == EOS).all()


def test_the_number_of_edits_is_uniform() -> None:
    """Each of five numbers within 5 standard deviations; dropping words of one reference counts them."""
    task = make_task("vqa", answer="tokens", max_tokens=9)
    prompts, _ = draw_prompts(task, 1000)
    _, length = Edits(task, (0, 4), ["double"]).sample(prompts, 4)
    assert length is not None
    counts = torch.bincount(length.flatten() - 1, minlength=5)
    assert len(counts) == 5
    assert ((counts - 800).abs() < 5 * (4000 * 0.2 * 0.8) ** 0.5).all()


def test_a_choice_is_edited_at_most_once_and_stays_in_its_class() -> None:
    prompts, tickets = draw_prompts("MMVQA-v0", 500)
    right = prompts.reference["answer"][:, None]
    choices, length = Edits(tickets.task).sample(prompts, 4)
    assert length is None
    assert 0.45 < (choices == right).float().mean() < 0.55
    assert (Edits(tickets.task, (0, 0)).sample(prompts, 2)[0] == right).all()
    assert (Edits(tickets.task, (1, 4)).sample(prompts, 2)[0] != right).all()
    classes = WordClasses.among(tickets.task.answer.names, tickets.task.dataset.word_classes())
    assert torch.equal(classes.classes(choices), classes.classes(right).expand(-1, 4))


def test_without_known_classes_any_word_may_be_substituted() -> None:
    classes = WordClasses.among((*SPECIALS, "cat", "dog"), (), len(SPECIALS))
    assert classes.of.tolist() == [-1, -1, -1, 0, 0]
    assert classes.others(torch.tensor([EOS, 3, 4]), torch.tensor([1, 2, 3])).tolist() == [EOS, 4, 3]


@pytest.mark.parametrize(
    ("edits", "kinds", "message"),
    [
        ((0, 4), ["droop"], "kinds='droop' is not one of substitute"),
        ((0, 4), [], r"kinds=\[\] is empty"),
        ((3, 2), None, r"edits\[1\]=2 is below 3"),
        ((-1, 2), None, r"edits\[0\]=-1 is below 0"),
        ((0, 1.5), None, r"edits=1\.5 is not a whole number"),
    ],
)
def test_wrong_arguments_are_refused(edits: tuple[int, int], kinds: list[str] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Edits(make_task("caption"), edits, kinds)


def test_answers_that_are_vectors_get_noise_that_grows_with_the_number_of_edits() -> None:
    task = make_task("classify", dataset="digits", answer="distribution")
    prompts, _ = draw_prompts(task, 200)
    best = task.oracle(prompts.reference)[:, None]
    none, few, many = (Edits(task, (n, n)).sample(prompts, 1)[0] for n in (0, 1, 4))
    assert torch.equal(none, best)
    assert 0 < (few - best).abs().mean() < (many - best).abs().mean()
