"""A simulated annotator, who can be asked in every way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf, isfinite
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor

from feedback.annotators import writing
from feedback.annotators.annotator import Comparison, answer_hashes, pair_hashes
from feedback.annotators.biases import Bias, Blind, Myopic, make_bias, perceived_through
from feedback.annotators.blindness import guessing
from feedback.annotators.decision import Decision
from feedback.annotators.writing import Remarks
from mm_envs.episodes import Episodes, Judgement, Prompts
from mm_envs.names import whole
from mm_envs.random import fold, gumbel, logistic, normal, purpose, uniform
from mm_envs.tasks.task import Task

_EULER = 0.5772156649015329
_HESITATION = 1.0
_MAX_LEVELS = 1000


class SimulatedAnnotator:
    """Simulated annotator: perceives the true utility with biases, and decides with noise.

    Without further arguments it is the oracle; every argument adds one weakness. It gives choices
    (``compare``), ratings (``rate``; it is a ``Feedback``, too), approvals, rankings, corrections,
    demonstrations and critiques. All noise is drawn from the key of the episode, the answers and the seed,
    whatever the batch: the same question gets the same answer again, and two annotators of one seed draw the
    same noise.

    Args:
        task: The task whose answers are judged.
        name: The annotator in records.
        rationality: Log odds per standard deviation of utility differences; see ``Decision``.
        mistakes: How often a choice is turned round, in [0, 1].
        skip: Pairs of which neither answer is worth more standard deviations of utility are skipped.
        equal: Answers that are less standard deviations of utility apart are a tie.
        position: Log odds in favour of the answer that is displayed first.
        fatigue: After how many labels half of the attention is gone.
        biases: Between truth and perception, as biases or plain values, see ``make_bias``.
        scale: The standard deviation, among seeds, of ``log2(gain)`` and of ``offset`` of the rating scale.
        levels: How many grades a rating has; 0 for any number.
        threshold: The perceived utility from which on an answer is approved.
        seconds: The median latency of an easy comparison; close ones take up to twice as long.
        seed: Decides all draws.

    Raises:
        ValueError: An argument is out of its range, or a bias does not fit the task.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> task = make_task("classify", dataset="digits")
        >>> key, label = torch.tensor([[0, 0, 0], [0, 1, 0]]), torch.tensor([3, 4])
        >>> first = Episodes({}, torch.tensor([3, 5]), None, {"label": label}, key)
        >>> second = Episodes({}, torch.tensor([7, 4]), None, {"label": label}, key)
        >>> SimulatedAnnotator(task).compare(first, second).choice
        tensor([0, 1])
    """

    sees_reference = True
    deterministic = False
    scores_prefix = False

    def __init__(
        self,
        task: Task,
        *,
        name: str = "annotator",
        rationality: float = inf,
        mistakes: float = 0.0,
        skip: float = 0.0,
        equal: float = 0.0,
        position: float = 0.0,
        fatigue: float = inf,
        biases: Iterable[Bias | Mapping[str, Any]] = (),
        scale: float = 0.0,
        levels: int = 0,
        threshold: float = 0.5,
        seconds: float = 4.0,
        seed: int = 0,
    ) -> None:
        if not isinstance(name, str) or not name:
            raise ValueError(f"name={name!r:.60} is no name: give a text, as records hold it")
        whole("seed", seed)
        whole("levels", levels)
        if not 0 <= scale < inf:
            raise ValueError(
                f"scale={scale} is not within 0 to infinity: 0 is an annotator on the scale of utility"
            )
        if not isfinite(threshold):
            raise ValueError(f"threshold={threshold} is no finite number: give a utility")
        if isinstance(biases, Mapping):
            raise ValueError(f"biases={biases} is one bias: give a list of biases")
        if levels != 0 and not 2 <= levels <= _MAX_LEVELS:
            raise ValueError(
                f"levels={levels} is no scale: give 2 to {_MAX_LEVELS} grades, or 0 for any number"
            )
        if not 0 < seconds < inf:
            raise ValueError(f"seconds={seconds} is no time: give a number above 0")
        self.task, self.name, self.seed = task, name, seed
        self.decision = Decision(rationality, mistakes, skip, equal, position, fatigue)
        self.biases = tuple(make_bias(bias) for bias in biases)
        self.levels, self.threshold, self.seconds = levels, threshold, seconds
        self.gain = 2 ** (scale * self._trait("gain"))
        self.offset = scale * self._trait("offset")
        self._near = perceived_through(task, self.biases)
        blind = [bias.missing for bias in self.biases if isinstance(bias, Blind)]
        self._guess = guessing(task, blind[0]) if blind else None
        far = tuple(bias for bias in self.biases if not isinstance(bias, Myopic))
        self._far = self._near if far == self.biases else perceived_through(task, far)

    def perceive(self, episodes: Episodes) -> Tensor:
        """The utility of answers as this annotator perceives it, without noise, (n,) float32."""
        return self._near(episodes)

    # Two answers ------------------------------------------------------------------------------------------

    def compare(self, first: Episodes, second: Episodes, label: Tensor | None = None) -> Comparison:
        """Chooses the better of two answers to the same question.

        Args:
            first: The answers that are displayed first, n episodes with reference and key.
            second: The answers that are displayed second.
            label: How many labels were given before each one, (n,) int64; None for 0.
        """
        hashes, sign = pair_hashes(first, second, self._purpose("compare"))
        s = self.task.utility_deviation
        one, other = self._far(first) / s, self._far(second) / s
        gap = one - other
        logit = gap if self._far is self._near else self._logit(first, second)
        choice = self.decision.choice(torch.maximum(one, other), gap, logit, hashes, sign, label)
        return Comparison(choice, self._latency(first, second, logit))

    def probability(self, first: Episodes, second: Episodes, label: Tensor | None = None) -> Tensor:
        """How likely the first answer is chosen where it is neither skipped nor a tie, (n,) float32."""
        return self.decision.probability(self._logit(first, second), label)

    def _logit(self, first: Episodes, second: Episodes) -> Tensor:
        s = self.task.utility_deviation
        return self._near(first) / s - self._near(second) / s

    def _latency(self, first: Episodes, second: Episodes, logit: Tensor) -> Tensor:
        hashes, _ = pair_hashes(first, second, self._purpose("latency"))
        # In double precision, so that the rounded result does not depend on how the batch is vectorised.
        hesitation = 1 + _HESITATION * torch.exp(-logit.abs().double())
        return (self.seconds * hesitation * torch.exp(0.3 * normal(hashes).double())).to(torch.float32)

    # One answer -------------------------------------------------------------------------------------------

    def rate(self, episodes: Episodes, label: Tensor | None = None) -> Tensor:
        """Ratings in [0, 1], (n,) float32, of n episodes with reference and key.

        The rating is ``offset + gain * p``, within 0 to 1 and rounded to the grades of the scale, with
        p = u + (s / b) (G - 0.5772), where u is the perceived utility (1 - u by mistake), s the standard
        deviation of utility differences, b the rationality and G a standard Gumbel draw. Before they are cut
        and rounded, two ratings order two answers as a Boltzmann-rational choice does.
        """
        hashes, seen = answer_hashes(episodes, self._purpose("rate")), self._near(episodes)
        seen = torch.where(uniform(hashes) < self.decision.mistaken(label, hashes), 1 - seen, seen)
        rating = self._noisy(seen, gumbel(hashes) - _EULER) * self.gain + self.offset
        rating = rating.clamp(0, 1)
        if self.levels:
            rating = (rating * (self.levels - 1)).round() / (self.levels - 1)
        return rating

    def score(self, episodes: Episodes) -> Judgement:
        """The ratings as reward, with the perceived utility as a part."""
        return Judgement(self.rate(episodes), {"perceived": self._near(episodes)})

    def approve(self, episodes: Episodes, label: Tensor | None = None) -> Tensor:
        """Which answers are good enough, (n,) bool: P = sigmoid(b (u - threshold) / s), mistakes turned."""
        hashes, seen = answer_hashes(episodes, self._purpose("approve")), self._near(episodes)
        good = self._noisy(seen, logistic(hashes)) >= self.threshold
        return good ^ (uniform(hashes) < self.decision.mistaken(label, hashes))

    def _noisy(self, seen: Tensor, noise: Tensor) -> Tensor:
        """What is seen with noise of the person's rationality; who has none does not look at all."""
        s, b = self.task.utility_deviation, self.decision.sharpness
        return seen + noise * (s / b) if b > 0 else self.threshold + noise * s

    # Several answers --------------------------------------------------------------------------------------

    def rank(self, answers: Sequence[Episodes], label: Tensor | None = None) -> Tensor:
        """Orders K answers to the same question: their positions, best first, (n, K) int64.

        The order follows Plackett and Luce with weights exp(b u / s), s the standard deviation of utility
        differences: u b / s plus standard Gumbel draws are sorted. A mistake turns the order round; the
        position bias falls evenly from the answer that is displayed first to 0 for the last. Without noise,
        answers that seem equal come in an order that is drawn, and the bias acts on them alone, as in a
        comparison.

        Args:
            answers: K times n episodes with reference and key, in the order in which they are displayed.
            label: How many labels were given before each one, (n,) int64; None for 0.
        """
        if len(answers) < 2:
            raise ValueError(f"{len(answers)} answers cannot be ranked: give at least 2")
        seen = torch.stack([self._near(one) for one in answers], 1) / self.task.utility_deviation
        noise = torch.stack([gumbel(answer_hashes(one, self._purpose("rank"))) for one in answers], 1)
        noise = noise + torch.linspace(self.decision.position, 0, len(answers), device=noise.device)
        order = self.decision.order(seen, noise)
        # A sum, so that the display does not matter.
        hashes = fold(torch.stack([answer_hashes(one, self._purpose("turned")) for one in answers]).sum(0), 0)
        turned = uniform(hashes) < self.decision.mistaken(label, hashes)
        return torch.where(turned[:, None], order.flip(1), order)

    # Answers of one's own ---------------------------------------------------------------------------------

    def correct(self, episodes: Episodes, label: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Corrected answers and lengths: the reference with the fewest words changed that seems better.

        An answer than which no reference seems better stays as it is; so does one that is overlooked by
        mistake, or by an annotator that flips coins.
        """
        hashes = answer_hashes(episodes, self._purpose("guess"))
        better, length = writing.nearest_better(
            self.task, episodes, self._near, lambda answers: self._known(answers, hashes)
        )
        changed = Episodes(episodes.context, better, length)
        kept = episodes.where(self._astray(episodes, "correct", label), changed)
        return kept.response, kept.response_length

    def demonstrate(self, prompts: Prompts, label: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Answers and lengths: the oracle's, by mistake with one word, or the choice, exchanged.

        What only a missing modality carries is left out; the answer is a guess if nothing is left.
        """
        kind = self.task.answer
        best = prompts.answered(*kind.close(self.task.oracle(prompts.reference)))
        known = self._known(best.response, answer_hashes(best, self._purpose("guess")))
        best = prompts.answered(*kind.close(known))
        hashes = answer_hashes(best, self._purpose("slip"))
        slip = prompts.answered(*kind.slip(best.response, best.response_length, hashes))
        given = slip.where(self._astray(best, "demonstrate", label), best)
        return given.response, given.response_length

    def critique(self, episodes: Episodes, label: Tensor | None = None) -> Remarks:
        """Names the word of each answer whose loss would change its perceived utility most.

        Word w is chosen with probability proportional to exp(b |d_w| / s), where d_w is the change by leaving
        it out and s the standard deviation of utility differences. It is bad where the answer is better
        without it; a mistake turns the verdict.
        """
        hashes = answer_hashes(episodes, self._purpose("critique"))
        sharp = self.decision.sharpness / self.task.utility_deviation
        turned = uniform(hashes) < self.decision.mistaken(label, hashes)
        return writing.remark(self.task, episodes, self._near, sharp, hashes, turned)

    def _known(self, answers: Tensor, hashes: Tensor) -> Tensor:
        return answers if self._guess is None else self._guess(answers, hashes)

    def _astray(self, episodes: Episodes, what: str, label: Tensor | None) -> Tensor:
        hashes = answer_hashes(episodes, self._purpose(what))
        if self.decision.rationality == 0:
            return torch.ones_like(hashes, dtype=torch.bool)
        return uniform(hashes) < self.decision.mistaken(label, hashes)

    def _purpose(self, what: str) -> int:
        return purpose(f"annotator {self.seed} {what}")

    def _trait(self, what: str) -> float:
        """A standard normal draw that belongs to the person."""
        return NormalDist().inv_cdf((self._purpose(what) + 0.5) / 2**63)
