"""Retrieval: the picture, of several, that a caption describes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mm_envs.answers import Choice, Ranking, Text
from mm_envs.data.dataset import Dataset, make_dataset
from mm_envs.episodes import Judgement
from mm_envs.names import at_least, check_one_of, whole
from mm_envs.random import fold, integers
from mm_envs.spaces import Candidates, Count, Image
from mm_envs.tasks.fields import captions_of
from mm_envs.tasks.task import Fields, Task

ANSWERS = ("choice", "ranking")


class Retrieve(Task):
    """Find the picture that a caption describes.

    ## Description
    The agent reads a caption and sees several pictures, in random order. One of them is the picture that the
    caption was written for; the others are pictures of other items of the same split. It names that picture,
    or puts all of them in order.

    ## Observation space
    A flat Dict: ``query`` (Tokens, the caption) with ``query_length`` (Count), and ``candidates`` (Candidates
    of Image).

    ## Action space
    ``Discrete(candidates)``: the index of a picture. With ``answer="ranking"`` one picture a step, best
    first; ranking a picture again ranks the first one that was not.

    ## Rewards
    The reward of the feedback; by default that of a simulated annotator. The utility is 1 for the right
    picture and 0 for others; of a ranking it is the reciprocal rank of the right picture.

    ## Episode end
    Terminates after one step; with rankings, when one picture is left.

    ## Arguments
    ``dataset`` (one with pictures and captions), ``candidates`` (how many pictures), ``answer`` ("choice",
    "ranking"), and the arguments of the dataset.

    ## Version history
    v0: first version.
    """

    reference = ("target",)
    links = {"candidates": "image"}  # noqa: RUF012 - as the base class has it
    context = {name: name for name in ("query", "query_length", "candidates")}  # noqa: RUF012

    def __init__(
        self,
        dataset: str | Dataset = "scenes",
        candidates: int = 8,
        answer: str = "choice",
        **dataset_arguments: Any,
    ) -> None:
        self.dataset = make_dataset(dataset, **dataset_arguments)
        self._captions, captions = captions_of(self.dataset)
        whole("candidates", candidates)
        at_least("candidates", candidates, 2, "with one picture there is nothing to choose")
        check_one_of("answer", answer, ANSWERS)
        image = self.dataset.spaces.get("image")
        if not isinstance(image, Image):
            raise ValueError(f"dataset {self.dataset.name!r} has no pictures to choose from: use another one")
        self.candidates, self.query = candidates, Text(captions.vocabulary, captions.max_tokens)
        self.facts = ("captions",) if self._captions is None else self._captions.facts
        self.made = {
            "query": self.query.space,
            "query_length": Count(captions.max_tokens),
            "candidates": Candidates(image, candidates),
            "target": None,
        }
        names = [str(number) for number in range(1, candidates + 1)]
        kinds = {"choice": Choice(names, "candidates"), "ranking": Ranking(candidates, among="candidates")}
        self.answer, self._ranks = kinds[answer], answer == "ranking"
        self._part = "reciprocal_rank" if self._ranks else "right"
        self.part_modalities = {self._part: ("query", "candidates")}

    def fields(self, facts: Fields, hashes: Tensor) -> dict[str, Tensor]:
        """The first caption of the item, and its picture among others at a random index."""
        made = facts if self._captions is None else self._captions.make(facts, hashes)
        query, length = self.query.close(made["captions"][:, 0])
        target = integers(fold(hashes, 1), self.candidates)
        others = self.dataset.others(facts["item"], fold(hashes, 2), self.candidates - 1)
        index = torch.arange(self.candidates, device=target.device)
        # The others keep their order around the right picture.
        position = torch.where(index > target[:, None], index - 1, index).clamp(max=self.candidates - 2)
        here = index == target[:, None]
        items = torch.where(here, facts["item"][:, None], others.gather(1, position))
        assert length is not None  # words have a length
        return {"query": query, "query_length": length[:, None], "candidates": items, "target": target}

    def utility(self, response: Tensor, length: Tensor | None, reference: Fields) -> Judgement:
        """1 for the right picture; of a ranking the reciprocal of its rank."""
        right = response == (reference["target"][:, None] if self._ranks else reference["target"])
        ranks = torch.arange(1, response.shape[-1] + 1, device=response.device) if self._ranks else 1
        worth = right.to(torch.float32) / ranks
        worth = worth.amax(1) if self._ranks else worth
        return Judgement(worth, {self._part: worth})

    def oracle(self, reference: Fields) -> Tensor:
        """The right picture; then the others in order."""
        target = reference["target"]
        if not self._ranks:
            return target
        index = torch.arange(self.candidates, device=target.device)
        return (index != target[:, None]).to(torch.int64).sort(dim=1, stable=True).indices

    def blind(self, context: Fields, reference: Fields, seen: Fields) -> Tensor:
        """The index that is right most often."""
        n = len(next(iter(seen.values())))
        return self.oracle({"target": reference["target"].mode().values.expand(n)})
