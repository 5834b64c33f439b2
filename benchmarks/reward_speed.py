"""``mm-envs bench reward-speed``: how quickly reward models are trained and score, beside imitation.

All sides train our ``RewardModel`` from the same weights (that scores are equal is checked) on the same
pictures, captions and answers, with as many pairs a minibatch, the same optimiser and the same number of
threads. imitation 1.0.1 runs in a Python of its own and takes turns with ours. In the end each side trains
from the first weights again, and all have to reach the same loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.imitation_environment import NotInstalledError, imitation_python
from benchmarks.machine import Calibration
from benchmarks.reports import Options, Report, Table
from benchmarks.reward_pairs import PairSet, caption_pairs
from benchmarks.reward_scoring import scoring_contests
from benchmarks.reward_sides import ImitationProcess, PlainLoop, Training, check_same, our_loss, ours
from benchmarks.statistics import Interval, Spread, median_ratio_interval, spread
from benchmarks.throughput import take_turns
from feedback.reward_models import RewardModel

READERS = {"encoder": "whole answers", "decoder": "word by word"}
ROUNDS, SECONDS, SCORING_ROUNDS = 7, 1.0, 11
SAME_LOSS = 0.1  # of losses that start at 0.69; minibatches in another order move them by half of this


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        separate: Pictures with one pair each.
        grouped: Pictures with four answers, six pairs, each.
        rounds: Turns of each side in a training.
        seconds: The length of a turn.
        imitation: Pairs a step of imitation.
        epochs: Epochs until losses are compared.
        scored: Captions scored at a time.
        scoring_rounds: Turns of each side in scoring.
        readers: How answers are read.
    """

    separate: int = 1024
    grouped: int = 256
    rounds: int = ROUNDS
    seconds: float = SECONDS
    imitation: int = 192
    epochs: int = 2
    scored: int = 1024
    scoring_rounds: int = SCORING_ROUNDS
    readers: tuple[str, ...] = tuple(READERS)


QUICK = Plan(32, 8, 2, 0.01, 16, 1, 16, 2, ("encoder",))


@dataclass(frozen=True)
class Speed:
    """How quick a side was.

    Attributes:
        contest: What it did.
        side: Its name.
        speed: Pairs (or captions) a second: median and quartiles over the turns.
        loss: The mean loss over all pairs in the end; None where nothing is trained.
    """

    contest: str
    side: str
    speed: Spread
    loss: float | None = None


@dataclass(frozen=True)
class Ratio:
    """Two sides compared.

    Attributes:
        contest: What both did.
        what: What is divided by what.
        ratio: Ratio of the medians, with its bootstrap interval.
        bar: What must be reached; None: for information.
        least: Whether the bar is the least that must be reached, or the most that is allowed.
    """

    contest: str
    what: str
    ratio: Interval
    bar: float | None
    least: bool = True

    @property
    def met(self) -> bool:
        """Whether the bar is reached."""
        if self.bar is None:
            return True
        return self.ratio.value >= self.bar if self.least else self.ratio.value <= self.bar


@dataclass
class _Found:
    """What has been measured so far."""

    generator: np.random.Generator
    calibration: Calibration
    speeds: list[Speed] = field(default_factory=list)
    ratios: list[Ratio] = field(default_factory=list)
    unequal: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)


def bench(options: Options, progress: Callable[[str], None]) -> Report:
    """``mm-envs bench reward-speed``: training beside imitation and plain PyTorch, and scoring.

    Args:
        options: With ``quick`` at small sizes, and with imitation only where it is installed already.
        progress: Told what is being done.
    """
    plan, found = QUICK if options.quick else Plan(), _Found(np.random.default_rng(0), Calibration())
    found.calibration.measure()
    python, missing = None, ""
    try:
        python = imitation_python(progress, install=not options.quick)
    except NotInstalledError as error:
        missing = f"SKIPPED, the comparison with imitation: {error}"
    separate, grouped = caption_pairs(plan.separate, 2), caption_pairs(plan.grouped, 4)
    for reader in plan.readers:
        for name, data, pictures, bar in (
            ("separate pairs", separate, 64, 6.0),
            ("groups of four", grouped, 16, 10.0),
        ):
            contest = f"{name}, {READERS[reader]}"
            progress(f"training, {contest}")
            training = Training(data, reader, pictures, options.threads)
            _train(contest, training, plan, bar, python, found)
    _score(plan, separate, progress, found)
    return _report(found, plan, options.threads, missing)


def _train(
    contest: str, training: Training, plan: Plan, bar: float, python: Path | None, found: _Found
) -> None:
    model = training.fitted(0)
    with ExitStack() as stack:
        plain, imitation = PlainLoop(training, model), None
        sides = [ours(training), plain.side()]
        if python is not None:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="mm-envs-imitation-")))
            imitation = ImitationProcess(python, training, model, folder)
            stack.callback(imitation.close)
            sides.append(imitation.side(plan.imitation))
            found.versions = imitation.what["versions"]
        check_same(training, model, plain, imitation)
        turns = take_turns(sides, plan.rounds, plan.seconds, found.calibration.measure)
        losses = _losses(training, model, plan.epochs, imitation)
    names = [side.name for side in sides]
    found.speeds += [
        Speed(contest, name, spread(one), loss) for name, one, loss in zip(names, turns, losses, strict=True)
    ]
    if max(losses) - min(losses) > SAME_LOSS:
        found.unequal.append(contest)
    for other, least in ((2, bar), (1, None)):
        if other < len(sides):
            ratio = median_ratio_interval(turns[0], turns[other], found.generator)
            found.ratios.append(Ratio(contest, f"mm-envs over {names[other]}", ratio, least))


def _losses(
    training: Training, model: RewardModel, epochs: int, imitation: ImitationProcess | None
) -> list[float]:
    """The loss of each side after some epochs from the first weights."""
    plain = PlainLoop(training, model)
    for _ in range(epochs):
        plain.epoch()
    losses = [our_loss(training, epochs), plain.loss()]
    if imitation is not None:
        imitation.ask(do="restart")
        imitation.ask(do="train", pairs=len(training.data), epochs=epochs)
        losses.append(imitation.ask(do="loss")["loss"])
    return losses


def _score(plan: Plan, data: PairSet, progress: Callable[[str], None], found: _Found) -> None:
    for reader in plan.readers:
        progress(f"scoring, {READERS[reader]}")
        for contest in scoring_contests(data, reader, plan.scored):
            turns = take_turns(
                contest.sides, plan.scoring_rounds, plan.seconds / 2, found.calibration.measure
            )
            name = f"{contest.name}, {READERS[reader]}"
            found.speeds += [
                Speed(name, side.name, spread(one)) for side, one in zip(contest.sides, turns, strict=True)
            ]
            for duel in contest.duels:
                # Speeds: what took how much longer is the other way round.
                ratio = median_ratio_interval(turns[duel.other], turns[duel.ours], found.generator)
                what = f"time of {contest.sides[duel.ours].name} over {contest.sides[duel.other].name}"
                found.ratios.append(Ratio(name, what, ratio, duel.bar, least=False))


def _report(found: _Found, plan: Plan, threads: int, missing: str) -> Report:
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    except_in = f", EXCEPT in {'; '.join(found.unequal)}" if found.unequal else ""
    said = [
        f"{threads} torch threads, {plan.rounds} turns of at least {plan.seconds:g} s, one model, AdamW, "
        "minibatches of 64 pairs (separate) or 96 (16 pictures, six pairs of four answers each)",
        "answers are encoded as a whole, or read word by word in their context",
        "every side trains the same network from the same weights, checked by parameters and scores; "
        f"after {plan.epochs} epochs all losses of a row, 0.69 before, agree within {SAME_LOSS:g}{except_in}",
        "ours is a whole call of fit, with its checks and the normalisation of scores; that of imitation is "
        "its trainer alone, given picture and caption in one flat Box, since it refuses Dict observations",
        *([f"imitation's environment: {versions}"] if versions else []),
        *([missing] if missing else []),
    ]
    return Report(
        met=all(one.met for one in found.ratios) and not found.unequal,
        shown=(_ratios(found.ratios), _speeds(found.speeds)),
        said=said,
        values={
            "ratios": [{**asdict(one), "met": one.met} for one in found.ratios],
            "speeds": [asdict(one) for one in found.speeds],
            "imitation": found.versions or missing,
            "unequal": found.unequal,
        },
        busy=found.calibration.reasons(),
    )


def _ratios(ratios: Sequence[Ratio]) -> Table:
    rows = []
    for one in ratios:
        interval = f"{one.ratio.value:.2f}x ({one.ratio.low:.2f} to {one.ratio.high:.2f})"
        bar = "" if one.bar is None else f"{'at least' if one.least else 'at most'} {one.bar:g}x"
        rows.append((one.contest, one.what, interval, bar, "" if not bar else "met" if one.met else "MISSED"))
    return Table("Ratios", ("what", "sides", "ratio of medians (95 %)", "bar", ""), rows)


def _speeds(speeds: Sequence[Speed]) -> Table:
    rows = [
        (
            one.contest,
            one.side,
            f"{one.speed.median:,.0f}",
            f"{one.speed.lower:,.0f} to {one.speed.upper:,.0f}",
            "" if one.loss is None else f"{one.loss:.3f}",
        )
        for one in speeds
    ]
    columns = ("what", "side", "median", "quartiles", "loss in the end")
    return Table("Pairs or captions a second", columns, rows)
