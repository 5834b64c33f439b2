"""Numbers of captions, measures over pictures, folds, single people, and reliability from votes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shared_data import ROOT, shared

from benchmarks.experiment import Context
from benchmarks.experiments.captions import data as human
from benchmarks.experiments.people import EXPERIMENT, ceilings, emotions, learned
from benchmarks.experiments.people.features import METRICS, PLAIN, features, plain_numbers
from benchmarks.experiments.people.labels import HumanLabels
from benchmarks.experiments.people.measures import slices
from benchmarks.experiments.people.published import WHOLE, same_part
from benchmarks.experiments.people.vectors import WordVectors
from feedback.preferences import Labelled

ANIMALS, COLOURS = ("dog", "cat", "horse", "bird", "cow", "pig"), ("red", "blue", "green", "white", "black")


def made(images: int = 120, seed: int = 0, paired: bool = False) -> HumanLabels:
    """Pictures of a coloured animal: captions are right, half right or wrong, and are rated so."""
    random = np.random.default_rng(seed)
    candidates, references, image, quality = [], [], [], []
    for picture in range(images):
        animal, colour = random.choice(ANIMALS), random.choice(COLOURS)
        known = [f"a {colour} {animal}", f"the {animal} is {colour}", f"{colour} {animal} outside"]
        for right in range(4):
            one = animal if right % 2 else random.choice([word for word in ANIMALS if word != animal])
            other = colour if right // 2 else random.choice([word for word in COLOURS if word != colour])
            candidates.append(f"one {other} {one}")
            references.append(known)
            image.append(picture)
            quality.append(right % 2 + right // 2)
    rows, good = np.arange(len(candidates)), np.array(quality, dtype=np.float64)
    if not paired:
        return HumanLabels(
            "Flickr8k experts", candidates, references, np.array(image), np.repeat(rows, 3),
            np.empty(0, dtype=np.int64), np.repeat(good, 3) / 2,
        )  # fmt: skip
    pairs = np.array(
        [(4 * i + a, 4 * i + b) for i in range(images) for a, b in ((3, 0), (0, 3), (1, 3), (2, 0))]
    )
    votes = np.sign(good[pairs[:, 0]] - good[pairs[:, 1]]).astype(np.int64)
    given = [[int(vote)] * 3 + [-int(vote)] for vote in votes]
    groups = ["HC", "HI", "HM", "MM"] * images
    return HumanLabels(
        "AudioCaps-Eval", candidates, references, np.array(image), pairs[:, 0], pairs[:, 1],
        2.0 * votes, groups, given,
    )  # fmt: skip


def vectors(captions: HumanLabels) -> WordVectors:
    return WordVectors.of([" ".join(known).split() for known in captions.references], size=4)


def test_numbers_of_a_caption() -> None:
    captions = made()
    counted = features(captions.candidates, captions.references, vectors(captions))
    assert counted.names == METRICS + PLAIN
    assert counted.values.shape == (480, len(METRICS) + len(PLAIN))
    assert np.isfinite(counted.values).all()
    np.testing.assert_allclose(counted.agreement.sum(1), counted["meaning cosine"], atol=1e-6)
    known = np.array([np.isin(text.split(), " ".join(some).split()).mean() for text, some in zip(
        captions.candidates, captions.references, strict=True)])  # fmt: skip
    np.testing.assert_allclose(counted["words known"], known)


def test_a_caption_that_is_the_reference_has_every_number_of_agreement_at_its_best() -> None:
    known = vectors(made())
    numbers = dict(
        zip(PLAIN, plain_numbers(["a", "red", "dog"], [["a", "red", "dog"]], known)[0], strict=True)
    )
    for name in PLAIN[:8]:
        assert numbers[name] == pytest.approx(1, abs=1e-5), name
    assert numbers["words over references"] == numbers["words repeated"] == 0
    assert not plain_numbers([], [["a"]], known)[0].any()
    assert not plain_numbers(["a"], [[]], known)[0].any()


def test_words_without_a_vector_are_like_nothing_but_themselves() -> None:
    known = vectors(made())
    dog, unknown = known.encode(["dog", "zebra"])
    assert unknown == len(known.ids)
    assert known.similar[dog, unknown] == 0
    assert known.similar[dog, dog] == 1
    assert known.rarity[unknown] >= known.rarity.max()


@pytest.mark.parametrize("paired", [False, True])
def test_resamples_draw_whole_pictures(paired: bool) -> None:
    captions = made(20, paired=paired)
    for one in slices(captions):
        for rows in one.resampled(np.random.default_rng(0), 5):
            image = captions.image[captions.first]
            drawn, all_of = np.bincount(image[rows], minlength=20), np.bincount(image[one.rows], minlength=20)
            assert set(rows) <= set(one.rows)
            times = drawn / all_of
            assert (times == times.round()).all()
            assert times.sum() == 20


def test_a_perfect_scorer_and_its_opposite() -> None:
    captions = made(paired=True)
    quality = np.tile([0.0, 1.0, 1.0, 2.0], 120)
    values = {one.name: one.value(quality) for one in slices(captions)}
    assert values == {f"AudioCaps-Eval, {group}": 1 for group in ("HC", "HI", "HM", "MM", "all")}
    assert {one.value(-quality) for one in slices(captions)} == {0}
    (ratings,) = slices(made())
    assert ratings.value(quality) == pytest.approx(-ratings.value(-quality))
    assert ratings.value(quality) > 0.9


def test_folds_hold_every_picture_once_and_are_the_same_again() -> None:
    captions = made(23)
    fold = learned.folds(captions, seed=3)
    assert np.bincount(fold).tolist() == [5, 5, 5, 4, 4]
    assert (fold == learned.folds(captions, seed=3)).all()
    assert (fold != learned.folds(captions, seed=4)).any()


@pytest.mark.parametrize("paired", [False, True])
def test_a_reward_model_scores_captions_of_pictures_it_has_not_seen(paired: bool) -> None:
    captions = made(paired=paired)
    counted = features(captions.candidates, captions.references, vectors(captions))
    config = replace(learned.config(captions, learned.MEANING, 0), members=1, batch=32)
    scores = learned.out_of_fold(captions, counted, learned.MEANING, config, 2)
    assert slices(captions)[-1].value(scores) > (0.9 if paired else 0.7)


def test_no_judgement_of_a_picture_reaches_its_own_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    captions = made(30)
    counted = features(captions.candidates, captions.references, vectors(captions))
    fold = learned.folds(captions, seed=0, count=2)
    seen: list[set[int]] = []

    def fit(labelled: Labelled, spaces: Any, config: Any, *, validation: Labelled, **others: Any) -> Any:
        rows = [part.labels[0].answer for part in (labelled, validation)]
        pictures = [set(captions.image[some.numpy()]) for some in rows]
        assert not pictures[0] & pictures[1]
        seen.append(pictures[0] | pictures[1])
        return real(labelled, spaces, config, validation=validation, **others)

    real = learned.fit
    monkeypatch.setattr(learned, "fit", fit)
    learned.out_of_fold(
        captions, counted, learned.TEXT, learned.config(captions, learned.TEXT, 0, quick=True), 2
    )
    assert seen == [set(np.flatnonzero(fold != held_out)) for held_out in (0, 1)]


def test_a_share_of_people_is_as_many_approvals() -> None:
    captions = made(2)
    crowd = HumanLabels("Flickr8k crowd", captions.candidates, captions.references, captions.image,
                   np.arange(2), captions.second, np.array([1 / 3, 1.0]), people=[3, 2])  # fmt: skip
    labels, people = learned._approvals(crowd)
    assert people == 3
    assert labels.answer.tolist() == [0, 0, 0, 1, 1]
    assert labels.approved.tolist() == [True, False, False, True, True]


def test_one_person_against_the_others() -> None:
    captions = made(paired=True)
    found = ceilings.one_against_the_others(captions, np.random.default_rng(0))
    # Three votes of a kind have a majority of the others on their side, the fourth has not.
    assert found == dict.fromkeys(found, 0.75)
    assert len(found) == 5
    agreeing = made(40)
    found = ceilings.one_against_the_others(agreeing, np.random.default_rng(0))
    assert found["Flickr8k experts"] == pytest.approx(slices(agreeing)[0].value(agreeing.values[::3]))
    assert ceilings.alpha_of(agreeing) == 1


def test_a_careless_position_differs_from_the_others() -> None:
    random = np.random.default_rng(0)
    truth = random.choice([-1, 1], size=400)
    given = np.where(random.random((400, 4)) < [0.9, 0.9, 0.9, 0.5], truth[:, None], -truth[:, None])
    pairs = human.Preferences([], [], [], given.sum(1), ["HC"] * 400, [str(i // 2) for i in range(400)],
                              given.tolist())  # fmt: skip
    found = ceilings.by_position(pairs, np.random.default_rng(0), 100)
    assert found.distinct
    assert np.argmin([one.value for one in found.agreement]) == found.skill.argmin() == 3
    np.testing.assert_allclose(found.skill, [0.9, 0.9, 0.9, 0.5], atol=0.1)
    assert all(one.low <= one.value <= one.high for one in found.agreement)


def clips(actors: int = 12, each: int = 60, seed: int = 0) -> tuple[emotions.Clips, np.ndarray]:
    """Votes of three modalities whose reliability differs by actor."""
    random = np.random.default_rng(seed)
    skill = np.clip(np.array([0.4, 0.6, 0.7]) + random.normal(0, 0.12, (actors, 1)), 0.25, 0.95)
    actor = np.arange(actors).repeat(each)
    intended = random.integers(6, size=len(actor))
    chance = np.repeat((1 - skill[actor])[:, :, None] / 5, 6, axis=2)
    np.put_along_axis(chance, intended[:, None, None], skill[actor][:, :, None], axis=2)
    return emotions.Clips(random.multinomial(10, chance), intended, actor), skill


def test_halves_are_all_votes() -> None:
    given, _ = clips(3, 20)
    one, other = given.halves(np.random.default_rng(1))
    assert (one.counts + other.counts == given.counts).all()
    assert (one.counts.sum(2) == 5).all()
    votes = emotions.votes(one, by_actor=True)
    assert len(votes) == one.counts.sum()
    assert votes.annotators == 9
    counted = np.bincount(votes.annotator.numpy(), minlength=9).reshape(3, 3)
    assert (counted == 20 * 5).all()


def test_reliability_is_found_without_the_truth() -> None:
    given, skill = clips()
    found = emotions.recover(given, seed=0)
    np.testing.assert_allclose(found.skill, skill.mean(0), atol=0.05)
    assert found.by_actor > 0.9
    assert found.within > 0.7
    assert found.single[4] > found.single[:4].max()


def test_broken_clips_are_named(tmp_path: Path) -> None:
    (tmp_path / "tabulatedVotes.csv").write_text(
        '"","A","D","F","H","N","S","fileName"\n"100001",0,0,0,1,1,0,"1_X"\n'
    )
    with pytest.raises(ValueError, match=r"tabulatedVotes\.csv:2: '1_X' names no known emotion"):
        emotions.read(tmp_path)


def test_clips_are_read_by_modality(tmp_path: Path) -> None:
    rows = [f'"{m}00001",{m},0,0,0,2,0,"1001_IEO_NEU_XX"' for m in (1, 2, 3)]
    (tmp_path / "tabulatedVotes.csv").write_text("\n".join(['"","A","D","F","H","N","S","fileName"', *rows]))
    read = emotions.read(tmp_path)
    assert read.counts.tolist() == [[[m, 0, 0, 0, 2, 0] for m in (1, 2, 3)]]
    assert read.intended.tolist() == [4]
    np.testing.assert_allclose(emotions.recognition(read), [2 / 3, 2 / 4, 2 / 5])


def test_figures_of_others_name_lines_and_metrics_of_ours() -> None:
    assert len(same_part()) == 4 * 14
    assert {metric for _, metric in [*same_part(), *WHOLE]} <= set(METRICS)


@pytest.mark.slow
def test_it_runs_on_real_sets(tmp_path: Path) -> None:
    for name in ("flickr8k_human_judgements", "thumb_mscoco_ratings", "pascal50s_human_pairs",
                 "fense_audiocaps_eval", "crema_d_human_votes"):  # fmt: skip
        shared(name)
    report = EXPERIMENT.report(EXPERIMENT.run(tmp_path, Context(ROOT), quick=True), "")
    assert len(report.tables) == 6
    for table in report.tables:
        assert {len(row) for row in table.rows} == {len(table.columns)}
