"""Label efficiency: reward and reliability learned together from single votes of a crowd."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from agents.context import Context as EncodedContext
from agents.policy import ResponsePolicy
from benchmarks.experiment import Context, Experiment, Finding, Grid
from benchmarks.experiments.policies import trained_policy
from benchmarks.experiments.statistics import correlation, difference_interval
from benchmarks.report import Table
from feedback.active_learning import CandidatePairs, ask, draw_pairs, labelled, seed_of
from feedback.aggregation import DawidSkene, Reliability, Votes, krippendorff_alpha, majority
from feedback.annotators import AnnotatorPool, make_pool
from feedback.losses import PairLikelihood
from feedback.preferences import Labelled, Pairs
from feedback.responses import Edits, Mixture, PairAccuracy, PolicySamples, Sampler, pair_accuracy
from feedback.reward_models import FitConfig, Fitted, ModelConfig, fit
from feedback.reward_models.model import ENCODED
from mm_envs.feedback_sources import true_utility
from mm_envs.statistics import mean_interval
from mm_envs.tasks import Task

ID = "MMCaption-v0"
CROWD = "7 good, 4 coin, 1 adversary"
PLAIN, MIX, JOINT = "Bradley-Terry", "noise mix", "joint model"
UNTRAINED = "log-probability of the policy"
# Settings of the fits were chosen on seeds below 20.
FIRST_SEED = 20
_CHUNK = 512


def sampled(epochs: int, items: int | None, features: int) -> tuple[Task, ResponsePolicy, Sampler]:
    """The task, the policy that models start from, and the sampler of edits and of its answers."""
    task, policy = trained_policy(ID, epochs, items, features)
    return task, policy, Mixture([Edits(task, (0, 4)), PolicySamples(policy, 1.0, "the trained policy")])


def fits(
    context: Context,
    seed: int,
    few: int,
    many: int,
    held_out: int,
    parts: int,
    fit_epochs: int,
    policy: Mapping[str, Any],
) -> dict[str, Any]:
    """Fits every loss to the same votes, one vote a pair.

    Args:
        context: Progress.
        seed: Questions, answers, crowd, weights and held-out pairs.
        few: The small number of labels.
        many: The large one; the few are the first of them.
        held_out: Questions of the test split.
        parts: Models fitted with each loss, whose scores are averaged. Each holds out labels of its own to
            decide when to stop: with few labels this decision is the noisiest part of a fit.
        fit_epochs: Epochs of a fit, at most.
        policy: Arguments of ``sampled``.

    Returns:
        "accuracy": a list by loss and number of labels; "skill": the true chance of each annotator to be
        right; "found" and "correlation": what the joint model found of it, by number of labels.
    """
    task, initial, sampler = sampled(**policy)
    config = FitConfig(
        model=ModelConfig(width=16),
        freeze="trunk",
        batch=32,
        learning_rate=3e-4,
        likelihood_learning_rate=3e-2,
        epochs=fit_epochs,
        patience=5,
    )
    check = held_out_pairs(task, initial, sampler, held_out, seed)
    # A few of the pairs have equal answers and are left out.
    drawn = draw_pairs(task, sampler, many + many // 4, "train", seed_of(seed, "train"))
    drawn = drawn.take(torch.arange(many))
    pool = make_pool(CROWD, task, votes=1, seed=seed)
    skill = pool.skill(task, drawn.episodes(0), drawn.episodes(1)).tolist()
    data = votes_of(pool, initial, drawn)
    untrained = check.accuracy(_log_probability(initial, check.pairs))
    accuracy = [{"loss": UNTRAINED, "labels": 0, **asdict(untrained)}]
    found: dict[str, list[float]] = {}
    for labels in (few, many):
        some = first_labels(data, labels)
        for name, likelihood in losses(skill, labels, mix=labels == few).items():
            context.progress(f"{name}, {labels:,} labels")
            fitted = fits_of(some, task, initial, config, parts, seed, likelihood)
            scores = torch.cat([one.model.predict(check.pairs.answers) for one in fitted]).mean(0)
            accuracy.append({"loss": name, "labels": labels, **asdict(check.accuracy(scores))})
            if name == JOINT:
                found[str(labels)] = _skill([one.likelihoods[0] for one in fitted])
    return {
        "accuracy": accuracy,
        "skill": skill,
        "found": found,
        "correlation": {labels: correlation(one, skill) for labels, one in found.items()},
    }


@dataclass(frozen=True)
class HeldOut:
    """Pairs without labels, with the truth.

    Attributes:
        pairs: The pairs, their contexts encoded.
        utility: Of both answers, (n, 2).
    """

    pairs: CandidatePairs
    utility: Tensor

    def accuracy(self, scores: Tensor) -> PairAccuracy:
        """That of the scores (2n,) of all answers."""
        first, second = scores.view(-1, 2).unbind(1)
        return pair_accuracy(first, second, self.utility[:, 0], self.utility[:, 1], self.pairs.sampler)


def held_out_pairs(task: Task, policy: ResponsePolicy, sampler: Sampler, held_out: int, seed: int) -> HeldOut:
    """Pairs of the test split with their utilities."""
    test = draw_pairs(task, sampler, held_out, "test", seed_of(seed, "held out"))
    utility = torch.stack([true_utility(task, test.episodes(side)).reward for side in (0, 1)], 1)
    return HeldOut(encoded(policy, test), utility)


def fits_of(
    data: Labelled,
    task: Task,
    policy: ResponsePolicy,
    config: FitConfig,
    parts: int,
    seed: int,
    likelihood: nn.Module,
) -> list[Fitted]:
    """The parts of one loss, which differ in weights, minibatches and in the labels that they hold out."""
    configs = [replace(config, seed=seed_of(seed, f"part {part}")) for part in range(parts)]
    return [_fitted(data, task, policy, config, likelihood) for config in configs]


def _fitted(
    data: Labelled, task: Task, policy: ResponsePolicy, config: FitConfig, likelihood: nn.Module
) -> Fitted:
    """One fit; of the joint model the second, which starts from the skills that the first one found."""
    fitted = fit(data, task, config, initial=policy, likelihood=likelihood)
    if not isinstance(likelihood, Reliability):
        return fitted
    return fit(data, task, config, initial=policy, likelihood=fitted.likelihoods[0])


def _skill(fitted: Sequence[nn.Module]) -> list[float]:
    """The mean over parts of the skill of every annotator."""
    skills = [one.skill for one in fitted if isinstance(one, Reliability)]
    mean: list[float] = torch.stack(skills).mean(0).tolist()
    return mean


def losses(skill: Sequence[float], labels: int, mix: bool) -> dict[str, nn.Module]:
    """The compared losses; the noise mix is given the true share of wrong labels.

    Args:
        skill: The chance of each annotator to be right: a coin that decides with chance eta is wrong in half
            of cases. The joint model is given their number alone.
        labels: The number of labels.
        mix: Whether the noise mix is among them.
    """
    wrong = 1 - sum(skill) / len(skill)
    few: dict[str, nn.Module] = {MIX: PairLikelihood("noise_mix", 2 * wrong)} if mix else {}
    return {PLAIN: PairLikelihood(), **few, JOINT: Reliability(len(skill), labels=labels)}


def first_labels(data: Labelled, labels: int) -> Labelled:
    """The first labels, with the answers that they name and no others."""
    pairs = data.pairs.take(torch.arange(labels))
    assert isinstance(pairs, Pairs)
    rows, index = torch.unique(torch.cat([pairs.first, pairs.second]), return_inverse=True)
    first, second = index.view(2, -1)
    return Labelled(data.answers.take(rows), data.annotators, (replace(pairs, first=first, second=second),))


def votes_of(pool: AnnotatorPool, policy: ResponsePolicy, pairs: CandidatePairs) -> Labelled:
    """One vote on each pair."""
    asked = ask(pool, pairs, 0, torch.arange(len(pairs)))
    return labelled(encoded(policy, pairs), asked, pool.names)


@torch.no_grad()
def encoded(policy: ResponsePolicy, pairs: CandidatePairs) -> CandidatePairs:
    """The same pairs with encoded contexts; those of one item are the same bits."""
    _, index = torch.unique(pairs.prompts.item, return_inverse=True)
    first = torch.full((int(index.max()) + 1,), len(index)).scatter_reduce(
        0, index, torch.arange(len(index)), "amin"
    )
    parts = [
        policy.encode({key: value[rows] for key, value in pairs.prompts.context.items()})
        for rows in torch.split(first, _CHUNK)
    ]
    context = EncodedContext.join(parts).take(index).to_entries(ENCODED)
    return replace(pairs, prompts=replace(pairs.prompts, context=context))


def aggregate(
    context: Context, seed: int, pairs: int, votes: int, policy: Mapping[str, Any]
) -> dict[str, float]:
    """Dawid-Skene and the majority on several votes of the same crowd on each pair.

    Args:
        context: Not used.
        seed: Questions, answers and crowd.
        pairs: Questions; pairs of equal utility have no right choice and are left out.
        votes: Members of the crowd who vote on each pair.
        policy: Arguments of ``sampled``.

    Returns:
        "majority" and "dawid_skene": how often each is right (ties are broken by a fair draw);
        "correlation" of the skill that Dawid-Skene found with the truth; Krippendorff's "alpha", nominal.
    """
    task, _, sampler = sampled(**policy)
    drawn = draw_pairs(task, sampler, pairs, "test", seed_of(seed, "crowd"))
    first, second = (true_utility(task, drawn.episodes(side)).reward for side in (0, 1))
    drawn, truth = drawn.take(first != second), (first < second).long()[first != second]
    pool = make_pool(CROWD, task, votes=votes, seed=seed)
    asked = ask(pool, drawn, 0, torch.arange(len(drawn)))
    item = torch.arange(len(drawn)).repeat_interleave(votes)
    given = Votes(item, asked.annotator.flatten(), asked.choice.flatten(), len(drawn), len(pool), 2)
    model = DawidSkene().fit(given)
    skill = pool.skill(task, drawn.episodes(0), drawn.episodes(1))
    return {
        "majority": majority(given).accuracy(truth),
        "dawid_skene": float((model.predict(given) == truth).double().mean()),
        "correlation": correlation(model.skill.tolist(), skill.tolist()),
        "alpha": krippendorff_alpha(item, given.label),
    }


@torch.no_grad()
def _log_probability(policy: ResponsePolicy, pairs: CandidatePairs) -> Tensor:
    answers = pairs.answers
    given = EncodedContext.of_entries(answers.contexts, ENCODED)
    assert given is not None
    return policy.log_prob(given.take(answers.context), answers.response, answers.length)


def tables(findings: Mapping[str, list[Finding]]) -> list[Table]:
    """Accuracies, and skills."""
    runs, crowds = ([one.result for one in findings[name]] for name in ("fits", "aggregate"))
    given = findings["fits"][0].cell.arguments
    few, many = given["few"], given["many"]
    return [accuracies(runs, few, many), skills(runs, few, many), crowd_table(crowds)]


def accuracies(runs: Sequence[Mapping[str, Any]], few: int, many: int) -> Table:
    """Accuracy of every loss; each number of labels of the joint model is compared with the other losses."""
    values = {
        (row["loss"], row["labels"]): [run["accuracy"][i]["accuracy"] for run in runs]
        for i, row in enumerate(runs[0]["accuracy"])
    }
    compared = {(PLAIN, many): (JOINT, few), (MIX, few): (JOINT, few), (PLAIN, few): (JOINT, few)}
    rows = []
    for key, several in values.items():
        other = compared.get(key)
        gap = difference_interval(values[other], several).format("+.1f", 100) if other else ""
        rows.append((key[0], f"{key[1]:,}", str(mean_interval(several)), str(len(several)), gap))
    one = runs[0]["accuracy"][0]
    title = f"Accuracy on held-out pairs, about {one['n']:,} a seed; {one['sampler']}"
    column = f"{JOINT}, {few:,} labels, above it (points)"
    return Table(title, ("loss", "labels", "accuracy [95 %]", "seeds", column), rows)


def skills(runs: Sequence[Mapping[str, Any]], few: int, many: int) -> Table:
    """The skill of every annotator, mean over seeds, and its correlation with the truth."""
    truth = np.mean([run["skill"] for run in runs], 0)
    found = [np.mean([run["found"][str(labels)] for run in runs], 0) for labels in (few, many)]
    rows = [(str(i + 1), *(f"{one[i]:.2f}" for one in (truth, *found))) for i in range(len(truth))]
    correlations = [
        str(mean_interval([run["correlation"][str(labels)] for run in runs])) for labels in (few, many)
    ]
    rows.append(("correlation [95 %]", "", *correlations))
    heads = ("annotator", "chance to be right", f"found, {few:,} labels", f"found, {many:,} labels")
    return Table(f"Skill found by the {JOINT}, mean over {len(runs)} seeds", heads, rows)


def crowd_table(crowds: Sequence[Mapping[str, float]]) -> Table:
    """Dawid-Skene compared with the majority."""
    values = {name: [one[name] for one in crowds] for name in crowds[0]}
    seeds, right = str(len(crowds)), values["dawid_skene"]
    gain = difference_interval(right, values["majority"]).format("+.1f", 100)
    rows = [
        ("Dawid-Skene, accuracy", str(mean_interval(right)), seeds, f"{gain} points above the majority"),
        ("majority, accuracy", str(mean_interval(values["majority"])), seeds, ""),
        ("skill of Dawid-Skene", str(mean_interval(values["correlation"])), seeds, "correlation with truth"),
        ("Krippendorff's alpha", str(mean_interval(values["alpha"])), seeds, ""),
    ]
    return Table("Several votes a pair", ("quantity", "mean [95 %]", "seeds", "compared with"), rows)


_POLICY = {"epochs": 32, "items": None, "features": 128}
_QUICK_POLICY = {"epochs": 1, "items": 64, "features": 16}

EXPERIMENT = Experiment(
    "Learning whom to trust from single votes",
    f"A crowd ({CROWD}) gives one vote a pair of captions. The {JOINT} of reward and reliability "
    f"is given who "
    f"voted; {PLAIN} is not; the {MIX} is given the true share of wrong labels. All have the same model, "
    "labels and stopping rule (on 10 % of the labels), and are the mean score of several fits. "
    "The joint model "
    "is fitted twice, the second time from the skills that it found. Intervals are Student's t over seeds.",
    (
        Grid(
            fits,
            {
                "few": 1000,
                "many": 5000,
                "held_out": 2000,
                "parts": 3,
                "fit_epochs": 40,
                "policy": _POLICY,
            },
            seeds=range(FIRST_SEED, FIRST_SEED + 10),
            quick={
                "few": 40,
                "many": 80,
                "held_out": 40,
                "parts": 2,
                "fit_epochs": 1,
                "policy": _QUICK_POLICY,
            },
        ),
        Grid(
            aggregate,
            {"pairs": 600, "votes": 5, "policy": _POLICY},
            seeds=range(20),
            quick={"pairs": 60, "policy": _QUICK_POLICY},
        ),
    ),
    tables,
)
