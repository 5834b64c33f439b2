"""Captioning: describe a picture (and a sound) in words, one word a step."""

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


class Caption(TokenTask):
    """Describe what is seen (and heard).

    ## Description
    The agent sees a picture (with ``sound="agree"`` or ``"complement"`` it hears it, too) and writes a
    caption word by word. With ``sound="complement"`` the picture is grey and the colours are heard.

    ## Observation space
    A flat Dict: ``image`` (Image), ``audio`` (Audio, where there is sound), constant during an episode;
    ``tokens`` (Tokens: the words so far, padded) and ``tokens_length`` (Count).

    ## Action space
    ``Discrete(words)``: the next word; ``<eos>`` (1) ends the caption.

    ## Rewards
    0 until the caption ends, then what the feedback says of it; by default a simulated rater. The utility on
    scenes is computed from the scene graph: facts right, minus facts invented, minus faults of grammar; any
    valid caption counts, whichever object it names first.

    ## Episode end
    Terminates with ``<eos>`` or after ``max_tokens`` words; both are judged.

    ## Arguments
    ``dataset``, ``max_tokens`` (by default just enough for the longest full caption and ``<eos>``), and the
    arguments of the dataset (``objects``, ``sound``, ...).

    ## Version history
    v0: first version.
    """

    utility_deviation = 0.25

    def __init__(
        self, dataset: str | Dataset = "scenes", max_tokens: int | None = None, **dataset_arguments: Any
    ) -> None:
        self.dataset = make_dataset(dataset, **dataset_arguments)
        if "caption" not in self.dataset.vocabularies:
            raise ValueError(f"dataset {self.dataset.name!r} has no captions: choose one that has")
        self._show("image", "audio")
        self.grader = self.dataset.caption_grader()  # type: ignore[attr-defined]
        self.reference = ("facts", "captions")
        if max_tokens is None:
            max_tokens = self.dataset.max_tokens  # type: ignore[attr-defined]
        self._set_vocabulary(self.dataset.vocabularies["caption"], max_tokens)
        self.part_modalities = self.dataset.part_modalities()  # type: ignore[attr-defined]

    def utility(self, response: Tensor, length: Tensor | None, reference: Fields) -> Judgement:
        """Facts right, minus facts invented, minus faults of grammar; see the grader of the dataset."""
        judgement: Judgement = self.grader.score(response, length, reference["facts"])
        return judgement

    def oracle(self, reference: Fields) -> Tensor:
        """The full caption, objects in reading order."""
        captions = reference["captions"][:, 0]
        spare = self.horizon - captions.shape[1]
        if spare >= 0:
            return torch.nn.functional.pad(captions, (0, spare))
        return captions[:, : self.horizon]

    def blind(self, context: Fields, reference: Fields, seen: Fields) -> Tensor:
        """The constant caption with the best mean utility that local search finds."""
        facts = reference["facts"][:_BLIND_ITEMS]
        starts = self.oracle({"captions": reference["captions"][:_BLIND_STARTS]})
        starts = torch.cat([starts, _beginnings(starts[:1])])
        best = best_constant_words(
            lambda captions: self._mean_utility(captions, facts), starts, len(self.vocabulary)
        )
        return best.expand(len(next(iter(seen.values()))), -1)

    def _mean_utility(self, captions: Tensor, facts: Tensor) -> Tensor:
        pairs = captions.repeat_interleave(len(facts), 0)
        repeated = facts.repeat(len(captions), 1)
        utility: Tensor = self.grader.score(pairs, words_length(pairs), repeated).reward
        return utility.view(len(captions), len(facts)).double().mean(1)

    def reference_words(self, reference: Fields) -> list[str]:
        """The reference captions."""
        return [text for text in map(self.vocabulary.decode, reference["captions"]) if text]


def _beginnings(captions: Tensor) -> Tensor:
    """Every beginning of each caption, padded."""
    length = captions.shape[1]
    keep = torch.arange(length) < torch.arange(1, length + 1)[:, None]
    return (captions[:, None] * keep).flatten(0, 1)
