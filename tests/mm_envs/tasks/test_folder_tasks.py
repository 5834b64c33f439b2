"""Tasks on folders of real files: what is shown, what an answer is worth, and that agents train on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch
from folders import COLOURS, everything, picture, write_rows
from shared_data import shared
from tensor_path import on_tensors

import mm_envs
from mm_envs.data.folder import Folder
from mm_envs.tasks import make_task
from mm_envs.tasks.scores import Baselines, baseline_scores

SMALL = {"size": 40, "frames": 2}
TASKS = {"classify": "MMClassify-v0", "caption": "MMCaption-v0", "vqa": "MMVQA-v0"}


@pytest.fixture(scope="module")
def folder_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return everything(tmp_path_factory.mktemp("all"))


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of which facts are known, and what people wrote about them."""
    root = tmp_path_factory.mktemp("facts")
    rows = []
    for i in range(24):
        colour, size = COLOURS[i % 3], ("small", "very large")[i % 2]
        caption = f"a {size} {colour} square"
        rows.append(
            {
                "file_name": picture(root / f"{i}.png", i),
                "captions": ["something", caption],
                "facts": [colour, size],
                "question": "which colour and size",
                "answer": f"{size} {colour}",
            }
        )
    return write_rows(root, rows)


def made(name: str, n: int, path: Path, **arguments: Any) -> Any:
    return gym.make_vec(TASKS[name], num_envs=n, dataset="folder", path=str(path), **SMALL, **arguments)


@pytest.mark.parametrize("name", TASKS)
def test_environments_on_folders_keep_the_rules(name: str, folder_path: Path) -> None:
    report = mm_envs.check_vector_env(
        made(name, 4, folder_path, feedback="truth"),
        make=lambda n, **arguments: made(name, n, folder_path, feedback="truth", **arguments),
        steps=40,
    )
    assert report.ok


@pytest.mark.parametrize("name", TASKS)
def test_one_row_is_a_row_of_many(name: str, folder_path: Path) -> None:
    envs = made(name, 8, folder_path)
    alone = made(name, 1, folder_path, first_row=5)
    first, _ = envs.reset(seed=3)
    second, _ = alone.reset(seed=3)
    assert all(torch.equal(first[key][5:6], second[key]) for key in first)
    # The right answer in all rows, so that episodes end and are judged.
    for _ in range(8):
        actions = envs.action_at(envs.task.oracle(envs.reference()))
        first, reward, *_ = envs.step(actions)
        second, one, *_ = alone.step(actions[5:6])
        assert torch.equal(reward[5:6], one)
        assert all(torch.equal(first[key][5:6], second[key]) for key in first)


@pytest.mark.parametrize(
    ("name", "columns"), [("classify", {}), ("vqa", {}), ("caption", {}), ("caption", {"facts": "label"})]
)
def test_the_code_for_accelerators_gives_the_same(
    name: str, columns: dict[str, str], folder_path: Path
) -> None:
    picked = made(name, 8, folder_path, feedback="truth", columns=columns)
    picked.reset(seed=3)
    with on_tensors():
        masked = made(name, 8, folder_path, feedback="truth", columns=columns)
        masked.reset(seed=3)
    assert isinstance(masked.unwrapped._length, torch.Tensor)
    ended = 0
    for step in range(16):
        actions = picked.action_at(picked.task.oracle(picked.reference()))
        # Every other row writes something else.
        actions[step % 2 :: 2] = step % 3 + 1 if name == "caption" else step % 3
        first, reward, *_, info = picked.step(actions)
        with on_tensors():
            second, same, *_, other = masked.step(actions)
        assert torch.equal(reward, same)
        assert all(torch.equal(first[key], second[key]) for key in first)
        if "final_info" in info:
            mask = other["_final_info"]
            ended += int(mask.sum())
            utility = [one["final_info"]["utility"][mask] for one in (info, other)]
            assert torch.equal(*utility)
    assert ended > 8


def test_every_modality_is_shown(folder_path: Path) -> None:
    shown = {
        name: set(make_task(name, dataset="folder", path=folder_path, **SMALL).context) for name in TASKS
    }
    media = {"image", "video", "audio", "audio_length"}
    assert shown["caption"] == media
    assert shown["vqa"] == media | {"question", "question_length"}
    assert shown["classify"] == media | {"text", "text_length"}
    assert make_task("classify", dataset="folder", path=folder_path, inputs="video", **SMALL).modalities == (
        "video",
    )


@pytest.mark.parametrize(
    ("name", "which"),
    [
        ("classify", "folder_path"),
        ("caption", "folder_path"),
        ("caption", "facts"),
        ("vqa", "folder_path"),
        ("vqa", "facts"),
    ],
)
def test_the_oracle_is_best_and_the_blind_are_not(
    name: str, which: str, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(which)
    special = {"vqa": {"answer": "tokens"}, "classify": {"inputs": "image"}}.get(name, {})
    task = make_task(name, dataset="folder", path=path, **SMALL, **special)
    scores = baseline_scores(task, items=24, split="train")
    assert scores["oracle"].mean == 1
    assert scores["random"].mean <= scores["blind"].mean + 0.2
    assert scores["blind"].mean < 0.9


def test_utility_of_facts(facts: Path) -> None:
    task = make_task("caption", dataset="folder", path=facts, **SMALL)
    assert task.reference == ("facts", "captions")
    item = torch.tensor([0])
    reference = task.batch(item, task.reference)
    true = {" ".join(task.grader.facts[i]) for i in reference["facts"][0].nonzero()[:, 0]}
    size, colour = sorted(true, key=lambda fact: fact in COLOURS)

    def worth(text: str) -> float:
        answer = task.answer.vocabulary.encode(text, task.horizon)[None]
        return task.utility(answer, None, reference).reward.item()

    other = next(one for one in COLOURS if one != colour)
    assert worth(f"a {size} {colour} square") == worth(f"{colour} {size} {colour}") == 1
    assert worth(colour) == 0.5
    assert worth(f"{colour} {other}") == worth(other) == worth("") == 0
    assert worth(f"{size} {colour} {other}") == 0.5
    assert task.words(task.oracle(reference)[0]) == f"a {size} {colour} square"


def test_utility_without_facts_sees_all_references_and_feedback_one(folder_path: Path) -> None:
    task = make_task("caption", dataset="folder", path=folder_path, **SMALL)
    assert task.reference == ("item", "captions")
    items = torch.arange(6)
    reference = task.batch(items, task.reference)
    several = [task.utility(reference["captions"][:, i], None, reference).reward for i in range(2)]
    assert torch.equal(torch.stack(several).amax(0), torch.ones(6))
    assert bool((torch.stack(several) > 0.3).all())  # both are among the references
    swapped = reference["captions"][:, 0].roll(1, 0)
    assert bool((task.utility(swapped, None, reference).reward < 1).any())


def test_answers_of_several_words(facts: Path) -> None:
    task = make_task("vqa", dataset="folder", path=facts, answer="tokens", **SMALL)
    assert set(task.answer.vocabulary.words[3:]) == {"small", "very", "large", *COLOURS}
    reference = task.batch(torch.arange(10), task.reference)
    written = task.oracle(reference)
    for row, answer in zip(written, reference["answer"], strict=True):
        assert task.words(row) == task.answers[answer]
    with pytest.raises(ValueError, match=r"max_tokens=2 is below the 3 words of 'very large .*raise it"):
        make_task("vqa", dataset="folder", path=facts, answer="tokens", max_tokens=2, **SMALL)


def test_questions_without_pictures(tmp_path: Path) -> None:
    rows = [{"question": f"what is {i} plus one", "answer": i + 1} for i in range(12)]
    task = make_task("vqa", dataset="folder", path=write_rows(tmp_path, rows))
    assert set(task.context) == {"question", "question_length"}
    assert task.answers == tuple(str(i) for i in range(1, 13))
    with pytest.raises(ValueError, match=r"has no captions: .* on the command line --set 'columns="):
        make_task("caption", dataset="folder", path=tmp_path)
    captions = write_rows(tmp_path / "captions", [{"caption": f"words {i}"} for i in range(4)])
    with pytest.raises(ValueError, match="shows nothing to describe"):
        make_task("caption", dataset="folder", path=captions)


def test_a_folder_is_in_memory_once(folder_path: Path) -> None:
    folder = Folder(folder_path, **SMALL)
    env = gym.make("MMClassify-v0", dataset=folder)
    assert env.spec is not None
    assert env.spec.kwargs["dataset"] is folder
    table = env.unwrapped.engine._pool.tables["video"]  # type: ignore[attr-defined]
    assert table.data_ptr() == folder.stored("video").data_ptr()  # type: ignore[union-attr]


def test_lengths_and_presence_tell_the_blind_nothing(folder_path: Path) -> None:
    task = make_task("caption", dataset="folder", path=folder_path, **SMALL)
    assert not Baselines(task).visible


def test_the_blind_search_is_cheap_with_many_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [f"w{i}" for i in range(3000)]
    rows = [
        {"file_name": picture(tmp_path / f"{i}.png", i), "caption": " ".join(words[39 * i : 39 * i + 39])}
        for i in range(76)
    ]
    task = make_task("caption", dataset="folder", path=write_rows(tmp_path, rows), size=40)
    assert len(task.answer.vocabulary) > 2000
    assert task.horizon == 40
    scored = []
    score = task.grader.score

    def counted(tokens: torch.Tensor, *arguments: Any) -> Any:
        scored.append(len(tokens))
        return score(tokens, *arguments)

    monkeypatch.setattr(task.grader, "score", counted)
    assert baseline_scores(task, items=5)["blind"].mean < 0.5
    assert sum(scored) < 400_000


def test_agents_train_on_image_sound_text_and_video(folder_path: Path) -> None:
    from agents.learning import learn
    from agents.sb3.settings import PPOSettings
    from agents.trainers import make_trainer

    envs = made("classify", 8, folder_path)
    trainer = make_trainer(
        "sb3-ppo", envs, seed=1, settings=PPOSettings(n_steps=4, n_epochs=1), features=16, hidden=8
    )
    before = torch.nn.utils.parameters_to_vector(trainer.network.parameters()).detach().clone()
    learn(trainer, 64)
    after = torch.nn.utils.parameters_to_vector(trainer.network.parameters())
    assert bool(torch.isfinite(after).all())
    assert not torch.equal(before, after)


def test_stock_stable_baselines_trains_on_it(folder_path: Path) -> None:
    from stable_baselines3 import PPO

    env = gym.make("MMClassify-v0", dataset="folder", path=str(folder_path), **SMALL)
    model = PPO("MultiInputPolicy", env, n_steps=8, batch_size=8, n_epochs=1, device="cpu")
    before = torch.nn.utils.parameters_to_vector(model.policy.parameters()).detach().clone()
    model.learn(16)
    after = torch.nn.utils.parameters_to_vector(model.policy.parameters())
    assert model.num_timesteps == 16
    assert bool(torch.isfinite(after).all())
    assert not torch.equal(before, after)


def test_a_published_set_of_sounds() -> None:
    folder = Folder(shared("esc10_folds12"), sample_rate=2000, seconds=1.0)
    scores = baseline_scores(make_task("classify", dataset=folder), split="train")
    assert scores["oracle"].mean == 1
    assert scores["blind"].mean < 0.2
