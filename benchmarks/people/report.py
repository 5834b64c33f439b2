"""Tables and sentences of ``mm-envs bench people``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from benchmarks.people.captions import Line
from benchmarks.people.ceilings import Places
from benchmarks.people.emotions import EMOTIONS, MODALITIES, PUBLISHED, WAYS, Heard
from benchmarks.people.features import METRICS
from benchmarks.people.learned import MEANING, READERS
from benchmarks.people.measures import MEASURES
from benchmarks.people.published import WHOLE, same_part
from benchmarks.reports import Report, Table
from benchmarks.statistics import Interval

DIFFERENCE, RECOVERED = 0.02, 0.9
_JOINED = ("Dawid-Skene, all votes", "majority of both")


def report(lines: Sequence[Line], places: Places, heard: Heard) -> Report:
    """Everything that was found."""
    said = [*_beside_others(lines), *_learned(lines), *_people(lines, places), *_heard(heard)]
    met = not _different(lines) and all(map(beats, _sets(lines))) and recovered(heard)
    tables = [_metrics(lines), _models(lines), _modalities(heard), _emotions(heard), _joined(heard)]
    values = {
        "captions": [asdict(one) for one in lines],
        "places": {name: np.asarray(value).tolist() for name, value in vars(places).items()},
        "emotions": heard.to_dict(),
    }
    return Report(met, tables, said, values)


def beats(line: Line) -> bool:
    """Whether the best reward model is above our best metric, its whole interval."""
    return line.gain[MEANING].low > 0


def recovered(heard: Heard) -> bool:
    """Whether the modalities are put in the right order by every seed, and reliabilities correlate."""
    ordered = all(bool((np.diff(one.skill) > 0).all()) for one in heard.seeds)
    lowest = min(min(one.by_emotion, one.by_actor) for one in heard.seeds)
    near = np.abs(heard.recognition - np.array(PUBLISHED)).max() <= DIFFERENCE
    return ordered and lowest >= RECOVERED and bool(near)


def _sets(lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if line.whole]


def _metrics(lines: Sequence[Line]) -> Table:
    reported = same_part()
    rows = []
    for line in lines:
        cells = []
        for metric in METRICS:
            before = reported.get((line.name, metric))
            behind = "" if before is None else f" ({100 * before:.1f})"
            cells.append(f"{100 * line.values[metric].value:.1f}{behind}")
        rows.append((line.name, f"{line.count:,}", *cells))
    title = "Our metrics beside people, in percent: ours (pycocoevalcap on the same judgements)"
    return Table(title, ("judgements", "number", *METRICS), rows)


def _models(lines: Sequence[Line]) -> Table:
    rows = []
    for line in lines:
        metric, number = line.best_metric, line.best_number
        rows.append(
            (
                line.name,
                f"{line.pictures}",
                f"{metric} {100 * line.values[metric].value:.1f}",
                f"{number} {100 * line.values[number].value:.1f}",
                *(_percent(line.values[reader]) for reader in READERS),
                _percent(line.gain[MEANING], sign="+"),
                "unknown" if line.person is None else f"{100 * line.person:.1f}",
            )
        )
    columns = ("pictures", "best metric", "best number", *READERS, "above best metric", "a person")
    title = "Reward models on pictures never seen, in percent [95 % over pictures]"
    return Table(title, ("judgements", *columns), rows)


def _modalities(heard: Heard) -> Table:
    rows = []
    for i, name in enumerate(MODALITIES):
        rows.append(
            (
                name,
                f"{100 * PUBLISHED[i]:.1f}",
                f"{100 * heard.recognition[i]:.1f}",
                _spread([100 * one.skill[i] for one in heard.seeds]),
                _spread([100 * one.consensus[i] for one in heard.seeds]),
                _spread([100 * one.held_out[i] for one in heard.seeds]),
                f"{heard.alpha[i]:.2f}",
            )
        )
    columns = (
        "modality", "published", "votes as intended", "recovered", "held-out votes as found",
        "held-out votes as intended", "alpha",
    )  # fmt: skip
    return Table("CREMA-D: reliability of those who judge a modality, in percent", columns, rows)


def _emotions(heard: Heard) -> Table:
    rows = []
    for i, name in enumerate(MODALITIES):
        pairs = zip(heard.diagonal[i], heard.by_emotion[i], strict=True)
        rows.append((name, *(f"{100 * found:.0f} ({100 * truth:.0f})" for found, truth in pairs)))
    title = "CREMA-D by emotion, in percent: recovered (all votes as intended)"
    return Table(title, ("modality", *EMOTIONS), rows)


def _joined(heard: Heard) -> Table:
    rows = [(name, _spread([100 * one.single[i] for one in heard.seeds])) for i, name in enumerate(WAYS)]
    return Table("CREMA-D: the intended emotion found from half of the votes, in percent", ("by", ""), rows)


def _different(lines: Sequence[Line]) -> list[str]:
    """Differences of more than the bar from what others got on the same judgements."""
    reported, found = same_part(), []
    for line in lines:
        for metric in METRICS:
            before = reported.get((line.name, metric))
            if before is not None and abs(line.values[metric].value - before) > DIFFERENCE:
                found.append(f"{metric} on {line.name}: {line.values[metric].value:.3f} for {before:.3f}")
    return found


def _beside_others(lines: Sequence[Line]) -> list[str]:
    reported = same_part()
    differences = [
        abs(line.values[metric].value - reported[line.name, metric])
        for line in lines
        for metric in METRICS
        if (line.name, metric) in reported
    ]
    said = [
        f"Same judgements: {len(differences)} figures of pycocoevalcap, the largest difference is "
        f"{max(differences):.3f} (at most {DIFFERENCE}: {_met(not _different(lines))}); what is left comes "
        "from document frequencies, taken here over captions that are all different"
    ]
    by_name = {line.name: line for line in lines}
    for (name, metric), before in WHOLE.items():
        ours = by_name[name].values[metric]
        if abs(ours.value - before) > DIFFERENCE:
            within = "within" if ours.low <= before <= ours.high else "not within"
            said.append(
                f"Whole set: {metric} on {name} is {_of_one(ours)} here and {before:.3g} published, which is "
                f"{within} the interval: ours are three fifths of its pictures"
            )
    return said


def _learned(lines: Sequence[Line]) -> list[str]:
    given = "; ".join(f"{name}: {what}" for name, what in READERS.items())
    said = [f"Reward models are given ({given}); those of {MEANING} are what the bar is about"]
    for line in _sets(lines):
        seeds = ", ".join(f"{value:.3f}" for value in line.seeds[MEANING])
        gain, over = line.gain[MEANING], line.gain_over_number[MEANING]
        measure = MEASURES[line.name.split(",")[0]][0]
        said.append(
            f"{line.name}, {measure}: a reward model given {MEANING} gains {_of_one(gain)} over our "
            f"best metric, {line.best_metric}, on pictures never seen ({_met(beats(line))}), and "
            f"{_of_one(over)} over the best single number, {line.best_number}{_enough(over)}; by seed {seeds}"
        )
    below = [line.name for line in _sets(lines) if line.gain["text"].high < 0]
    said.append(
        f"Words alone are below the best metric on {len(below)} of {len(_sets(lines))} sets: a few thousand "
        "captions do not teach which words mean the same, what metrics and word vectors bring with them"
    )
    return said


def _enough(over: Interval) -> str:
    return "" if over.low > 0 else " (not told apart: too few pictures)"


def _people(lines: Sequence[Line], places: Places) -> list[str]:
    known = {line.name.split(",")[0]: line.alpha for line in lines if line.alpha is not None}
    alphas = ", ".join(f"{name} {value:.2f}" for name, value in known.items())
    agreement = ", ".join(
        f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
        for value, low, high in zip(places.agreement, places.low, places.high, strict=True)
    )
    reached = [
        line.name for line in lines if line.person is not None and line.values[MEANING].high >= line.person
    ]
    verdict = "some are told apart" if places.told_apart else "nobody is told apart, and nobody to distrust"
    return [
        f"Krippendorff's alpha of people: {alphas}; single people of THumB are not published",
        "A person beside the others is not measured as a metric is: the others are fewer than all people, "
        "and pairs on which they are balanced are left out (a vote for neither counts as half right)",
        f"The interval of models given {MEANING} reaches a person on: {'; '.join(reached) or 'none'}",
        f"AudioCaps-Eval, four votes with ties (alpha {places.alpha:.2f}): nobody says who gave which; by "
        f"place in the list they agree with the other three in {agreement} percent: {verdict}",
    ]


def _heard(heard: Heard) -> list[str]:
    far = np.abs(heard.recognition - np.array(PUBLISHED)).max()
    by_emotion = _spread([one.by_emotion for one in heard.seeds], 2)
    by_actor = _spread([one.by_actor for one in heard.seeds], 2)
    within = _spread([one.within for one in heard.seeds], 2)
    joined, alone = (np.mean([one.single[WAYS.index(way)] for one in heard.seeds]) for way in _JOINED)
    gap = max(float((one.skill - one.held_out).max()) for one in heard.seeds)
    close = max(float((one.skill - one.consensus).max()) for one in heard.seeds)
    return [
        f"CREMA-D: votes are published without voters, so that reliability is that of a modality, not of a "
        f"person; recognition differs from the paper's by at most {far:.3f}: its 2,443 people saw 90 "
        "clips each, which makes 219,870 votes, and 212,000 are published",
        f"Reliability from half of the votes, and the share of the other half for the intended emotion: "
        f"r = {by_emotion} over modality and emotion, {by_actor} over modality and actor, {within} over "
        f"actors of one modality (at least {RECOVERED} for the first two, voice < face < both in every seed: "
        f"{_met(recovered(heard))})",
        f"Recovered reliability is up to {gap:.3f} above recognition of the intended emotion: it is measured "
        "against what can be perceived, and actors are not always seen or heard as what they were asked for; "
        f"against held-out votes for the emotion that was found the rest is {close:.3f}, since votes on one "
        "clip err together, and Dawid and Skene take them for independent",
        f"Trusting each modality as far as it was found to deserve, all votes together find the intended "
        f"emotion in {100 * joined:.1f} percent of the clips, the majority of the best modality in "
        f"{100 * alone:.1f}",
    ]


def _percent(one: Interval, sign: str = "") -> str:
    return f"{100 * one.value:{sign}.1f} [{100 * one.low:{sign}.1f}, {100 * one.high:{sign}.1f}]"


def _of_one(one: Interval) -> str:
    return f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"


def _spread(values: Sequence[float], digits: int = 1) -> str:
    """The mean, and the lowest and highest of several seeds."""
    return f"{np.mean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _met(met: bool) -> str:
    return "met" if met else "MISSED"
