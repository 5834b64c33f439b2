"""Small sets: folds that hold every item out once, flags and clips, and a whole trial on tiny files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shared_data import shared

from agents.sb3.settings import PPOSettings
from benchmarks.held_out import Training
from benchmarks.real_sets import TRIALS, Outcome, Trial, attempt, report
from benchmarks.sets.clips import clips
from benchmarks.sets.flags import flags
from benchmarks.sets.folds import group_of, held_out_fold
from mm_envs.data.records import Record, Source


def _country(code: str, region: str, part: str, landlocked: bool) -> dict[str, object]:
    return {
        "cca2": code,
        "name": {"common": code},
        "region": region,
        "subregion": part,
        "landlocked": landlocked,
    }


@pytest.fixture
def flag_folder(tmp_path: Path) -> Path:
    """Twelve countries, two of which fly one flag, and one without."""
    (tmp_path / "png250px").mkdir()
    countries = [_country("XX", "Europe", "Nowhere", False)]
    for number in range(12):
        code = f"A{chr(65 + number)}"
        regions = (("Europe", "Western Europe"), ("Africa", "Eastern Africa"), ("Antarctic", ""))
        countries.append(_country(code, *regions[number % 3], number % 2 == 0))
        colour = (20 * max(number, 1), 50, 200 - 10 * max(number, 1))
        Image.new("RGB", (60, 40), colour).save(tmp_path / "png250px" / f"{code.lower()}.png")
    (tmp_path / "countries.json").write_text(json.dumps(countries))
    return tmp_path


def test_every_item_is_held_out_once_and_groups_stay_whole() -> None:
    records = [Record(f"line {i}", {}, columns={"photo": i // 3}) for i in range(60)]
    source = Source("none", Path(), records, group="photo")
    times = dict.fromkeys(range(20), 0)
    for fold in range(4):
        chosen = held_out_fold(source, fold, 4).records
        test = {group_of(record, "photo") for record in chosen if record.split == "test"}
        train = {group_of(record, "photo") for record in chosen if record.split == "train"}
        assert len(test) == 5
        assert not test & train
        for name in test:
            times[int(name)] += 1
    assert set(times.values()) == {1}


def test_captions_of_flags_say_where_the_country_lies(flag_folder: Path) -> None:
    source = flags(flag_folder)
    assert len(source.records) == 12
    assert len({record.columns["flag"] for record in source.records}) == 11
    assert source.records[0].values["captions"] == [
        "western europe",
        "landlocked western europe",
        "landlocked europe",
    ]
    assert source.records[2].values["captions"][1] == "landlocked antarctic"


def test_clips_are_labelled_by_their_family(tmp_path: Path) -> None:
    rows = ["file,family,env,mission,description"]
    for number, family in enumerate(("maze", "room")):
        frames = [Image.new("L", (40, 40), 40 * number + 10 * i) for i in range(3)]
        frames[0].save(tmp_path / f"{family}.gif", save_all=True, append_images=frames[1:])
        rows.append(f'{family}.gif,{family},Env,"go, then stop",none')
    (tmp_path / "captions.csv").write_text("\n".join(rows))
    assert [record.values["label"] for record in clips(tmp_path).records] == ["maze", "room"]


@pytest.mark.parametrize("reader", [flags, clips])
def test_a_folder_without_its_table_is_refused(reader: Callable[[Path], Source], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="docs/datasets"):
        reader(tmp_path)


def test_a_trial_holds_every_item_out_once(flag_folder: Path) -> None:
    training = Training(64, rows=8, settings=PPOSettings(n_steps=8))
    trial = Trial("flags", "where", "MMCaption-v0", flags, training, folds=2, rounds=2, form={"size": 40})
    outcome = attempt(trial, flag_folder)
    assert len(outcome.groups) == 12
    assert len(set(outcome.groups)) == 11
    assert {name: len(values) for name, values in outcome.utility.items()} == dict.fromkeys(
        ("trained", "blind", "random", "oracle"), 12
    )
    assert outcome.mean("oracle").mean == 1.0
    assert report([outcome]).to_dict()["values"]["flags"]["items"] == 12


def test_a_gain_is_shown_only_if_its_interval_is_above_nothing() -> None:
    better = {"trained": np.ones(50), "blind": np.arange(50) % 2.0, "random": np.zeros(50)}
    utility = {**better, "oracle": np.ones(50)}
    groups = [str(i) for i in range(50)]
    trial = TRIALS[0]
    assert "not shown" not in report([Outcome(trial, utility, groups)]).tables()[0].rows[0][-1]
    same = {**utility, "trained": utility["blind"]}
    assert "not shown" in report([Outcome(trial, same, groups)]).tables()[0].rows[0][-1]


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.set)
def test_the_real_sets_are_read(trial: Trial) -> None:
    source = trial.read(shared(trial.set))
    assert len(source.records) > 50
