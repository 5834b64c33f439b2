"""Readers of captions with judgements on files of a few lines, and comparisons of implementations."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from shared_data import ROOT, shared

from benchmarks.experiment import Context
from benchmarks.experiments.captions import EXPERIMENT, agreement, data
from benchmarks.experiments.captions.agreement import differences, random_characters, random_words
from benchmarks.experiments.captions.people import EXPECTED, METRICS, Agreement, in_buckets
from benchmarks.experiments.captions.words import cider_words, simple_words, treebank_words


@pytest.fixture
def flickr8k(tmp_path: Path) -> Path:
    captions = [f"{image}.jpg#{i}\t{image} reads {i}" for image in ("one", "two") for i in range(5)]
    captions[7] = "two.jpg#2\tone reads 3"  # word for word a caption of the other picture
    (tmp_path / "Flickr8k.token.txt").write_text("\n".join(captions) + "\n")
    experts = ["one.jpg\ttwo.jpg#1\t1\t2\t1", "one.jpg\ttwo.jpg#2\t4\t4\t4", "two.jpg\tone.jpg#0\t3\t3\t4"]
    (tmp_path / "ExpertAnnotations.txt").write_text("\n".join(experts) + "\n")
    crowd = ["one.jpg\ttwo.jpg#2\t1\t3\t0", "one.jpg\ttwo.jpg#1\t0.333\t1\t2"]
    (tmp_path / "CrowdFlowerAnnotations.txt").write_text("\n".join(crowd) + "\n")
    return tmp_path


def test_experts_are_points_of_their_own_and_own_captions_are_left_out(flickr8k: Path) -> None:
    ratings = data.flickr8k_expert(flickr8k)
    assert ratings.candidates == ["two reads 1"] * 3 + ["one reads 0"] * 3
    assert ratings.scores.tolist() == [1, 2, 1, 3, 3, 4]
    assert ratings.references[0] == [f"one reads {i}" for i in range(5)]


def test_the_crowd_never_sees_a_rated_caption_as_reference(flickr8k: Path) -> None:
    ratings = data.flickr8k_crowd(flickr8k)
    assert ratings.scores.tolist() == [1, 0.333]
    assert ratings.references == [["one reads 0", "one reads 1", "one reads 2", "one reads 4"]] * 2


def test_a_damaged_line_is_named(flickr8k: Path) -> None:
    with (flickr8k / "ExpertAnnotations.txt").open("a") as file:
        file.write("one.jpg\ttwo.jpg#1\t1\n")
    with pytest.raises(ValueError, match=r"ExpertAnnotations.txt:4 has 3 columns, not 5: get the file again"):
        data.flickr8k_expert(flickr8k)


def test_ratings_of_systems(tmp_path: Path) -> None:
    row = {"SYS": "Human", "seg_id": "7", "hyp": "a cat", "human_score": 4.5}
    (tmp_path / "mscoco_THumB-1.0.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "mscoco_references.json").write_text(json.dumps({"seg_id": "7", "refs": ["a dog"]}) + "\n")
    assert data.thumb(tmp_path) == data.Ratings(["a cat"], [["a dog"]], np.array([4.5]), ["Human"], ["7"])


def test_pairs_without_a_majority_are_left_out_and_so_are_own_references(tmp_path: Path) -> None:
    clip = {
        "HC": ["a bell", "a horn", "x", "y", [1, 1, -1, 1]],
        "MM_1": ["a bell", "a drum", "x", "y", [1, -1, 1, -1]],
        "MM_2": ["a drum", "a car", "x", "y", [0, -1, 0, -1]],
        "HM": None,
        "audio_id": "clip",
        "references": ["a bell", "ringing"],
    }
    (tmp_path / "audiocaps_eval.json").write_text(json.dumps([clip]))
    pairs = data.fense(tmp_path)
    assert (pairs.first, pairs.second, pairs.groups) == (
        ["a bell", "a drum"],
        ["a horn", "a car"],
        ["HC", "MM"],
    )
    assert pairs.references == [["ringing"], ["a bell", "ringing"]]
    assert pairs.votes.tolist() == [2, -2]


def test_pictures_with_fifty_references(tmp_path: Path) -> None:
    from scipy.io import savemat

    known = [
        {"image": f"{i}.jpg", "sent": np.array([f"r{i} {j}" for j in range(50)], dtype=object)}
        for i in (0, 1)
    ]
    savemat(tmp_path / "pascal50S.mat", {"refs": known})
    row = {"image": "1.jpg", "category": 3, "sent1": "a cat", "sent2": "a dog", "votes": [1, -1, -1]}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(row) + "\n")
    pairs = data.pascal50s(tmp_path, 5)
    assert pairs.references == [[f"r1 {j}" for j in range(5)]]
    assert (pairs.groups, pairs.votes.tolist()) == (["HM"], [-1])
    cands = [{"image": f"{i}.jpg", "sent": f"c {i}"} for i in (0, 1)]
    savemat(tmp_path / "pascal_single.mat", {"cands": cands})
    columns = np.empty(5, dtype=object)
    for n in range(5):
        columns[n] = np.array([n, n + 0.5])
    savemat(tmp_path / "cider_pascal.mat", {"scr": columns})
    given = data.author_scores(tmp_path)
    assert (given.candidates, given.images, list(given.references)) == (
        ["c 0", "c 1"],
        ["0.jpg", "1.jpg"],
        ["0.jpg", "1.jpg"],
    )
    assert given.scores.tolist() == [[0, 1, 2, 3, 4], [0.5, 1.5, 2.5, 3.5, 4.5]]


def test_words() -> None:
    assert simple_words("It's 2 dogs -- running!") == ["it's", "2", "dogs", "running"]
    assert treebank_words('He doesn\'t -- "run" .') == ["he", "does", "n't", "run"]
    pytest.importorskip("nltk")
    assert cider_words()("Dogs, running well-known (tired) cats!") == [
        "dog",
        "run",
        "well",
        "known",
        "tire",
        "cat",
    ]


def test_buckets_keep_the_order() -> None:
    texts = ["a b c", "a", "", "a b", "a b c d"]
    lengths = in_buckets(
        lambda mine, _: torch.tensor([len(text.split()) for text in mine]), texts, [[]] * 5, size=2
    )
    assert lengths.tolist() == [3, 1, 0, 2, 4]


@pytest.mark.parametrize("draw", [random_words, random_characters])
@pytest.mark.parametrize("seed", [0, 1])
def test_no_difference_on_random_texts(draw: object, seed: int) -> None:
    for module in ("sacrebleu", "rouge_score", "pycocoevalcap"):
        pytest.importorskip(module)
    texts = draw(np.random.default_rng(seed), 60)  # type: ignore[operator]
    found = differences(texts)
    assert {one.other for one in found} == {"sacrebleu", "rouge-score", "pycocoevalcap"}
    assert max(one.largest for one in found) < 1e-6


def test_a_difference_is_seen() -> None:
    assert not agreement._difference("BLEU", "other", "texts", [0.5, 0.5], [0.5, 0.4998]).met
    with pytest.raises(ValueError, match="scores of ours for"):
        agreement._difference("BLEU", "other", "texts", [0.5], [0.5, 0.5])
    name = next(iter(EXPECTED))
    assert Agreement(name, METRICS[0], EXPECTED[name][0] + 0.5, 9).met
    assert not Agreement(name, METRICS[0], EXPECTED[name][0] - 0.51, 9).met


@pytest.mark.slow
def test_it_runs_on_real_sets(tmp_path: Path) -> None:
    for name in ("caption_metric_yardsticks", "flickr8k_human_judgements", "pascal50s_human_pairs"):
        shared(name)
    findings = EXPERIMENT.run(tmp_path, Context(ROOT), quick=True)
    rows = [row for one in findings for row in one.result if one.cell.function.endswith(":implementations")]
    assert all(row["met"] for row in rows)
    assert [len(table.rows) for table in EXPERIMENT.report(findings, "").tables] == [len(rows), len(EXPECTED)]
