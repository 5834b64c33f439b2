"""Words, one token a step."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import gymnasium as gym
import torch
from numpy.typing import NDArray
from torch import Tensor

from mm_envs.answers.edits import EDITS, substitute
from mm_envs.answers.kind import (
    Answered,
    AnswerKind,
    Editor,
    State,
    as_tensor,
    numbers_in,
    unknown,
)
from mm_envs.answers.word_classes import WordClasses
from mm_envs.arrays import Array, cast, numpy_on_cpu, on_host, with_entries
from mm_envs.names import check_one_of
from mm_envs.random import fold, integers
from mm_envs.spaces import Count, Tokens
from mm_envs.tokenizers import EOS, PAD, SPECIALS, Tokenizer, close, lengths, pad_to, same_words
from mm_envs.tokenizers.table import to_plain


class Text(AnswerKind):
    """Words of a vocabulary, one token a step: token ids (n, max_tokens) int64 with their length (n,).

    An answer ends with ``<eos>`` or after ``max_tokens`` words; the length counts the words before the end,
    and padding follows it. Padding that was written before the end counts as a word, and never as a good one.

    Example:
        >>> from mm_envs.tokenizers import Vocabulary
        >>> kind = Text(Vocabulary.of(["red", "green"]), max_tokens=3)
        >>> kind.parse("green"), kind.format(torch.tensor([4, 1, 0]))
        (tensor([4, 1, 0]), 'green')
        >>> kind.finish(torch.tensor([[3, 1, 4], [3, 0, 4]]))
        (tensor([[3, 1, 0], [3, 0, 4]]), tensor([1, 3]))
    """

    name: ClassVar[str] = "text"
    sequential = True

    def __init__(self, vocabulary: Tokenizer, max_tokens: int) -> None:
        if max_tokens < 1:
            raise ValueError(f"max_tokens={max_tokens} is below 1: an answer has at least one word")
        self.vocabulary, self.steps = vocabulary, max_tokens
        self.action_space = gym.spaces.Discrete(len(vocabulary))
        self.space = Tokens(max_tokens, vocabulary)
        self.state_spaces = {"tokens": self.space, "tokens_length": Count(max_tokens)}

    # Writing ----------------------------------------------------------------------------------------------

    def start(self, n: int, device: torch.device) -> State:
        """No words yet."""
        return {
            "tokens": torch.full((n, self.steps), PAD, dtype=torch.int64, device=device),
            "tokens_length": torch.zeros((n, 1), dtype=torch.int64, device=device),
        }

    def write(self, state: State, actions: Tensor) -> tuple[State, Tensor]:
        """Writes one word in every row."""
        tokens, length, ended = _written(state["tokens"], state["tokens_length"], actions)
        return {"tokens": tokens, "tokens_length": length}, ended

    def write_one(self, state: dict[str, NDArray[Any]], action: Any) -> bool:
        """``write`` for a single answer, in place."""
        tokens, length = state["tokens"], state["tokens_length"]
        index = min(int(length[0]), self.steps - 1)
        tokens[index], length[0] = action, index + 1
        return action == EOS or index + 1 == self.steps

    def response_one(self, state: Mapping[str, NDArray[Any]], action: Any) -> tuple[NDArray[Any], int | None]:
        """The words written, and how many before ``<eos>``."""
        return state["tokens"], int(state["tokens_length"][0]) - (action == EOS)

    def valid(self, state: State, n: int, device: torch.device) -> Tensor:
        """All words but padding, which is never a good one."""
        words = torch.arange(len(self.vocabulary), device=device)
        return (words != PAD).expand(n, -1)

    def response(self, state: State, actions: Tensor) -> Answered:
        """The words written, and how many before ``<eos>``."""
        return state["tokens"], _words_before_end(state["tokens_length"], actions)

    # Ends -------------------------------------------------------------------------------------------------

    def finish(self, response: Tensor) -> Answered:
        """Words up to ``<eos>`` with padding behind it, and how many come before it."""
        length = lengths(response)
        return response.masked_fill(self._index(response) > length[:, None], PAD), length

    def close(self, response: Tensor) -> Answered:
        """Words up to the first padding or ``<eos>``, cut or padded to ``max_tokens``, with ``<eos>``."""
        tokens = close(pad_to(response, self.steps))
        return tokens, lengths(tokens)

    def steps_of(self, response: Tensor) -> int:
        """The words and ``<eos>``; padding at the end of a truncated answer takes no step."""
        written = (response != PAD).any(0).nonzero()
        return int(written[-1]) + 1 if len(written) else 0

    def beginning(self, response: Tensor, length: Tensor | None, steps: int) -> Answered:
        """The first words; without lengths they are those of ``close``."""
        length = self.close(response)[1] if length is None else length
        return response.masked_fill(self._index(response) >= steps, PAD), _given(length).clamp(max=steps)

    def single_words(self, count: int) -> Tensor:
        """Answers of one token each, (count, max_tokens): ids 0 to ``count`` - 1."""
        ids = torch.arange(count)[:, None]
        return torch.nn.functional.pad(ids, (0, self.steps - 1), value=PAD)

    def without(self, response: Tensor, length: Tensor | None, part: Tensor) -> Answered:
        """The words without the one at an index each."""
        index, length = self._index(response), _given(length)
        later = torch.nn.functional.pad(response[:, 1:], (0, 1))
        there = part < length
        tokens = torch.where(there[:, None] & (index >= part[:, None]), later, response)
        length = length - there.to(length.dtype)
        # An answer of full length had no <eos>; it has room for one now.
        return tokens.masked_fill(there[:, None] & (index == length[:, None]), EOS), length

    def written(self, length: Tensor, width: int) -> Tensor:
        """Which entries of responses were written, ``<eos>`` included: (n, width) bool."""
        return torch.arange(width, device=length.device) <= length[:, None]

    def trimmed(self, response: Tensor, length: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Responses with ``<eos>`` and padding behind their length, and which entries are written.

        On the CPU they are cut to the longest of them.
        """
        length = _given(self.finish(response)[1]) if length is None else length
        width = response.shape[1]
        if on_host(response) and len(length):
            width = min(width, int(length.max()) + 1)
        return close(response[:, :width], length), self.written(length, width)

    # Draws and changes ------------------------------------------------------------------------------------

    def random(self, hashes: Tensor) -> Tensor:
        """Every word uniform over the vocabulary, as from uniform logits."""
        steps = torch.arange(self.steps, device=hashes.device)
        words: Tensor = integers(fold(hashes[:, None], steps), len(self.vocabulary))
        return words

    def editor(self, names: Collection[str] | None = None, similar: Sequence[Sequence[str]] = ()) -> Editor:
        """Draws uniformly from the edits of ``mm_envs.answers.edits.EDITS``.

        Words of one class of ``similar`` can replace each other; without any, all words can.
        """
        chosen = list(EDITS) if names is None else list(names)
        for name in chosen:
            check_one_of("kinds", name, EDITS)
        if not chosen:
            raise ValueError(f"kinds={names!r} is empty: name at least one of {', '.join(EDITS)}")
        words = self.vocabulary.words
        classes, whole = (WordClasses.among(words, some, len(SPECIALS)) for some in (similar, ()))
        edits = [(EDITS[name], whole if name == "replace" else classes) for name in chosen]

        def edit(response: Tensor, length: Tensor | None, count: Tensor, hashes: Tensor) -> Answered:
            length = _given(length).clone()
            tokens = response.masked_fill(response == EOS, PAD)
            for step in range(int(count.max()) if len(count) else 0):
                draws = fold(hashes, step)
                which = integers(fold(draws, 0), len(edits))
                for number, (change, table) in enumerate(edits):
                    rows = ((step < count) & (which == number)).nonzero()[:, 0]
                    tokens[rows], length[rows] = change(
                        tokens[rows], length[rows], fold(draws[rows], 1), table
                    )
            return close(tokens, length), length

        def other(response: Tensor, length: Tensor | None, hashes: Tensor) -> Answered:
            # One word becomes another of its class, else any other; an answer without words gets one.
            before = response.masked_fill(response == EOS, PAD)
            changed, length = substitute(before, _given(length), hashes, classes)
            replaced, _ = substitute(before, length, hashes, whole)
            tokens = torch.where((changed == before).all(1)[:, None], replaced, changed)
            empty = (tokens == before).all(1)
            added = len(SPECIALS) + integers(hashes, len(words) - len(SPECIALS))
            tokens[:, 0] = torch.where(empty, added, tokens[:, 0])
            length = torch.where(empty, length.clamp(min=1), length)
            return close(tokens, length), length

        return Editor(edit, other)

    def slip(self, response: Tensor, length: Tensor | None, hashes: Tensor) -> Answered:
        """One word replaced by any other; an answer without words stays as it is."""
        length = _given(length)
        index = integers(hashes, length.clamp(min=1))
        ordinary = len(self.vocabulary) - len(SPECIALS)
        old = response.gather(1, index[:, None])[:, 0] - len(SPECIALS)
        step = 1 + integers(fold(hashes, 1), max(ordinary - 1, 1))
        exchanged = response.scatter(1, index[:, None], ((old + step) % ordinary + len(SPECIALS))[:, None])
        return torch.where((length > 0)[:, None], exchanged, response), length

    def distance(
        self, response: Tensor, length: Tensor | None, other: Tensor, other_length: Tensor | None
    ) -> Tensor:
        """Levenshtein distance in words: changed, left out or inserted."""
        index = torch.arange(other.shape[1] + 1, device=response.device)
        row = index.expand(len(response), -1)
        rows = [row]
        for i in range(response.shape[1]):
            # Deletions and substitutions are elementwise; insertions need a running minimum along the row.
            differs = (response[:, i : i + 1] != other).to(torch.int64)
            best = torch.minimum(row[:, 1:] + 1, row[:, :-1] + differs)
            best = torch.cat([row[:, :1] + 1, best], 1)
            row = (best - index).cummin(1).values + index
            rows.append(row)
        each = torch.arange(len(response), device=response.device)
        return torch.stack(rows, 1)[each, _given(length), _given(other_length)]

    def same(self, response: Tensor, other: Tensor) -> Tensor:
        """Which responses have the same words before their end."""
        return same_words(response, other)

    def holds(self, word: str, response: Tensor, length: Tensor | None) -> Tensor:
        """Which answers hold a word before their end."""
        if word not in self.vocabulary:
            known = ", ".join(self.vocabulary.words[len(SPECIALS) :][:8])
            raise ValueError(f"word {word!r} is in no answer: name one of {known}")
        there = self._index(response) < _given(length)[:, None]
        return ((response == self.vocabulary.ids[word]) & there).any(1)

    # Text and JSON ----------------------------------------------------------------------------------------

    def parse(self, given: Any) -> Tensor:
        """Token ids of words or numbers, with ``<eos>`` where they end before ``max_tokens``."""
        read = numbers_in(given)
        if isinstance(read, str):
            for word in read.split():
                if word not in self.vocabulary:
                    raise unknown(word, self.vocabulary.words, "word")
            read = [self.vocabulary.ids[word] for word in read.split()]
        ids = as_tensor(read)
        ids = ids.to(torch.int64).flatten() if ids.numel() == 0 else ids
        if ids.ndim != 1 or ids.is_floating_point() or len(ids) > self.steps:
            raise ValueError(f"response={given!r} is no answer: give at most {self.steps} words or their ids")
        ids = ids.to(torch.int64)
        spare = self.steps - len(ids)
        if spare and not bool((ids == EOS).any()):
            ids = torch.nn.functional.pad(ids, (0, 1), value=EOS)
        ids = torch.nn.functional.pad(ids, (0, self.steps - len(ids)))
        if not torch.equal(self.finish(ids[None])[0][0], ids):
            end = int((ids == EOS).int().argmax()) + 1
            raise ValueError(
                f"response={given!r} goes on after the episode has ended with step {end}: "
                "leave out what follows"
            )
        return ids

    def format(self, response: Tensor) -> str:
        """The words; padding between them is left out, as in every metric."""
        return self.vocabulary.decode(response)

    def normalise(self, text: str) -> str:
        """Words with one space between them."""
        return " ".join(text.split())

    @property
    def digest(self) -> str:
        """The digest of the vocabulary."""
        return self.vocabulary.digest

    def config(self) -> dict[str, Any]:
        """Vocabulary and number of steps."""
        return {"vocabulary": to_plain(self.vocabulary), "max_tokens": self.steps}

    def _index(self, tokens: Tensor) -> Tensor:
        return torch.arange(tokens.shape[1], device=tokens.device)


@numpy_on_cpu
def _written(tokens: Array, length: Array, actions: Array) -> tuple[Array, Array, Array]:
    """Tokens, length and end after one more word in every row."""
    steps = tokens.shape[1]
    # A finished row may be stepped (its result is discarded): keep its index in range.
    index = length.clip(max=steps - 1)
    length = index + 1
    ended = (actions == EOS) | (length[:, 0] == steps)
    return with_entries(tokens, index[:, 0], actions), length, ended


@numpy_on_cpu
def _words_before_end(length: Array, actions: Array) -> Array:
    return length[:, 0] - cast(actions == EOS, torch.int64)


def _given(length: Tensor | None) -> Tensor:
    if length is None:
        raise ValueError("answers in words come with their lengths: give those of finish(response)")
    return length
