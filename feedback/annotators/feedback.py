"""The default reward: noisy ratings by a simulated annotator."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from mm_envs.arrays import Array, numpy_on_cpu, where
from mm_envs.episodes import Episodes, Judgement, OneScore
from mm_envs.feedback_sources import true_utility
from mm_envs.random import chance, gumbel, key_hashes, purpose
from mm_envs.tasks import Task

_EULER = 0.5772156649015329


class AnnotatorFeedback:
    """Ratings of answers one by one: noisy, sometimes mistaken, on a personal scale.

    The perceived utility is p = u + (s / b) (G - 0.5772), where u is the true utility (1 - u by mistake, with
    probability ``mistakes``), s the task's standard deviation of utility, b the rationality and G a standard
    Gumbel draw of mean 0.5772. The reward is ``offset + gain * p``. The better of two answers gets the higher
    rating with probability sigmoid(b (u1 - u2) / s): the Boltzmann-rational choice (Luce, 1959; Bradley and
    Terry, 1952). All noise is drawn from the key of the episode and the seed, whatever the batch.

    Args:
        task: The task whose answers are rated.
        rationality: b, per standard deviation of utility; infinity for no noise.
        mistakes: How often a good answer is taken for a bad one, in [0, 0.5].
        scale: The standard deviation of ``log2(gain)`` and of ``offset`` among annotators.
        seed: Decides gain, offset and noise.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> annotator = AnnotatorFeedback(make_task("classify", dataset="digits"), scale=0.0)
        >>> annotator.gain, annotator.offset
        (1.0, 0.0)
    """

    sees_reference = True
    deterministic = False
    scores_prefix = False
    by_row = True

    def __init__(
        self,
        task: Task,
        *,
        rationality: float = 4.0,
        mistakes: float = 0.05,
        scale: float = 0.1,
        seed: int = 0,
    ) -> None:
        if not rationality > 0:
            raise ValueError(
                f"rationality={rationality} is not above 0: use a small number for a careless annotator"
            )
        if not 0 <= mistakes <= 0.5:
            raise ValueError(f"mistakes={mistakes} is not within 0 to 0.5: 0.5 is a coin-flipper")
        if not scale >= 0:
            raise ValueError(f"scale={scale} is below 0: 0 is an annotator on the scale of utility")
        self._task, self.mistakes = task, mistakes
        self.noise = float(task.utility_deviation / rationality)
        # Python's own numbers keep single precision single in both libraries.
        self.gain = float(2 ** (scale * _standard_normal(f"rater {seed} gain")))
        self.offset = float(scale) * _standard_normal(f"rater {seed} offset")
        self._stream = purpose(f"rater {seed} noise")

    def score(self, episodes: Episodes) -> Judgement:
        """Rates each episode; a ValueError without the key, from which the noise is drawn, or the truth."""
        if episodes.key is None:
            raise ValueError("these episodes carry no key: a simulated annotator draws its noise from it")
        truth = true_utility(self._task, episodes)
        rating, perceived, noise = self._rated(truth.reward, episodes.key)
        return Judgement(rating, {"perceived": perceived, "noise": noise}, truth.judged)

    def one_by_one(self, keys: NDArray[np.int64]) -> OneScore:
        """Draws the noise of many episodes at once; see ``mm_envs.episodes.OneScore``."""
        mistaken, noises = self._draw(keys)

        def score(index: int, utility: float, parts: Mapping[str, float]) -> tuple[float, dict[str, float]]:
            seen, noise = np.float32(utility), noises[index]
            seen = 1 - seen if mistaken[index] else seen
            rating = (seen + noise) * self.gain + self.offset
            return float(rating), {"perceived": float(seen), "noise": float(noise)}

        return score

    @numpy_on_cpu
    def _rated(self, utility: Array, key: Array) -> tuple[Array, Array, Array]:
        mistaken, noise = self._draw(key)
        perceived = where(mistaken, 1 - utility, utility)
        return (perceived + noise) * self.gain + self.offset, perceived, noise

    def _draw(self, key: Array) -> tuple[Array, Array]:
        """Which episodes are rated by mistake, and the noise of each."""
        hashes = key_hashes(key, self._stream)
        # The low bits of the hash make the noise, the high ones the mistakes.
        return chance(hashes, self.mistakes), (gumbel(hashes) - _EULER) * self.noise


def _standard_normal(name: str) -> float:
    """A draw that is a function of its name."""
    return NormalDist().inv_cdf((purpose(name) + 0.5) / 2**63)
