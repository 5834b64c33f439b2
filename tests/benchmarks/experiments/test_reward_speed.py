"""The sides of the speed of reward models do the same, and the report is complete."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from benchmarks.experiment import Context
from benchmarks.experiments import reward_speed
from benchmarks.experiments.imitation_environment import NotInstalledError, imitation_python
from benchmarks.experiments.reward_sides import ImitationProcess, PlainLoop, Training, check_same, our_loss
from benchmarks.reward_models import PairSet, caption_pairs
from feedback.preferences import FIRST, SECOND, TIE
from feedback.reward_models import RewardModel

READERS = ("encoder", "decoder")


@pytest.fixture(scope="module")
def pairs() -> PairSet:
    return caption_pairs(12, 4)


def plain_and_ours(pairs: PairSet, reader: str) -> tuple[Training, RewardModel, PlainLoop]:
    training = Training(pairs, reader, 4, 1)
    model = training.fitted(0)
    return training, model, PlainLoop(training, model)


def test_pairs_are_all_those_of_one_picture_and_the_better_one_is_chosen(pairs: PairSet) -> None:
    labels, answers = pairs.labelled.pairs, pairs.labelled.answers
    assert len(pairs) == 12 * pairs.pairs_per_picture == 12 * 6
    assert torch.equal(answers.context[labels.first], answers.context[labels.second])
    assert len(set(zip(labels.first.tolist(), labels.second.tolist(), strict=True))) == len(labels)
    assert len(torch.unique(answers.contexts["image"].flatten(1), dim=0)) == 12
    assert set(labels.choice.tolist()) <= {FIRST, SECOND, TIE}
    turned = caption_pairs(12, 4)
    assert torch.equal(turned.labelled.pairs.choice, labels.choice)
    assert not torch.equal(caption_pairs(12, 4, seed=1).labelled.pairs.choice, labels.choice)


@pytest.mark.parametrize("reader", READERS)
def test_plain_pytorch_is_the_same_network(pairs: PairSet, reader: str) -> None:
    training, model, plain = plain_and_ours(pairs, reader)
    check_same(training, model, plain, None)
    with torch.no_grad():
        plain.model.head.out.bias += 0.01
    with pytest.raises(RuntimeError, match=r"scores of plain PyTorch differ by 0\.01: it is another network"):
        check_same(training, model, plain, None)


@pytest.mark.parametrize("reader", READERS)
def test_one_step_on_everything_moves_both_to_the_same_loss(pairs: PairSet, reader: str) -> None:
    """With one minibatch the order of the pairs decides nothing but the rounding."""
    _, _, plain = plain_and_ours(pairs, reader)
    whole = Training(pairs, reader, 12, 1)
    plain.training = whole
    before = plain.loss()
    plain.epoch()
    assert plain.loss() == pytest.approx(our_loss(whole, 1), abs=1e-4)
    assert plain.loss() != pytest.approx(before, abs=1e-3)


def test_the_report_without_imitation_notes_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(*_: object, **__: object) -> Path:
        raise NotInstalledError("there is no network")

    monkeypatch.setattr(reward_speed, "imitation_python", missing)
    findings = reward_speed.EXPERIMENT.run(tmp_path, Context(), quick=True)
    report = reward_speed.EXPERIMENT.report(findings, "")
    assert report.notes[-1] == "Not compared with imitation: there is no network."
    assert [row[3] for row in report.tables[0].rows] == ["plain PyTorch"] * 2
    sides = [side for one in findings for side in one.result["sides"]]
    assert [side["name"] for side in sides] == ["mm-envs", "plain PyTorch"] * 2
    assert all(0 < side["loss"] < 2 and min(side["speeds"]) > 0 for side in sides)


def test_what_cannot_be_installed_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(NotInstalledError, match="imitation is not installed in"):
        imitation_python(folder=tmp_path, install=False)


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
def test_imitation_trains_the_same_network_to_the_same_loss(
    pairs: PairSet, reader: str, tmp_path: Path
) -> None:
    try:
        python = imitation_python(install=False)
    except NotInstalledError as error:
        pytest.skip(f"{error}: `python -m benchmarks.experiments reward-speed` installs it")
    training, model, plain = plain_and_ours(pairs, reader)
    whole = Training(pairs, reader, 12, 1)
    imitation = ImitationProcess(python, whole, model, tmp_path)
    try:
        check_same(training, model, plain, imitation)
        before = imitation.ask(do="loss")["loss"]
        assert imitation.ask(do="train", pairs=len(pairs))["seconds"] > 0
        assert imitation.ask(do="loss")["loss"] == pytest.approx(our_loss(whole, 1), abs=1e-4)
        imitation.ask(do="restart")
        assert imitation.ask(do="loss")["loss"] == pytest.approx(before, abs=1e-6)
        with pytest.raises(RuntimeError, match=r"the process of imitation ended: .*no_such_order"):
            imitation.ask(do="no_such_order")
    finally:
        imitation.close()


def test_a_process_that_does_not_start_is_reported(pairs: PairSet, tmp_path: Path) -> None:
    """Our own Python has no imitation."""
    training, model, _ = plain_and_ours(pairs, "encoder")
    with pytest.raises(RuntimeError, match=r"the process of imitation ended: .*No module named 'imitation'"):
        ImitationProcess(Path(sys.executable), training, model, tmp_path)
