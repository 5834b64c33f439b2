"""Fitting an ensemble of reward models to labels."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from agents.context import Context
from agents.encoders.encoded import batch_statistics
from agents.policy import ResponsePolicy
from feedback.calibration import fit_temperature
from feedback.losses import Likelihood
from feedback.preferences.batches import SKIP, Answers, Labelled, Pairs
from feedback.reward_models.config import FitConfig
from feedback.reward_models.ensemble import Ensemble
from feedback.reward_models.minibatches import ContextBatches, digest, merged, sample, split
from feedback.reward_models.model import ENCODED, READ, RewardModel
from feedback.reward_models.spaces import ModelSpaces
from mm_envs.random import fold, stream
from mm_envs.tasks.task import Task

_CHUNK = 1024
_CACHED_BYTES = 2**29
_MIN_PAIRS = 20


@dataclass(frozen=True)
class Epoch:
    """One pass over the labels.

    Attributes:
        loss: The mean training loss.
        held_out: The loss on held-out labels; None where there are none.
    """

    loss: float
    held_out: float | None


@dataclass(frozen=True)
class Fitted:
    """The result of a fit.

    Attributes:
        model: The ensemble, normalised and with its temperature.
        history: The epochs of each member.
        likelihoods: The likelihood of labels that each member learnt.
        held_out: The labels that decided when to stop and set the temperature; None if there were none.
        records: The digest of all labels that were used.
    """

    model: Ensemble
    history: tuple[tuple[Epoch, ...], ...]
    likelihoods: tuple[nn.Module, ...]
    held_out: Labelled | None
    records: str


def fit(
    labelled: Labelled,
    task: Task | ModelSpaces,
    config: FitConfig | None = None,
    *,
    validation: Labelled | None = None,
    initial: ResponsePolicy | None = None,
    likelihood: nn.Module | None = None,
    reference: Answers | None = None,
) -> Fitted:
    """Fits reward models to labels of any kinds. The same arguments give the same weights, bit for bit.

    Every minibatch holds all labels of some contexts, so that each context and each answer is encoded once.

    Args:
        labelled: Answers with labels; they decide the device.
        task: The task that the answers are for, or its spaces.
        config: How.
        validation: Decides when to stop and sets the temperature; None takes a share of the contexts.
        initial: A policy from whose context encoder and decoder every member starts.
        likelihood: A module with ``loss(scores, labelled)`` whose parameters are learnt, too, a copy for
            every member; ``feedback.losses.Likelihood`` by default.
        reference: The answers that scores are normalised on; None draws some of the training answers.

    Raises:
        ValueError: There are no labels, or the answers or the policy do not fit.
    """
    config, spaces = config or FitConfig(), ModelSpaces.of(task)
    for given in (labelled, validation):
        # What is encoded already is of no space.
        if given is not None and not _is_encoded(given.answers.contexts):
            spaces.refuse_answers(given.answers)
    if not _counted(labelled):
        raise ValueError("there are no labels, or skips alone: collect some")
    if initial is not None:
        model = replace(config.model, features=initial.features, hidden=initial.hidden)
        config = replace(config, model=model)
    generator = torch.Generator().manual_seed(config.seed)
    records, labelled = digest(labelled), merged(labelled)
    train, held_out = labelled, validation
    if validation is None and config.held_out:
        train, held_out = split(labelled, config.held_out, generator)
    if held_out is not None and not _counted(held_out):
        held_out = None  # It would stop every fit at once, since its loss is always 0.
    device = labelled.answers.context.device
    ensemble = _untrained(spaces, config, initial).to(device)
    reference = reference or sample(train.answers, config.reference, generator)
    batches = ContextBatches(_prepared(ensemble, train))
    checked = None if held_out is None else _prepared(ensemble, held_out)
    histories, likelihoods = [], []
    for number, member in enumerate(ensemble.members):
        likelihood_of_member = copy.deepcopy(likelihood if likelihood is not None else Likelihood()).to(
            device
        )
        draws = torch.Generator().manual_seed(_seed(config.seed, number))
        one = _Member(cast(RewardModel, member), likelihood_of_member, config, started=initial is not None)
        histories.append(one.fit(batches, checked, draws))
        likelihoods.append(likelihood_of_member)
    ensemble.eval().normalise_on(reference)
    ensemble.temperature.fill_(_temperature(ensemble, held_out))
    return Fitted(ensemble, tuple(histories), tuple(likelihoods), held_out, records)


class _Member:
    """One model in the making."""

    def __init__(self, model: RewardModel, likelihood: nn.Module, config: FitConfig, started: bool) -> None:
        self.model, self.likelihood, self.config = model, likelihood, config
        self.costs = cast(Callable[[Tensor, Labelled], Tensor], likelihood.loss)
        for part, frozen in (
            (model.context_encoder, config.freeze != "nothing"),
            (model.reader, config.freeze == "trunk"),
        ):
            part.requires_grad_(not frozen)
        brought = (
            config.learning_rate / 10 if config.trunk_learning_rate is None else config.trunk_learning_rate
        )
        trunk = [*model.context_encoder.parameters(), *model.reader.parameters()]
        groups: list[dict[str, Any]] = [
            {
                "params": [one for one in trunk if one.requires_grad],
                "lr": brought if started else config.learning_rate,
            },
            {"params": list(model.head.parameters())},
            {
                "params": list(likelihood.parameters()),
                "weight_decay": 0.0,
                "lr": config.likelihood_learning_rate,
            },
        ]
        self.optimizer = torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=True,
        )

    def fit(
        self, batches: ContextBatches, held_out: Labelled | None, generator: torch.Generator
    ) -> tuple[Epoch, ...]:
        """Trains until the held-out loss has not become better for some epochs; keeps the best weights."""
        contexts, history = self._bag(batches.contexts, generator), list[Epoch]()
        best, kept, since = float("inf"), self._state(), 0
        for _ in range(self.config.epochs):
            order = torch.randperm(len(contexts), generator=generator).to(contexts.device)
            loss = self._epoch(batches, contexts[order])
            history.append(Epoch(loss, None if held_out is None else self._loss(held_out)))
            now = history[-1].held_out
            if now is None:
                continue
            since += 1
            if now < best:
                best, kept, since = now, self._state(), 0
            if since == self.config.patience:
                break
        if held_out is not None:
            self.model.load_state_dict(kept[0])
            self.likelihood.load_state_dict(kept[1])
        return tuple(history)

    def _epoch(self, batches: ContextBatches, contexts: Tensor) -> float:
        self.model.train()
        total, steps = torch.zeros((), device=contexts.device), torch.split(contexts, self.config.batch)
        for some in steps:
            labelled = batches.take(some)
            with batch_statistics(self.model, self._batch_statistics):
                scores, words = self.model.with_word_loss(labelled.answers)
            loss = self.costs(scores, labelled)
            self.optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss if words is None else loss + self.config.word_loss * words.mean())
            self.optimizer.step()
            total += loss.detach() * len(some)
        return float(total) / len(contexts)

    @property
    def _batch_statistics(self) -> bool:
        return self.config.batch_statistics and self.config.freeze == "nothing"

    def _bag(self, contexts: Tensor, generator: torch.Generator) -> Tensor:
        if not self.config.bagging:
            return contexts
        drawn = torch.randint(len(contexts), (len(contexts),), generator=generator)
        return contexts[drawn.to(contexts.device)]

    @torch.no_grad()
    def _loss(self, labelled: Labelled) -> float:
        self.model.eval()
        rows = torch.arange(len(labelled.answers), device=labelled.answers.context.device)
        scores = torch.cat([self.model(labelled.answers.take(some)) for some in torch.split(rows, _CHUNK)])
        return float(self.costs(scores, labelled))

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        model, likelihood = (
            {name: tensor.clone() for name, tensor in module.state_dict().items()}
            for module in (self.model, self.likelihood)
        )
        return model, likelihood


def _is_encoded(contexts: Mapping[str, Tensor]) -> bool:
    return READ in contexts or Context.of_entries(contexts, ENCODED) is not None


def _counted(labelled: Labelled) -> int:
    """How many labels say something: all but skips."""
    skipped = sum(int((one.choice == SKIP).sum()) for one in labelled.labels if isinstance(one, Pairs))
    return sum(map(len, labelled.labels)) - skipped


def _untrained(spaces: ModelSpaces, config: FitConfig, initial: ResponsePolicy | None) -> Ensemble:
    members = []
    for number in range(config.members):
        members.append(RewardModel(spaces, config.model, seed=_seed(config.seed, number)))
        if initial is not None:
            members[-1].start_from(initial)
    return Ensemble(members, config.aggregation, config.penalty, shared=config.freeze)


@torch.no_grad()
def _prepared(ensemble: Ensemble, labelled: Labelled) -> Labelled:
    """Labels whose answers hold what frozen parts make of them, computed once."""
    if ensemble.shared == "nothing":
        return labelled
    answers, model = labelled.answers, cast(RewardModel, ensemble.members[0])
    rows = torch.arange(int(answers.context.max()) + 1, device=answers.context.device)
    parts = [
        {key: value[some] for key, value in answers.contexts.items()} for some in torch.split(rows, _CHUNK)
    ]
    encoded = Context.join([model.encode(part) for part in parts])
    answers = replace(answers, contexts=encoded.to_entries(ENCODED))
    if ensemble.shared == "trunk":
        answers = _read(model, answers)
    return replace(labelled, answers=answers)


def _read(model: RewardModel, answers: Answers) -> Answers:
    """Answers that are read already, unless that takes too much memory."""
    rows = torch.arange(len(answers), device=answers.context.device)
    size = model.read(model.encode(answers.contexts), answers.take(rows[:1])).shape[-1]
    positions = answers.response.shape[1] if model.head.words else 1
    if len(answers) * positions * size * 4 > _CACHED_BYTES:
        return answers
    parts = [
        model.read(model.encode(part.contexts), part) for part in map(answers.take, torch.split(rows, _CHUNK))
    ]
    if model.head.words:
        most = max(part.shape[1] for part in parts)
        parts = [nn.functional.pad(part, (0, 0, 0, most - part.shape[1])) for part in parts]
    marker = {READ: torch.zeros(int(answers.context.max()) + 1, device=rows.device)}
    return Answers(marker, answers.context, torch.cat(parts))


def _temperature(ensemble: Ensemble, held_out: Labelled | None) -> float:
    """What makes probabilities right on held-out pairs; with too few of them, the scale that was fitted."""
    fitted = 1 / float(ensemble.deviation.mean())
    pairs = [one for one in (held_out.labels if held_out is not None else ()) if isinstance(one, Pairs)]
    if held_out is None or not pairs:
        return fitted
    one = pairs[0].take(pairs[0].choice != SKIP)
    if len(one) < _MIN_PAIRS:
        return fitted
    scores = ensemble.aggregate(ensemble.predict(held_out.answers))
    return fit_temperature(scores[one.first] - scores[one.second], one.target)


def _seed(seed: int, member: int) -> int:
    """The seed of a member: near seeds of fits share nothing."""
    return int(fold(stream(seed, "reward model"), member)) >> 1
