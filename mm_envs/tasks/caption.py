"""Captioning: describe a picture, a video or a sound in words, one word a step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mm_envs.data.dataset import Dataset, make_dataset
from mm_envs.episodes import Judgement
from mm_envs.tasks.task import Fields, TokenTask
from mm_envs.tasks.yardsticks import best_constant_words, words_length

_BLIND_ITEMS = 512
_BLIND_STARTS = 64
_CURE = (
    "choose one that has, or name the column of a folder: columns={'captions': 'their name'}, on the command "
    'line --set \'columns={"captions": "their name"}\''
)
# With more words than this the search for the best constant caption is held to the most frequent ones.
_FEW_WORDS = 128
_FREQUENT, _FREQUENT_ITEMS, _FREQUENT_SWEEPS = 32, 128, 2


class Caption(TokenTask):
    """Describe what is seen (and heard).

    ## Description
    The agent sees a picture (with ``sound="agree"`` or ``"complement"`` it hears it, too) and writes a
    caption word by word. With ``sound="complement"`` the picture is grey and the colours are heard. On a
    ``folder`` it is given the pictures, videos and sounds that are there.

    ## Observation space
    A flat Dict: those of ``image`` (Image), ``video`` (Video) and ``audio`` (Audio) that the dataset has,
    constant during an episode; ``tokens`` (Tokens: the words so far, padded) and ``tokens_length`` (Count).
    On folders sounds have an ``audio_length``, and ``<key>_present`` is 0 where an item lacks something.

    ## Action space
    ``Discrete(words)``: the next word; ``<eos>`` (1) ends the caption.

    ## Rewards
    0 until the caption ends, then what the feedback says of it; by default a simulated rater. The utility on
    scenes is computed from the scene graph: facts right, minus facts invented, minus faults of grammar; any
    valid caption counts, whichever object it names first.

    On folders with facts utility is facts right minus facts invented (words or phrases that are true of
    other items), over the number of facts, not below 0. On folders without facts utility is CIDEr-D, with
    the document frequency of the training items, over all references, divided by what the best of the
    references gets; and any metric used as feedback sees one of them. ``<unk>`` matches nothing.

    ## Episode end
    Terminates with ``<eos>`` or after ``max_tokens`` words; both are judged.

    ## Arguments
    ``dataset``, ``max_tokens`` (by default just enough for the longest full caption and ``<eos>``), and the
    arguments of the dataset (``objects``, ``sound``, ...; of a folder ``path``, ...).

    ## Version history
    v0: first version.
    """

    utility_deviation = 0.25

    def __init__(
        self, dataset: str | Dataset = "scenes", max_tokens: int | None = None, **dataset_arguments: Any
    ) -> None:
        self.dataset = make_dataset(dataset, **dataset_arguments)
        if "caption" not in self.dataset.vocabularies:
            raise ValueError(f"dataset {self.dataset.name!r} has no captions: {_CURE}")
        self._show("image", "video", "audio")
        if not self.context:
            raise ValueError(
                f"dataset {self.dataset.name!r} shows nothing to describe: give pictures, videos or sounds"
            )
        self.grader = self.dataset.caption_grader()  # type: ignore[attr-defined]
        self.reference = (self.grader.field, "captions")
        if max_tokens is None:
            max_tokens = self.dataset.max_tokens  # type: ignore[attr-defined]
        self._set_vocabulary(self.dataset.vocabularies["caption"], max_tokens)
        self.part_modalities = self.dataset.part_modalities()  # type: ignore[attr-defined]

    def utility(self, response: Tensor, length: Tensor | None, reference: Fields) -> Judgement:
        """What the grader of the dataset says: on scenes facts right, minus invented, minus bad grammar."""
        judgement: Judgement = self.grader.score(response, length, reference[self.grader.field])
        return judgement

    def oracle(self, reference: Fields) -> Tensor:
        """The best reference: on scenes the full caption, objects in reading order."""
        captions = reference["captions"]
        best = self.grader.best(reference[self.grader.field], captions)
        captions = captions[torch.arange(len(captions), device=captions.device), best]
        return self._fitted(captions)

    def _fitted(self, captions: Tensor) -> Tensor:
        spare = self.horizon - captions.shape[1]
        if spare >= 0:
            return torch.nn.functional.pad(captions, (0, spare))
        return captions[:, : self.horizon]

    def blind(self, context: Fields, reference: Fields, seen: Fields) -> Tensor:
        """The constant caption with the best mean utility that local search finds."""
        few = len(self.vocabulary) <= _FEW_WORDS
        known = reference[self.grader.field][: _BLIND_ITEMS if few else _FREQUENT_ITEMS]
        starts = self.oracle({name: rows[:_BLIND_STARTS] for name, rows in reference.items()})
        starts = torch.cat([starts, _beginnings(starts[:1])])
        words, sweeps = (len(self.vocabulary), 4) if few else (_FREQUENT, _FREQUENT_SWEEPS)
        if not few:
            starts = torch.cat(
                [starts, torch.nn.functional.pad(torch.arange(words)[:, None], (0, self.horizon - 1))]
            )
        best = best_constant_words(
            lambda captions: self._mean_utility(captions, known), starts, words, sweeps
        )
        return best.expand(len(next(iter(seen.values()))), -1)

    def _mean_utility(self, captions: Tensor, known: Tensor) -> Tensor:
        """The mean utility of each of some captions over what is known of many items."""
        pairs = captions.repeat_interleave(len(known), 0)
        repeated = known.repeat(len(captions), *[1] * (known.ndim - 1))
        utility: Tensor = self.grader.score(pairs, words_length(pairs), repeated).reward
        return utility.view(len(captions), len(known)).double().mean(1)

    def reference_words(self, reference: Fields) -> list[str]:
        """The reference captions."""
        return [text for text in map(self.vocabulary.decode, reference["captions"]) if text]


def _beginnings(captions: Tensor) -> Tensor:
    """Every beginning of each caption, padded."""
    length = captions.shape[1]
    keep = torch.arange(length) < torch.arange(1, length + 1)[:, None]
    return (captions[:, None] * keep).flatten(0, 1)
