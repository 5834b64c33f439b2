"""Ensembles of reward models: normalised, aggregated, with their disagreement."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from feedback.preferences.batches import Answers
from feedback.reward_models.config import AGGREGATIONS, FREEZES
from feedback.reward_models.minibatches import digest_of_answers
from feedback.reward_models.model import RewardModel
from mm_envs.names import at_least, check_one_of, one_of

_CHUNK = 1024
_MIN_DEVIATION = 1e-6


class Ensemble(nn.Module):
    """Reward models that score together.

    A score is only known up to shift and scale, so each member is normalised on a fixed reference set of
    answers before scores are aggregated (Coste et al., "Reward model ensembles help mitigate
    overoptimization", 2023, arXiv 2310.02743).

    Args:
        members: The models, of the same spaces.
        aggregation: "mean", "min" (WCO) or "uwo": mean - lambda * variance.
        penalty: lambda.
        shared: What all members have in common and is run once: "nothing", the "context" encoder, or the
            whole "trunk".

    Attributes:
        mean: Of the scores of each member on the reference set, (members,).
        deviation: Their standard deviation, (members,).
        temperature: The divisor of differences of aggregated scores for a probability, ().
        reference_size: The number of answers of the reference set; 0 before ``normalise_on``.
        reference_digest: The SHA-256 of the reference set.

    Example:
        >>> from feedback.reward_models import ModelConfig
        >>> from mm_envs.tasks import make_task
        >>> task = make_task("classify", dataset="digits")
        >>> models = [RewardModel(task, ModelConfig(features=16, width=8), seed=seed) for seed in range(3)]
        >>> answers = Answers.of({"image": torch.zeros(2, 1, 40, 40)}, torch.tensor([[0, 1], [2, 3]]))
        >>> Ensemble(models).scores(answers).shape, Ensemble(models)(answers).shape
        (torch.Size([3, 4]), torch.Size([4]))
    """

    mean: Tensor
    deviation: Tensor
    temperature: Tensor

    def __init__(
        self,
        members: Sequence[RewardModel],
        aggregation: str = "mean",
        penalty: float = 0.5,
        shared: str = "nothing",
    ) -> None:
        super().__init__()
        if not members:
            raise ValueError("members=[] is empty: an ensemble has at least one")
        check_one_of("aggregation", aggregation, AGGREGATIONS)
        check_one_of("shared", shared, FREEZES)
        self.members = nn.ModuleList(members)
        self.aggregation, self.penalty, self.shared = aggregation, penalty, shared
        self.spaces, self.config = members[0].spaces, members[0].config
        for member in members[1:]:
            if shared != "nothing":
                member.context_encoder = members[0].context_encoder
            if shared == "trunk":
                member.reader = members[0].reader
        self.reference_size, self.reference_digest = 0, ""
        self.register_buffer("mean", torch.zeros(len(members)))
        self.register_buffer("deviation", torch.ones(len(members)))
        self.register_buffer("temperature", torch.ones(()))

    def raw(self, answers: Answers) -> Tensor:
        """Scores (members, a), each on the scale of its member."""
        return torch.stack(self._each(answers, lambda member, read: member.head(read)))

    def scores(self, answers: Answers) -> Tensor:
        """Scores (members, a), of mean 0 and standard deviation 1 on the reference set."""
        return (self.raw(answers) - self.mean[:, None]) / self.deviation[:, None]

    def forward(self, answers: Answers) -> Tensor:
        """Aggregated scores (a,)."""
        return self.aggregate(self.scores(answers))

    def features(self, answers: Answers) -> Tensor:
        """Features (a, members * D): those of which the score of each member is a linear function."""
        return torch.cat(self._each(answers, lambda member, read: member.head.features(read)), 1)

    def aggregate(self, scores: Tensor) -> Tensor:
        """One score of those of the members, (members, a) to (a,)."""
        return aggregate(scores, self.aggregation, self.penalty)

    def probability(self, first: Tensor, second: Tensor) -> Tensor:
        """How likely the first answer is preferred, (n,), from aggregated scores of both, (n,)."""
        return torch.sigmoid((first - second) / self.temperature)

    @torch.no_grad()
    def predict(self, answers: Answers, chunk: int = _CHUNK) -> Tensor:
        """``scores`` without gradients, a chunk of answers at a time: (members, a)."""
        if len(answers) <= chunk:
            return self.scores(answers)
        # Answers to one context go into one chunk, so that it is encoded once.
        order = answers.context.argsort(stable=True)
        parts = [self.scores(answers.take(rows)) for rows in torch.split(order, chunk)]
        return torch.cat(parts, 1)[:, order.argsort()]

    @torch.no_grad()
    def normalise_on(self, reference: Answers) -> None:
        """Sets mean and standard deviation of each member to those of its scores on some answers.

        A member that gives all of them the same score is only shifted.
        """
        at_least("len(reference)", len(reference), 1, "scores are normalised on some answers")
        self.reference_size, self.reference_digest = len(reference), digest_of_answers(reference)
        self.mean.zero_()
        self.deviation.fill_(1.0)
        scores = self.predict(reference).double()
        self.mean.copy_(scores.mean(1))
        deviation = scores.std(1, correction=0)
        self.deviation.copy_(torch.where(deviation < _MIN_DEVIATION, 1.0, deviation))

    def _each(self, answers: Answers, use: Callable[[RewardModel, Tensor], Tensor]) -> list[Tensor]:
        """What is made of what each member reads. A loop: batched weights are slower on a CPU."""
        out, encoded, read = [], None, None
        for member in self.members:
            assert isinstance(member, RewardModel)
            # What the member before made is let go first: its memory is used again.
            if self.shared != "trunk":
                read = None
            if self.shared == "nothing":
                encoded = None
            encoded = member.encode(answers.contexts) if encoded is None else encoded
            read = member.read(encoded, answers) if read is None else read
            out.append(use(member, read))
        return out


def aggregate(scores: Tensor, how: str = "mean", penalty: float = 0.5) -> Tensor:
    """One score of those of several members, (members, a) to (a,).

    Args:
        scores: Normalised scores.
        how: "mean"; "min", the worst case; "uwo", the mean minus ``penalty`` times the variance among members
            (divided by their number; Coste et al., 2023, arXiv 2310.02743, equations 3 and 4).
        penalty: lambda of "uwo".

    Example:
        >>> scores = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
        >>> [aggregate(scores, how).tolist() for how in ("mean", "min", "uwo")]
        [[2.0, 0.0], [1.0, 0.0], [1.5, 0.0]]
    """
    if how == "mean":
        return scores.mean(0)
    if how == "min":
        return scores.amin(0)
    if how == "uwo":
        return scores.mean(0) - penalty * scores.var(0, correction=0)
    raise ValueError(one_of("aggregation", how, AGGREGATIONS))
