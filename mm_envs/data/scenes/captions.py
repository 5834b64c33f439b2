"""Captions of scenes: vocabulary, reference captions, and the true utility of any caption.

    CAPTION  := OBJECT (RELATION OBJECT)*
    OBJECT   := "a" [size] [colour] [texture] shape
    RELATION := "left of" | "right of" | "above" | "below"

It is a bigram grammar: a caption is grammatical if and only if each pair of neighbouring words is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import permutations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from mm_envs.arrays import (
    Array,
    add_scaled,
    cast,
    columns,
    full,
    group_sums,
    largest,
    numpy_on_cpu,
    take,
    where,
)
from mm_envs.data.scenes.layout import COLOURS, SHAPES, SIZES, TEXTURES, SceneConfig, SceneGraph
from mm_envs.episodes import Judgement
from mm_envs.tokenizers import Vocabulary, compact

RELATIONS = ("left", "right", "above", "below")
MAX_WORDS = 30  # of a caption, so that all counts of one caption fit into one 64-bit number

# Weights in twentieths of a fact: a right one, an invented one, a grammar fault.
RIGHT, INVENTED, FAULT = 20, -5, -2

# The forms of references: the first object, the step to the next one, and whether all attributes are named.
# The first reference is the full caption in canonical order.
_FORMS = ((0, 1, True), (1, 1, False), (-1, -1, True), (0, -1, False))


def attribute_words(config: SceneConfig) -> dict[str, tuple[str, ...]]:
    """Returns the words of each attribute; size and texture only if they have several values."""
    words = {"shape": SHAPES[: config.shapes], "colour": COLOURS[: config.colours]}
    if config.sizes > 1:
        words["size"] = SIZES[: config.sizes]
    if config.textures > 1:
        words["texture"] = TEXTURES[: config.textures]
    return words


@lru_cache(maxsize=64)
def caption_vocabulary(config: SceneConfig) -> Vocabulary:
    """Returns the words of captions; the values of an attribute have consecutive ids."""
    words = attribute_words(config)
    spoken = [word for kind in ("size", "colour", "texture", "shape") for word in words.get(kind, ())]
    return Vocabulary.of(["a", *spoken, "left", "right", "of", "above", "below"])


def default_max_tokens(config: SceneConfig) -> int:
    """Returns the length of the longest true caption with ``<eos>``, plus one."""
    mention = 1 + len(attribute_words(config))
    return config.maximum * mention + (config.maximum - 1) * 2 + 2


def part_modalities(config: SceneConfig, audio: bool = False) -> dict[str, tuple[str, ...]]:
    """Returns the modalities that carry each part of the utility of a caption."""
    both: tuple[str, ...] = ("image", "audio") if audio else ("image",)
    parts: dict[str, tuple[str, ...]] = {
        kind: both if kind == "shape" else ("image",) for kind in attribute_words(config)
    }
    parts["colour"] = ("audio",) if config.hide_colour else both
    parts["relation"] = ("image",)
    parts["invented"] = tuple(dict.fromkeys(both + parts["colour"]))
    parts["grammar"] = ()
    return parts


def references(graph: SceneGraph, config: SceneConfig, length: int) -> Tensor:
    """Returns several true captions of n scenes, cut or padded to ``length``.

    The first names everything in canonical order: its utility is 1. Others begin with another object, or name
    colour and shape only.

    Returns:
        Token ids of shape (n, R, length), int64, where R is 4, or 2 if scenes have one object only. Each
        caption ends with ``<eos>`` if it is shorter than ``length``.

    Example:
        The captions of a small white square to the left of a small red circle:

            a small white square left of a small red circle
            a red circle right of a white square
            a small red circle right of a small white square
            a white square left of a red circle
    """
    forms = _FORMS[: 4 if config.maximum > 1 else 2]
    return compact(torch.stack([_caption(graph, config, *form) for form in forms], 1), length)


def _caption(graph: SceneGraph, config: SceneConfig, start: int, step: int, full: bool) -> Tensor:
    """One caption of each scene with ``<pad>`` between its words, (n, K * 7 + 1)."""
    vocabulary, words = caption_vocabulary(config), attribute_words(config)
    ids, (n, k) = vocabulary.ids, graph.present.shape
    position = torch.arange(k, device=graph.shape.device)
    order = (start + step * position) % graph.count[:, None]
    nothing = torch.full_like(order, vocabulary.pad)
    spoken = [*_relation(graph, vocabulary, order), torch.full_like(order, ids["a"])]
    for kind in ("size", "colour", "texture", "shape"):
        silent = kind not in words or not (full or kind in ("colour", "shape"))
        value = getattr(graph, kind).gather(1, order)
        spoken.append(nothing if silent else value + ids[words[kind][0]])
    mentioned = (position < graph.count[:, None])[:, :, None]
    mentions = torch.where(mentioned, torch.stack(spoken, 2), vocabulary.pad)
    return pad(mentions.view(n, -1), (0, 1), value=vocabulary.eos)


def _relation(graph: SceneGraph, vocabulary: Vocabulary, order: Tensor) -> list[Tensor]:
    """The words between each mention and the one before it: relation and "of", each (n, K)."""
    ids, (n, k) = vocabulary.ids, order.shape
    pair = order.roll(1, 1) * k + order
    left, above = (holds.view(n, -1).gather(1, pair) for holds in (graph.left_of(), graph.above()))
    right = graph.left_of().mT.reshape(n, -1).gather(1, pair)
    vertical = torch.where(above, ids["above"], ids["below"])
    word = torch.where(left, ids["left"], torch.where(right, ids["right"], vertical))
    of = torch.where(left | right, ids["of"], vocabulary.pad)
    word[:, 0], of[:, 0] = vocabulary.pad, vocabulary.pad
    return [word, of]


def legal_successors(config: SceneConfig) -> dict[str, tuple[str, ...]]:
    """Returns the words that can follow each word, with ``<eos>`` as the border of a caption."""
    words = attribute_words(config)
    relations = RELATIONS if config.maximum > 1 else ()
    rest = [words.get(kind, ()) for kind in ("size", "colour", "texture", "shape")]
    follow: dict[str, tuple[str, ...]] = {"<eos>": ("a", "<eos>"), "a": sum(rest, ())}
    for number, values in enumerate(rest):
        behind = sum(rest[number + 1 :], ()) or ("<eos>", *relations)
        follow.update(dict.fromkeys(values, behind))
    sides = {"left": ("of",), "right": ("of",), "of": ("a",), "above": ("a",), "below": ("a",)}
    return {**follow, **sides}


@dataclass(frozen=True)
class _Field:
    """A range of bits of a 64-bit number that holds a count or a sum."""

    shift: int
    width: int

    @property
    def mask(self) -> int:
        return ((1 << self.width) - 1) << self.shift


def _fields(config: SceneConfig) -> dict[str, _Field]:
    """The fields of the packed numbers: each kind of fact, then counters.

    A word with value v of V adds V + v to the field of its kind. The sum of several words is at least 2 V, so
    it differs from that of any single word.
    """
    values = {**{kind: len(words) for kind, words in attribute_words(config).items()}, "relation": 4}
    largest = {kind: MAX_WORDS * (2 * number - 1) for kind, number in values.items()}
    for counter in ("noun", "fault", "claim", "past"):
        largest[counter] = MAX_WORDS + 1
    fields, shift = {}, 0
    for name, bound in largest.items():
        fields[name] = _Field(shift, bound.bit_length())
        shift += bound.bit_length()
    assert shift <= 63
    return fields


@lru_cache(maxsize=4096)
def _quotient(number: int, whole: int) -> float:
    """A quotient in single precision."""
    return float(np.float32(number) / np.float32(whole))


@dataclass(frozen=True)
class _PlainConstants:
    """The tables of the grader as Python's own values.

    Attributes:
        bigrams: The packed summand of each pair of neighbours.
        assignments: Of each assignment the mention, mask, gain and column of the facts of all comparisons.
        shown: Shift, width and weight of the counts of each part.
        totals: The counters of the whole caption.
        past: The shift of the number of nouns so far.
    """

    bigrams: list[int]
    assignments: list[list[tuple[int, int, int, int]]]
    shown: list[list[int]]
    totals: int
    past: int


@dataclass(frozen=True)
class _Constants:
    """The tables of the grader on one device. A is the number of attributes, P that of assignments."""

    positions: Array  # (MAX_WORDS,): 0, 1, 2, ...
    bigrams: Array  # (words * words,): the packed summand of a pair of neighbours
    assignments: Array  # (P * K * (A + 2),): the column of the facts for each part of a mention
    masks: Array  # (A + 2,): the fields of a mention that are compared
    gains: Array  # (A + 2,): the packed gain of a match
    totals: int  # the counters of the whole caption
    shifts: Array  # (A + 3, 1): the shifts of the counts of the parts
    widths: Array  # (A + 3, 1)
    weights: Array  # (A + 3, 1) float32


class CaptionGrader:
    """The true utility of captions: right facts, minus invented facts, minus grammar faults.

    A scene of m objects with A attributes each has A * m + m - 1 facts: each attribute of each object, and
    one relation for each pair of neighbours in the chain of mentions. A mention ends with its noun. Mentions
    are matched with objects one to one so that as many facts as possible are right (ties favour shape, then
    colour, size and texture), so the order of mentions does not matter. Then

        utility = clamp(sum of parts, 0, 1),

    where each part is a whole number of twentieths, divided by the number of facts:

    ========== =====================================================================================
    shape      1 for each mention whose noun is that of its object; likewise colour, size, texture
    relation   1 for each true relation between two neighbouring mentions; where two relations hold,
               either one
    invented   -0.25 for each attribute or relation word that is not right
    grammar    -0.1 for each pair of neighbouring words (borders included) that the grammar forbids
    ========== =====================================================================================

    Two values of one attribute in one mention are both wrong, and so is everything in a mention without a
    noun. Mentions after the first K, the largest number of objects, are invented. Integers are counted and
    divided once, so the result is the same in every batch.

    Args:
        config: The configuration of the scenes.

    Attributes:
        parts: The names of the parts, in the order above.
        field: The field of the dataset that captions are compared with.

    Example:
        >>> from mm_envs.data.scenes.layout import decode
        >>> from mm_envs.tokenizers import lengths
        >>> config = SceneConfig()
        >>> grader, graph = CaptionGrader(config), decode(config, torch.tensor([7]))
        >>> short = references(graph, config, 12)[:, 1]  # five of seven facts: no sizes
        >>> judgement = grader.score(short, lengths(short), grader.facts(graph))
        >>> round(7 * judgement.reward.item(), 3), judgement.parts["size"].item()
        (5.0, 0.0)
    """

    field = "facts"

    def __init__(self, config: SceneConfig) -> None:
        self.config = config
        self.vocabulary = caption_vocabulary(config)
        self._kinds = tuple(attribute_words(config))
        self.parts = (*self._kinds, "relation", "invented", "grammar")
        self._fields = _fields(config)
        self._constants: dict[torch.device | None, _Constants] = {}

    def facts(self, graph: SceneGraph) -> Tensor:
        """Returns what captions of some scenes are compared with: an opaque int64 table of shape (n, F).

        Its columns are the packed value of each attribute of each object and of each relation of each pair
        (horizontal and vertical), an empty column, and the utility's denominator.
        """
        values = [getattr(graph, kind) for kind in self._kinds]
        attributes = [self._pack(kind, value) for kind, value in zip(self._kinds, values, strict=True)]
        relations = []
        for holds, name in ((graph.left_of(), "left"), (graph.above(), "above")):
            value = RELATIONS.index(name) + holds.mT.long()
            relations.append(self._pack("relation", torch.where(holds | holds.mT, value, -1)))
        count = graph.count[:, None]
        facts = (len(self._kinds) + 1) * count - 1
        tables = (torch.stack(attributes, 2), torch.stack(relations, 3))
        columns = [*(table.flatten(1) for table in tables), torch.full_like(count, -1), RIGHT * facts]
        return torch.cat(columns, 1)

    def _pack(self, kind: str, value: Tensor) -> Tensor:
        """The packed sum of a mention with a noun and this value; -1 for no value."""
        base = 4 if kind == "relation" else len(attribute_words(self.config)[kind])
        packed = ((value + base) << self._fields[kind].shift) + (1 << self._fields["noun"].shift)
        return torch.where(value >= 0, packed, -1)

    def best(self, facts: Tensor, captions: Tensor) -> Tensor:
        """Returns the index of the best reference of each item, (n,) int64: the first is the full caption."""
        return torch.zeros(len(captions), dtype=torch.int64, device=captions.device)

    def score(self, tokens: Tensor, length: Tensor, facts: Tensor) -> Judgement:
        """Returns the utility of captions, as ``CaptionUtility`` does; L is at most 30."""
        if tokens.shape[1] > MAX_WORDS:
            raise ValueError(f"captions of {tokens.shape[1]} words are above {MAX_WORDS}: lower max_tokens")
        utility, parts = self._graded(tokens, length, facts)
        return Judgement(utility, dict(zip(self.parts, parts.unbind(0), strict=True)))

    @numpy_on_cpu
    def _graded(self, tokens: Array, length: Array, facts: Array) -> tuple[Array, Array]:
        """The utility (n,) and its parts (P, n)."""
        (n, width), table, k = tokens.shape, self._on(tokens), self.config.maximum
        eos = self.vocabulary.eos
        words = full((n, width + 2), eos, torch.int64, tokens)
        words[:, 1:-1] = where(table.positions[:width] >= length[:, None], eos, tokens)
        adds = take(table.bigrams, add_scaled(words[:, 1:], words[:, :-1], len(self.vocabulary)))
        # One running sum counts everything; its highest field is the number of nouns so far.
        running = adds.cumsum(1)
        sums = group_sums(adds, running >> self._fields["past"].shift, k)
        found = sums[:, None, :, None] & table.masks
        right = found == columns(facts, table.assignments).reshape(n, -1, k, len(table.masks))
        gain = largest((right * table.gains).reshape(n, -1, k * len(table.masks)).sum(2))
        counts = (running[:, -1] & table.totals) - gain
        parts = cast((counts >> table.shifts) & table.widths, torch.float32) * table.weights
        whole = cast(facts[:, -1], torch.float32)
        return parts.sum(0).clip(0) / whole, parts / whole

    def score_one(self, words: Sequence[int], facts: Sequence[int]) -> tuple[float, dict[str, float]]:
        """``score`` of one caption in Python's own numbers: the same tables, and the same bits."""
        table, size, most = self._plain, len(self.vocabulary), self.config.maximum
        running, before, sums = 0, self.vocabulary.eos * size, [0] * (most + 1)
        for word in (*words, self.vocabulary.eos):
            add = table.bigrams[before + word]
            running += add
            sums[min(running >> table.past, most)] += add
            before = word * size
        gain = max(
            sum([gain for mention, mask, gain, column in one if sums[mention] & mask == facts[column]])
            for one in table.assignments
        )
        counts, whole = (running & table.totals) - gain, facts[-1]
        numbers = [((counts >> shift) & width) * weight for shift, width, weight in table.shown]
        parts = {name: _quotient(number, whole) for name, number in zip(self.parts, numbers, strict=True)}
        return _quotient(max(sum(numbers), 0), whole), parts

    @cached_property
    def _plain(self) -> _PlainConstants:
        table, k = self._on(None), self.config.maximum
        several = table.assignments.reshape(-1, k, len(table.masks)).tolist()
        masks, gains = table.masks.tolist(), table.gains.tolist()
        assignments = [
            [
                (mention, mask, gain, column)
                for mention, columns in enumerate(one)
                for mask, gain, column in zip(masks, gains, columns, strict=True)
            ]
            for one in several
        ]
        shown = np.concatenate([table.shifts, table.widths, table.weights.astype(np.int64)], axis=1)
        return _PlainConstants(
            table.bigrams.tolist(), assignments, shown.tolist(), table.totals, self._fields["past"].shift
        )

    def _on(self, tokens: Array | None) -> _Constants:
        """The constants as arrays of the library and on the device of some tokens."""
        device = tokens.device if isinstance(tokens, Tensor) else None
        if device not in self._constants:
            self._constants[device] = self._build(device)
        return self._constants[device]

    def _build(self, device: torch.device | None) -> _Constants:
        fields = self._fields
        kinds = (*self._kinds, "relation")
        compared = (*kinds, "relation")  # the horizontal relation, then the vertical one
        claim = 1 << fields["claim"].shift
        shown = [fields[name] for name in (*kinds, "claim", "fault")]
        weights = [RIGHT] * len(kinds) + [INVENTED, FAULT]

        def table(numbers: Sequence[int], dtype: torch.dtype = torch.int64) -> Array:
            values = torch.tensor(numbers, dtype=dtype)
            return values.numpy() if device is None else values.to(device)

        return _Constants(
            positions=table(range(MAX_WORDS)),
            bigrams=table(self._bigrams()),
            assignments=table(self._assignments()),
            masks=table([fields[kind].mask | fields["noun"].mask for kind in compared]),
            # A right fact is not invented: subtracting the gain moves one from "claim" to its kind.
            gains=table([claim - (1 << fields[kind].shift) for kind in compared]),
            totals=fields["claim"].mask | fields["fault"].mask,
            shifts=table([field.shift for field in shown])[:, None],
            widths=table([(1 << field.width) - 1 for field in shown])[:, None],
            weights=table(weights, torch.float32)[:, None],
        )

    def _bigrams(self) -> list[int]:
        """For each pair of words the claim of the second, a fault, and whether the first is a noun."""
        fields, words = self._fields, self.vocabulary.words
        kinds = {**attribute_words(self.config), "relation": RELATIONS}
        claims = dict.fromkeys(words, 0)
        for kind, values in kinds.items():
            for value, word in enumerate(values):
                claims[word] = ((len(values) + value) << fields[kind].shift) + (1 << fields["claim"].shift)
                claims[word] += (kind == "shape") << fields["noun"].shift
        legal = legal_successors(self.config)
        return [
            claims[second]
            + ((second not in legal.get(first, ())) << fields["fault"].shift)
            + ((first in kinds["shape"]) << fields["past"].shift)
            for first in words
            for second in words
        ]

    def _assignments(self) -> list[int]:
        """The columns of the facts in the order of (assignment, mention, part of a mention)."""
        k, size = self.config.maximum, len(self._kinds)
        nothing = k * size + k * k * 2
        columns = []
        for objects in permutations(range(k)):
            for mention, number in enumerate(objects):
                pair = k * size + (objects[mention - 1] * k + number) * 2
                relation = [pair, pair + 1] if mention else [nothing, nothing]
                columns += [number * size + kind for kind in range(size)] + relation
        return columns
