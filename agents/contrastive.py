"""Contrastive pretraining: two entries of one item have alike vectors, those of different items do not."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from agents.encoders.encoded import Encoded, Encoder, Flat
from agents.examples import Examples
from agents.generators import seeded
from agents.losses import schedule
from agents.policy import ResponsePolicy
from mm_envs.names import at_least, check_one_of
from mm_envs.random import fold, stream
from mm_envs.tasks.task import Task

_FIRST_TEMPERATURE, _MIN_TEMPERATURE = 0.07, 0.01
_WARM, _MAX_GRAD_NORM = 0.05, 1.0


def info_nce(one: Tensor, other: Tensor, temperature: Tensor | float, alike: Tensor | None = None) -> Tensor:
    """The symmetric InfoNCE loss of pairs of vectors.

    With ``s_ij = u_i . v_j / t`` the loss of pair i is

        -1/2 (log softmax_j(s_ij)[i] + log softmax_j(s_ji)[i])

    (van den Oord et al., 2018, arXiv 1807.03748; symmetric as in CLIP, Radford et al., 2021,
    arXiv 2103.00020). Pairs of ``alike`` are left out of both sums.

    Args:
        one: u, unit vectors (n, d).
        other: v, unit vectors (n, d).
        temperature: t, above 0.
        alike: Pairs of rows that are no negatives of each other, (n, n) bool; the diagonal is not looked at.

    Returns:
        One loss a pair, (n,). ``log n`` where all vectors are equal and all rows are negatives.

    Example:
        >>> vectors = torch.eye(2)
        >>> info_nce(vectors, vectors, temperature=1.0)
        tensor([0.3133, 0.3133])
        >>> info_nce(vectors, vectors, 1.0, alike=torch.ones(2, 2, dtype=torch.bool)).abs()
        tensor([0., 0.])
    """
    scores = one @ other.T / temperature
    if alike is not None:
        scores = scores.masked_fill(_others(alike), -torch.inf)
    both = scores.log_softmax(1).diagonal() + scores.log_softmax(0).diagonal()
    return -both / 2


def content_hashes(entry: Tensor) -> Tensor:
    """A hash of the content of each row of an entry (n, ...), (n,) int64: equal rows have equal hashes.

    Example:
        >>> hashes = content_hashes(torch.tensor([[1, 2], [2, 1], [1, 2]]))
        >>> (hashes == hashes[0]).tolist()
        [True, False, True]
    """
    flat = entry.flatten(1) if entry.ndim > 1 else entry[:, None]
    if flat.is_floating_point():
        # The bits of a number; adding 0 makes -0 the same as 0.
        flat = (flat.float() + 0.0).view(torch.int32)
    weights = fold(stream(0, "content", entry.device), torch.arange(flat.shape[1], device=entry.device))
    # Even weights would ignore high bits.
    return fold((flat.long() * (weights | 1)).sum(1), 0)


class JointEmbedding(nn.Module):
    """Unit vectors of two entries in one space.

    An entry is pooled by a linear layer over its tokens (``Flat``), projected and batch-normalised, as in
    SimCLR (Chen et al., 2020, arXiv 2002.05709): otherwise what all items have in common hides, for thousands
    of items, what distinguishes them. In ``eval`` mode statistics of the last batches serve, so that a row
    depends on itself alone. The temperature is learned and kept at 0.01 or above, as CLIP does.

    Args:
        encoders: The encoders of both entries, by key; they are shared, not copied.
        width: Numbers per pooled entry.
        features: Numbers per vector.

    Raises:
        ValueError: There are not exactly two encoders.

    Example:
        >>> from agents.encoders import make_encoder
        >>> from mm_envs.spaces import Vector
        >>> joint = JointEmbedding({"one": make_encoder(Vector(2)), "other": make_encoder(Vector(3))})
        >>> context = {"one": torch.zeros(4, 2), "other": torch.zeros(4, 3)}
        >>> joint(context)[0].shape, joint.loss(context).shape, joint.accuracy(context)
        (torch.Size([4, 64]), torch.Size([4]), 1.0)
    """

    def __init__(self, encoders: Mapping[str, Encoder], width: int = 128, features: int = 64) -> None:
        super().__init__()
        if len(encoders) != 2:
            raise ValueError(f"keys={list(encoders)} are {len(encoders)} different entries: give two")
        self.keys = tuple(encoders)
        self.encoders = nn.ModuleDict(encoders)
        self.project = nn.ModuleDict(
            {
                key: nn.Sequential(
                    Flat(encoder, width), nn.Linear(width, features), nn.BatchNorm1d(features, affine=False)
                )
                for key, encoder in encoders.items()
            }
        )
        self.log_scale = nn.Parameter(torch.tensor(-math.log(_FIRST_TEMPERATURE)))

    @property
    def temperature(self) -> Tensor:
        """The temperature, a scalar of at least 0.01."""
        return self.log_scale.clamp(max=-math.log(_MIN_TEMPERATURE)).neg().exp()

    def forward(self, context: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The vectors of both entries of n contexts, each (n, features) of length 1."""
        one, other = (self.embed(key, context) for key in self.keys)
        return one, other

    def embed(self, key: str, context: Mapping[str, Tensor]) -> Tensor:
        """The vectors of one of both entries, (n, features) of length 1."""
        encoded: Encoded = self.encoders[key](context[key], context.get(f"{key}_length"))
        return nn.functional.normalize(self.project[key](encoded), dim=1)

    def loss(self, context: Mapping[str, Tensor]) -> Tensor:
        """``info_nce`` of the rows that have both entries (two at least), one number a row that has.

        Rows with the same content of either entry are no negatives of each other.
        """
        context = self.paired(context)
        one, other = self(context)
        return info_nce(one, other, self.temperature, self.alike(context))

    def accuracy(self, context: Mapping[str, Tensor]) -> float:
        """The share of rows whose first entry is nearest to its own second entry, and the reverse, averaged.

        Compared are the rows that ``loss`` compares; rows without a negative count as right. Without
        gradients.
        """
        with torch.no_grad():
            context = self.paired(context)
            one, other = self(context)
            scores = (one @ other.T).masked_fill(_others(self.alike(context)), -torch.inf)
            own = scores.diagonal()
            right = (scores.amax(1) == own).float().mean() + (scores.amax(0) == own).float().mean()
        return float(right) / 2

    def chance(self, context: Mapping[str, Tensor]) -> float:
        """The ``accuracy`` of a random order: the mean of one over the number of contents compared with."""
        context = self.paired(context)
        compared = (~_others(self.alike(context))).float()
        shares = []
        for key in reversed(self.keys):
            hashes = content_hashes(context[key])
            # Rows of equal content count once among those that a row is compared with.
            alike = compared @ (hashes[:, None] == hashes).float()
            shares.append(1 / (compared / alike.clamp(min=1)).sum(1))
        return float(torch.stack(shares).mean())

    def alike(self, context: Mapping[str, Tensor]) -> Tensor:
        """Which rows have the same content of either entry, (n, n) bool."""
        hashes = [content_hashes(context[key]) for key in self.keys]
        first, second = (one[:, None] == one for one in hashes)
        return first | second

    def paired(self, context: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The rows of a context that have both entries."""
        flags = [context[f"{key}_present"].flatten() > 0 for key in self.keys if f"{key}_present" in context]
        if not flags:
            return dict(context)
        rows = torch.stack(flags).all(0)
        return {key: one[rows] for key, one in context.items()}


def pretrain(
    task: Task,
    policy: ResponsePolicy,
    keys: tuple[str, str],
    steps: int,
    *,
    items: int | None = None,
    batch: int = 64,
    learning_rate: float = 3e-3,
    weight_decay: float = 1e-2,
    features: int = 64,
    seed: int = 0,
) -> JointEmbedding:
    """Trains the encoders of two entries of a policy, in place, so that entries of one item match.

    No label is needed. AdamW with a cosine schedule; a step is one item, as in trainers.

    Args:
        task: Whose training items are matched.
        policy: Its encoders of these entries are trained; fusion and head stay as they are.
        keys: Two entries of the context.
        steps: How many items are learned from, with repetition.
        items: How many different training items; None for all.
        batch: Items an update, which are the negatives of each other.
        learning_rate: The highest of the schedule.
        weight_decay: Of AdamW.
        features: Numbers per vector of the joint embedding.
        seed: Decides the projections and the order.

    Returns:
        The joint embedding, on the encoders of the policy, in ``eval`` mode.

    Raises:
        ValueError: A key is no entry of the policy, or a number is out of its range.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> task = make_task("classify", items=64, sound="agree")
        >>> policy = ResponsePolicy(task, features=16, hidden=16)
        >>> joint = pretrain(task, policy, ("image", "audio"), steps=64, batch=32)
        >>> joint.encoders["image"] is policy.context_encoder.fused.encoders["image"]
        True
    """
    at_least("steps", steps, 1)
    at_least("batch", batch, 2, "others are the negatives of each item")
    with seeded(seed):
        joint = JointEmbedding(_encoders(policy, keys), features=features)
    device = next(policy.parameters()).device
    joint.to(device)
    examples = Examples(task, items, device, seed)
    optimizer = torch.optim.AdamW(joint.parameters(), learning_rate, weight_decay=weight_decay)
    step = 0
    while step < steps:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * schedule("cosine", step / steps, _WARM, last=0.01)
        drawn = examples.contexts(step, min(batch, steps - step))
        step += len(drawn[keys[0]])
        context = joint.paired(drawn)
        if len(context[keys[0]]) < 2:
            # A row by itself has no negatives.
            continue
        optimizer.zero_grad()
        torch.autograd.backward(joint.loss(context).mean())
        nn.utils.clip_grad_norm_(joint.parameters(), _MAX_GRAD_NORM)
        optimizer.step()
    joint.project.eval()
    return joint


def _encoders(policy: ResponsePolicy, keys: tuple[str, str]) -> dict[str, Encoder]:
    """The encoders of a policy, by key."""
    known, found = policy.context_encoder.fused.encoders, {}
    for key in keys:
        check_one_of("keys", key, list(known))
        encoder = known[key]
        assert isinstance(encoder, Encoder)
        found[key] = encoder
    return found


def _others(alike: Tensor) -> Tensor:
    """The pairs (n, n) without the diagonal."""
    return alike & ~torch.eye(len(alike), dtype=torch.bool, device=alike.device)
