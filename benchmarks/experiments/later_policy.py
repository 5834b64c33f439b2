"""Accuracy of a reward model on answers of a policy that was trained on it afterwards."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.learning import learn
from agents.on_policy_settings import OnPolicySettings
from agents.policy import ResponsePolicy
from agents.policy_gradient import RLOO
from agents.sft import sft
from benchmarks.experiment import Context, Experiment, Finding, Grid
from benchmarks.experiments.statistics import difference_interval
from benchmarks.report import Table
from feedback.collection import draw_prompts
from feedback.preferences import FIRST, SECOND, Answers, Labelled, Pairs
from feedback.responses import Edits, Mixture, PairAccuracy, PolicySamples, Sampler, pair_accuracy
from feedback.reward_models import Ensemble, FitConfig, LearnedReward, ModelConfig, fit
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.episodes import Prompts
from mm_envs.statistics import mean_interval
from mm_envs.tasks import CONFIGURATIONS, Task, make_task

ID = "MMCaption-v0"
OWN, EDITED, SAMPLED, LATER, CONTROL = "own", "edited", "sampled", "later", "control"
_NOTES = {OWN: ": what it was fitted on", CONTROL: ", a model fitted on them"}
_QUANTITIES = {
    "utility": "true utility, temperature 1",
    "greedy": "true utility, likeliest words",
    "reward": "score of the model, temperature 1",
}


def trained(
    context: Context,
    seed: int,
    items: int | None,
    answers: int,
    held_out: int,
    epochs: int,
    fit_epochs: int,
    gradient_steps: int,
    prompts: int,
) -> dict[str, Any]:
    """Trains a policy, fits a reward model, trains the policy on it, and measures both.

    Args:
        context: Progress.
        seed: The seed of everything.
        items: Training items; None for all.
        answers: Answers to each of them; the model is fitted on all pairs of one item.
        held_out: Prompts of the test split, two answers each.
        epochs: Of the supervised training of the policy.
        fit_epochs: Of the fit of the model.
        gradient_steps: Steps of the training on the model.
        prompts: Prompts of each step.

    Returns:
        "accuracy" by kind of pairs; "utility", "greedy" and "reward" before and after; "kl" of the later
        policy from the first one, nats an answer.
    """
    config = FitConfig(
        epochs=fit_epochs, trunk_learning_rate=5e-4, model=ModelConfig(128, hidden=128), seed=seed
    )
    bench = _Bench(seed, items, answers, held_out, config)
    context.progress("supervised training of a policy")
    policy = sft(bench.task, epochs=epochs, items=items, seed=seed)
    edits, samples = Edits(bench.task), PolicySamples(policy, policy_name="the first policy")
    own = Mixture([edits, samples])
    context.progress("fitting a reward model")
    model = bench.fitted(own, policy)
    context.progress("training the policy on the model")
    later = copy.deepcopy(policy)
    kl = bench.train_on(later, model, gradient_steps, prompts)
    after = PolicySamples(later, policy_name="the later policy")
    context.progress("fitting another model on answers of the later policy")
    control = bench.fitted(after, policy)
    pairs: dict[str, tuple[Ensemble, Sampler]] = {
        OWN: (model, own),
        EDITED: (model, edits),
        SAMPLED: (model, samples),
    }
    pairs |= {LATER: (model, after), CONTROL: (control, after)}
    before_after = [bench.mean(model, one) for one in (samples, after)]
    return {
        "accuracy": {kind: asdict(bench.accuracy(*one)) for kind, one in pairs.items()},
        "utility": [utility for utility, _ in before_after],
        "reward": [reward for _, reward in before_after],
        "greedy": [bench.mean(model, PolicySamples(one, 0))[0] for one in (policy, later)],
        "kl": float(np.mean(kl[-10:])),
    }


@dataclass
class _Bench:
    """The prompts of one seed, and what is fitted and measured on them."""

    seed: int
    items: int | None
    answers: int
    held_out: int
    config: FitConfig

    def __post_init__(self) -> None:
        self.task: Task = make_task(**CONFIGURATIONS[ID])
        items = self.task.dataset.range("train")[: self.items]
        every = torch.arange(items.start, items.stop)
        self.train, _ = draw_prompts(self.task, len(every), "train", self.seed, about=every)
        self.test, _ = draw_prompts(self.task, self.held_out, "test", self.seed + 1000)

    def fitted(self, sampler: Sampler, policy: ResponsePolicy) -> Ensemble:
        """A reward model that starts from a policy, fitted on all untied pairs of answers of a sampler."""
        response, length = sampler.sample(self.train, self.answers, self.seed)
        labelled = labels(
            Answers.of(self.train.context, response, length), self.utility(self.train, response, length)
        )
        return fit(labelled, self.task, self.config, initial=policy).model

    def train_on(self, policy: ResponsePolicy, model: Ensemble, updates: int, prompts: int) -> list[float]:
        """Trains a policy in place on the scores of a model; returns the divergence at each update."""
        settings = OnPolicySettings(
            answers=4,
            learning_rate=3e-4,
            schedule="constant",
            warm=0.0,
            weight_decay=0.0,
            word_loss=0.0,
            aggregation="sequence_sum",
            dense=False,
            entropy=0.0,
            kl=0.1,
        )
        feedback = LearnedReward(self.task, model=model)
        envs = MultimodalVectorEnv(prompts, self.task, feedback=feedback)
        trainer = RLOO("rloo", envs, settings, seed=self.seed, model=policy)
        learn(trainer, updates * prompts * settings.answers)
        return [point.metrics["kl"] for point in trainer.curve.points]

    def accuracy(self, model: Ensemble, sampler: Sampler) -> PairAccuracy:
        """How often the model prefers the better of two held-out answers."""
        response, length = sampler.sample(self.test, 2, self.seed)
        scores = scores_of(model, self.test, response, length)
        utility = self.utility(self.test, response, length)
        scored, worth = scores.unbind(1), utility.unbind(1)
        return pair_accuracy(scored[0], scored[1], worth[0], worth[1], sampler.name, self.test.item)

    def mean(self, model: Ensemble, sampler: Sampler) -> tuple[float, float]:
        """The mean utility and the mean score of held-out answers."""
        response, length = sampler.sample(self.test, 2, self.seed + 1)
        scores = scores_of(model, self.test, response, length)
        return float(self.utility(self.test, response, length).mean()), float(scores.mean())

    def utility(self, prompts: Prompts, response: Tensor, length: Tensor | None) -> Tensor:
        """The true utility of answers, (n, k)."""
        n, k = response.shape[:2]
        reference = {name: rows.repeat_interleave(k, 0) for name, rows in prompts.reference.items()}
        size = None if length is None else length.flatten()
        return self.task.utility(response.flatten(0, 1), size, reference).reward.view(n, k)


def scores_of(model: Ensemble, prompts: Prompts, response: Tensor, length: Tensor | None) -> Tensor:
    """The scores of a model for several answers (n, k, ...) to each prompt, (n, k)."""
    scores = model.aggregate(model.predict(Answers.of(prompts.context, response, length)))
    return scores.view(response.shape[:2])


def labels(answers: Answers, utility: Tensor) -> Labelled:
    """Labels without a mistake for all pairs of answers to the same question; exact ties are left out.

    Args:
        answers: k answers to each of n questions, those of one question side by side.
        utility: Their true utility, (n, k).
    """
    n, k = utility.shape
    pair, worth = torch.combinations(torch.arange(k)), utility.flatten()
    first, second = ((torch.arange(n)[:, None] * k + side).flatten() for side in pair.unbind(1))
    choice = torch.where(worth[first] > worth[second], FIRST, SECOND)
    pairs = Pairs(torch.zeros_like(first), first, second, choice, torch.ones_like(first, dtype=torch.bool))
    return Labelled(answers, ("the truth",), (pairs.take(worth[first] != worth[second]),))


def tables(findings: Mapping[str, list[Finding]]) -> list[Table]:
    """Accuracy by kind of pairs, and the policy before and after."""
    results = [one.result for one in findings["trained"]]
    return [accuracy_table(results), policy_table(results)]


def accuracy_table(results: list[Mapping[str, Any]]) -> Table:
    """Accuracy of the model by kind of pairs."""
    rows = []
    for kind in results[0]["accuracy"]:
        found = [one["accuracy"][kind] for one in results]
        control = [one["accuracy"][CONTROL]["accuracy"] for one in results]
        values = [one["accuracy"] for one in found]
        lost = str(difference_interval(control, values)) if kind == LATER else ""
        ties = float(np.mean([one["tie_rate"] for one in found]))
        name = f"{found[0]['sampler']}{_NOTES.get(kind, '')}"
        pairs = f"{sum(one['n'] for one in found):,}"
        rows.append((name, str(mean_interval(values)), str(len(values)), pairs, f"{ties:.1%}", lost))
    columns = ("answers", "accuracy [95 %]", "seeds", "pairs", "ties left out", "control above it")
    return Table("Accuracy on pairs of held-out answers", columns, rows)


def policy_table(results: list[Mapping[str, Any]]) -> Table:
    """The policy before and after its training on the model."""
    rows = []
    for key, name in _QUANTITIES.items():
        before, after = np.array([one[key] for one in results]).T
        gain = str(difference_interval(after, before))
        rows.append((name, str(mean_interval(after)), str(len(after)), str(mean_interval(before)), gain))
    kl = [one["kl"] for one in results]
    rows.append(("divergence, nats an answer", str(mean_interval(kl)), str(len(kl)), "0", ""))
    columns = ("quantity", "later policy [95 %]", "seeds", "first policy", "difference")
    return Table("The policy that was trained on the model", columns, rows)


EXPERIMENT = Experiment(
    "Reward models on a later policy",
    "On MMCaption-v0 a policy is trained on references, a reward model is fitted on pairs of "
    "edited references "
    "and samples of that policy, and the policy is trained further on the reward of that model. The model is "
    "then tested on answers of this later policy. These are more alike, so that their pairs are harder: a "
    "control is fitted on answers of the later policy itself. Labels are true preferences; "
    "exact ties are left "
    "out; intervals are Student's t over seeds.",
    (
        Grid(
            trained,
            {
                "items": None,
                "answers": 4,
                "held_out": 2000,
                "epochs": 8,
                "fit_epochs": 4,
                "gradient_steps": 200,
                "prompts": 32,
            },
            seeds=range(4),
            quick={
                "items": 64,
                "held_out": 64,
                "epochs": 1,
                "fit_epochs": 1,
                "gradient_steps": 2,
                "prompts": 4,
            },
        ),
    ),
    tables,
)
