"""Does a reward model still know good from bad where a policy goes that was trained on it?

On MMCaption-v0 a policy is fine-tuned on references, a reward model is fitted on pairs of edited references
and of samples of that policy, and the policy is trained further on the reward of that model. The model never
saw answers of this later policy. Its accuracy on pairs of them stands beside its accuracy on its own kind of
pairs. Later answers are more alike, so their pairs are harder: a second model, fitted on answers of the later
policy itself, says how hard.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.evaluate import Estimate
from agents.learning import learn
from agents.policy import ResponsePolicy
from agents.policy_gradient import PGSettings, PolicyGradient
from agents.sft import sft
from benchmarks.reports import Options, Report, Table
from feedback.candidates import Edits, Mixture, PairAccuracy, PolicySamples, Sampler, pair_accuracy
from feedback.collection import draw_prompts
from feedback.preferences import FIRST, SECOND, Answers, Labelled, Pairs
from feedback.reward_models import Ensemble, FitConfig, LearnedReward, ModelConfig, fit
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.episodes import Prompts
from mm_envs.tasks import CONFIGURATIONS, Task, make_task

ID = "MMCaption-v0"
OWN, EDITED, SAMPLED, LATER, CONTROL = "own", "edited", "sampled", "later", "control"
MOMENTS = ("fine-tuned", "later")
_CHANCE = 0.5
_NOTES = {OWN: ": what it was fitted on", CONTROL: ", a model fitted on them"}


@dataclass(frozen=True)
class Plan:
    """What is trained and measured, once a seed.

    Attributes:
        seeds: The seeds.
        items: Training items; None for all.
        answers: Answers to each of them; the model is fitted on all pairs of the same item.
        held_out: Prompts of the test split, two answers each.
        epochs: Of fine-tuning.
        fit: How the model is fitted.
        gradient: How the later policy is trained.
        updates: How often it is updated.
        prompts: Contexts an update.
    """

    seeds: tuple[int, ...] = (0, 1, 2, 3)
    items: int | None = None
    answers: int = 4
    held_out: int = 2000
    epochs: int = 8
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            epochs=4, trunk_learning_rate=5e-4, model=ModelConfig(128, hidden=128)
        )
    )
    gradient: PGSettings = field(default_factory=lambda: PGSettings(kl=0.1))
    updates: int = 200
    prompts: int = 32

    @classmethod
    def short(cls) -> Plan:
        """A plan that shows that everything runs."""
        few = FitConfig(epochs=1, held_out=0.2)
        return cls((0, 1), items=64, held_out=64, epochs=1, fit=few, updates=2, prompts=4)


@dataclass(frozen=True)
class Turn:
    """What was found with one seed.

    Attributes:
        accuracy: The kind of pairs -> the accuracy of the model.
        utility: Of the fine-tuned and of the later policy, the mean true utility of samples at temperature 1.
        reward: The same, the mean score of the model.
        greedy: The same as ``utility``, of the likeliest words.
        kl: Of the later policy from the fine-tuned one, nats an answer.
    """

    accuracy: Mapping[str, PairAccuracy]
    utility: tuple[float, float]
    reward: tuple[float, float]
    greedy: tuple[float, float]
    kl: float


class Bench:
    """One seed.

    Args:
        plan: What is measured.
        seed: The seed of everything.
        progress: Told what is being done.
    """

    def __init__(self, plan: Plan, seed: int, progress: Callable[[str], None]) -> None:
        self.plan, self.seed, self._progress = plan, seed, progress
        self.task: Task = make_task(**CONFIGURATIONS[ID])
        items = self.task.dataset.range("train")[: plan.items]
        every = torch.arange(items.start, items.stop)
        self.train, _ = draw_prompts(self.task, len(every), "train", seed, about=every)
        self.test, _ = draw_prompts(self.task, plan.held_out, "test", seed + 1000)

    def run(self) -> Turn:
        """Trains and measures."""
        self._tell("fine-tuning a policy")
        policy = sft(self.task, epochs=self.plan.epochs, items=self.plan.items, seed=self.seed)
        edits, samples = Edits(self.task), PolicySamples(policy, policy_name="the fine-tuned policy")
        own = Mixture([edits, samples])
        self._tell("fitting a reward model")
        model = self.fitted(own, policy)
        self._tell("training the later policy")
        later = copy.deepcopy(policy)
        kl = self.train_on(later, model)
        after = PolicySamples(later, policy_name="the later policy")
        self._tell("fitting another model on answers of the later policy")
        control = self.fitted(after, policy)
        accuracy = {
            OWN: self.accuracy(model, own),
            EDITED: self.accuracy(model, edits),
            SAMPLED: self.accuracy(model, samples),
            LATER: self.accuracy(model, after),
            CONTROL: self.accuracy(control, after),
        }
        both = (self.mean(model, samples), self.mean(model, after))
        greedy = (self.mean(model, PolicySamples(one, 0))[0] for one in (policy, later))
        return Turn(
            accuracy,
            _pair(one[0] for one in both),
            _pair(one[1] for one in both),
            _pair(greedy),
            float(np.mean(kl[-10:])),
        )

    def train_on(self, policy: ResponsePolicy, model: Ensemble) -> list[float]:
        """Trains a policy in place on the scores of a model; returns the divergence at each update."""
        settings, feedback = self.plan.gradient, LearnedReward(self.task, model=model)
        rows = self.plan.prompts * settings.answers
        envs = MultimodalVectorEnv(rows, self.task, feedback=feedback, group_size=settings.answers)
        trainer = PolicyGradient("pg", envs, settings, seed=self.seed, model=policy)
        learn(trainer, self.plan.updates * rows)
        return [point.metrics["kl"] for point in trainer.curve.points]

    def _tell(self, said: str) -> None:
        self._progress(f"seed {self.seed}: {said}")

    def fitted(self, sampler: Sampler, policy: ResponsePolicy) -> Ensemble:
        """A reward model that starts from a policy, fitted on all untied pairs of answers of a sampler."""
        response, length = sampler.sample(self.train, self.plan.answers, self.seed)
        labelled = labels(
            Answers.of(self.train.context, response, length), self.utility(self.train, response, length)
        )
        return fit(labelled, self.task, replace(self.plan.fit, seed=self.seed), initial=policy).model

    def accuracy(self, model: Ensemble, sampler: Sampler) -> PairAccuracy:
        """How often the model prefers the better of two held-out answers."""
        response, length = sampler.sample(self.test, 2, self.seed)
        scores = scores_of(model, self.test, response, length)
        utility = self.utility(self.test, response, length)
        (one, other), (worth, other_worth) = scores.unbind(1), utility.unbind(1)
        return pair_accuracy(one, other, worth, other_worth, sampler.name, self.test.item)

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


def bench(options: Options, progress: Callable[[str], None]) -> Report:
    """``mm-envs bench later-policy``: a reward model on answers of a policy trained after the fit."""
    plan = Plan.short() if options.quick else Plan()
    return report([Bench(plan, seed, progress).run() for seed in plan.seeds], plan)


def report(turns: Sequence[Turn], plan: Plan) -> Report:
    """The findings as tables and JSON values."""
    kinds = {
        kind: Estimate.of(np.array([turn.accuracy[kind].accuracy for turn in turns]))
        for kind in turns[0].accuracy
    }
    gain = Estimate.of(np.array([turn.utility[1] - turn.utility[0] for turn in turns]))
    met = kinds[LATER].low > _CHANCE and gain.low > 0
    later = [(turn.accuracy[CONTROL].accuracy, turn.accuracy[LATER].accuracy) for turn in turns]
    lead = Estimate.of(np.array([control - model for control, model in later]))
    said = (
        f"{ID}, {len(turns)} seeds, intervals of 95 % over seeds (Student's t); pairs of test items, "
        f"{plan.held_out:,} prompts a seed; exact ties of utility are left out. Labels are without mistakes.",
        f"Accuracy on answers of the later policy above chance: {_said(kinds[LATER])}, bar {_CHANCE}; its "
        f"mean true utility higher by {_said(gain)}, bar 0: {'met' if met else 'missed'}.",
        f"A model fitted on answers of the later policy is more accurate on them by {_said(lead)}: so much "
        "is lost where the first did not look. The rest is how hard these pairs are: they are alike.",
    )
    values: dict[str, Any] = {
        "accuracy": {kind: asdict(estimate) for kind, estimate in kinds.items()},
        "gain": asdict(gain),
        "plan": asdict(plan),
        "turns": [asdict(turn) for turn in turns],
    }
    return Report(met, (_accuracies(turns, kinds), _utilities(turns)), said, values)


def _accuracies(turns: Sequence[Turn], kinds: Mapping[str, Estimate]) -> Table:
    rows = []
    for kind, estimate in kinds.items():
        found = [turn.accuracy[kind] for turn in turns]
        ties = float(np.mean([one.tie_rate for one in found]))
        name = f"{found[0].sampler}{_NOTES.get(kind, '')}"
        rows.append((name, _said(estimate), f"{ties:.1%}", f"{sum(one.n for one in found):,}"))
    columns = ("answers", "accuracy", "ties left out", "pairs")
    return Table("Accuracy of a reward model on pairs of answers to the same picture", columns, rows)


def _utilities(turns: Sequence[Turn]) -> Table:
    rows = []
    for name, moments in (
        ("true utility, temperature 1", [turn.utility for turn in turns]),
        ("true utility, likeliest words", [turn.greedy for turn in turns]),
        ("score of the model, temperature 1", [turn.reward for turn in turns]),
    ):
        before, after = np.array(moments).T
        rows.append((name, *(_said(Estimate.of(one)) for one in (before, after, after - before))))
    rows.append(
        ("divergence, nats an answer", "0", _said(Estimate.of(np.array([turn.kl for turn in turns]))), "")
    )
    return Table(
        "The policy before and after it was trained on the model", ("", *MOMENTS, "difference"), rows
    )


def _said(estimate: Estimate) -> str:
    return f"{estimate.mean:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _pair(values: Any) -> tuple[float, float]:
    first, second = values
    return first, second
