"""Captioning: describe a picture, a video or a sound in words, one word a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from mm_envs.answers import Text
from mm_envs.data.dataset import Dataset, make_dataset
from mm_envs.episodes import Judgement, follows
from mm_envs.tasks.baselines import best_constant_words
from mm_envs.tasks.fields import captions_of
from mm_envs.tasks.task import Fields, Task

_BLIND_ITEMS = 512
_BLIND_STARTS = 64
# With more words than this the search for the best constant caption uses the most frequent ones only.
_FEW_WORDS = 128
_FREQUENT, _FREQUENT_ITEMS, _FREQUENT_SWEEPS = 32, 128, 2


class Caption(Task):
    """Describe what is seen (and heard).

    ## Description
    The agent sees a picture (with ``sound="agree"`` or ``"complement"`` it also hears it) and writes a
    caption word by word. With ``sound="complement"`` the picture is grey and the colours are heard. A
    ``folder`` shows the pictures, videos and sounds that it holds.

    ## Observation space
    A flat Dict: those of ``image`` (Image), ``video`` (Video) and ``audio`` (Audio) that the dataset has,
    constant during an episode; ``tokens`` (Tokens: the words so far, padded) and ``tokens_length`` (Count).
    On folders sounds have an ``audio_length``, and ``<key>_present`` is 0 where an item lacks an entry.

    ## Action space
    ``Discrete(words)``: the next word; ``<eos>`` (1) ends the caption.

    ## Rewards
    0 until the caption ends, then the reward of the feedback; by default that of a simulated annotator. The
    utility on scenes is computed from the scene graph: correct facts, minus invented facts, minus errors of
    grammar; any valid caption counts, whichever object it names first.

    On folders with facts utility is correct facts minus invented ones (words or phrases that are true of
    other items), over the number of facts, at least 0. On folders without facts utility is CIDEr-D over all
    references, with the document frequency of the training items, divided by the score of the best
    reference; a metric used as feedback sees only one of them. ``<unk>`` matches nothing.

    ## Episode end
    Terminates with ``<eos>`` or after ``max_tokens`` words; both are judged.

    ## Arguments
    ``dataset``, ``max_tokens`` (by default just enough for the longest full caption and ``<eos>``), and the
    arguments of the dataset (``objects``, ``sound``, ...; of a folder ``path``, ...).

    ## Version history
    v0: first version.
    """

    utility_deviation = 0.25
    blind_items = 128  # a search for the best constant caption takes seconds per hundred items
    answer: Text

    def __init__(
        self, dataset: str | Dataset = "scenes", max_tokens: int | None = None, **dataset_arguments: Any
    ) -> None:
        self.dataset = make_dataset(dataset, **dataset_arguments)
        made, captions = captions_of(self.dataset)
        if made is not None:
            self._use(made)
        self._show("image", "video", "audio")
        if not self.context:
            raise ValueError(
                f"dataset {self.dataset.name!r} shows nothing to describe: give pictures, videos or sounds"
            )
        self.grader, self.part_modalities = captions.utility, captions.part_modalities
        self.reference = (self.grader.field, "captions")
        self.answer = Text(captions.vocabulary, captions.max_tokens if max_tokens is None else max_tokens)

    def utility(self, response: Tensor, length: Tensor | None, reference: Fields) -> Judgement:
        """The utility of captions: on scenes correct facts, minus invented ones and errors of grammar."""
        if length is None:
            response, length = self.answer.finish(response)
            assert length is not None
        return self.grader.score(response, length, reference[self.grader.field])

    def utility_one(
        self, response: NDArray[Any], length: int | None, reference: Mapping[str, NDArray[Any]]
    ) -> tuple[float, dict[str, float]] | None:
        """The utility of one caption, where the grader of the dataset can compute it by itself."""
        grader: Any = self.grader
        if not follows(grader, "score_one", "score"):
            return None
        result: tuple[float, dict[str, float]] = grader.score_one(
            response[:length].tolist(), reference[self.grader.field].tolist()
        )
        return result

    def references(self, reference: Fields) -> tuple[Tensor, Tensor]:
        """The reference captions; folders pad where an item has fewer than others."""
        captions = reference["captions"]
        n, several = captions.shape[:2]
        closed, length = self.answer.close(captions.flatten(0, 1))
        assert length is not None
        return closed.view(n, several, -1), (length > 0).view(n, several)

    def oracle(self, reference: Fields) -> Tensor:
        """The best reference: on scenes the full caption, objects in reading order."""
        captions = reference["captions"]
        best = self.grader.best(reference[self.grader.field], captions)
        return self.answer.close(captions[torch.arange(len(captions), device=captions.device), best])[0]

    def blind(self, context: Fields, reference: Fields, seen: Fields) -> Tensor:
        """The constant caption with the best mean utility, by local search."""
        kind, few = self.answer, len(self.answer.vocabulary) <= _FEW_WORDS
        known = reference[self.grader.field][: _BLIND_ITEMS if few else _FREQUENT_ITEMS]
        starts = self.oracle({name: rows[:_BLIND_STARTS] for name, rows in reference.items()})
        first = [kind.beginning(starts[:1], None, words)[0] for words in range(1, kind.steps + 1)]
        starts = torch.cat([starts, *first])
        words, sweeps = (len(kind.vocabulary), 4) if few else (_FREQUENT, _FREQUENT_SWEEPS)
        if not few:
            starts = torch.cat([starts, kind.single_words(words)])
        best = best_constant_words(
            lambda captions: self._mean_utility(captions, known), starts, words, sweeps
        )
        return kind.close(best[None])[0].expand(len(next(iter(seen.values()))), -1)

    def _mean_utility(self, captions: Tensor, known: Tensor) -> Tensor:
        """The mean utility of captions over the reference facts of many items."""
        pairs, length = self.answer.close(captions.repeat_interleave(len(known), 0))
        assert length is not None
        repeated = known.repeat(len(captions), *[1] * (known.ndim - 1))
        utility = self.grader.score(pairs, length, repeated).reward
        return utility.view(len(captions), len(known)).double().mean(1)
