"""Policies of whole answers: probabilities that add up, draws that follow them, rows that stand alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from every_task import KIND_TASKS, task_of
from torch import Tensor

from agents.context import Context
from agents.decoders import DECODERS, make_decoder
from agents.heads.choice import ChoiceHead
from agents.heads.text import TextHead
from agents.policy import ResponsePolicy
from agents.policy_folder import load_policy, save_policy
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.episodes import Prompts
from mm_envs.random import fold, stream
from mm_envs.tasks import Task, make_task
from mm_envs.tasks.guess import Guess
from mm_envs.tasks.play import hearing
from mm_envs.tokenizers import EOS, PAD, Vocabulary

N = 6


@pytest.fixture(params=KIND_TASKS)
def task(request: pytest.FixtureRequest) -> Task:
    return task_of(request.param)


def asked(task: Task, n: int = N) -> Prompts:
    envs = MultimodalVectorEnv(n, task, feedback="truth")
    envs.reset(seed=1)
    return envs.prompts()


def contexts(task: Task, n: int = N) -> dict[str, Tensor]:
    return dict(asked(task, n).context)


def some_hashes(n: int) -> Tensor:
    return fold(stream(3, "test"), torch.arange(n))


def small(task: Task) -> ResponsePolicy:
    return ResponsePolicy(task, features=16, hidden=16).requires_grad_(False)


def test_probabilities_of_all_answers_add_up_to_one() -> None:
    task = make_task("vqa", answer="tokens", max_tokens=2)
    policy, words = small(task), len(task.answer.vocabulary)  # type: ignore[attr-defined]
    first, second = torch.cartesian_prod(torch.arange(words), torch.arange(words)).unbind(1)
    answers = torch.stack([first, second], 1)
    answers = answers[(first != EOS) | (second == PAD)]
    encoded = policy.encode(contexts(task, 2))
    for row in range(2):
        total = policy.log_prob(encoded.take(torch.tensor([row])), answers).exp().sum()
        assert total == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_draws_follow_the_probabilities(temperature: float) -> None:
    """Counts of first words lie within 5 standard deviations: by chance about one test in 100,000 fails."""
    task, n = make_task("vqa", answer="tokens"), 20_000
    policy = small(task)
    encoded = policy.encode(contexts(task, 1))
    response, _ = policy.sample(encoded, some_hashes(n), temperature)
    assert isinstance(policy.head, TextHead)
    logits = policy.head.logits(encoded, response[:1])
    p = (logits[0, 0] / temperature).softmax(0)
    counts = torch.bincount(response[:, 0], minlength=len(p))
    assert ((counts - n * p).abs() < 5 * (n * p * (1 - p)).sqrt() + 1).all()


def test_a_temperature_below_zero_is_refused(task: Task) -> None:
    prompts = asked(task)
    policy = small(task)
    with pytest.raises(ValueError, match=r"temperature=-1 is below 0"):
        policy.sample(policy.encode(prompts.context), some_hashes(N), -1, hearing(task, prompts))


@pytest.mark.parametrize("answers", [1, 3])
@pytest.mark.parametrize("attended", [0, 12])
@pytest.mark.parametrize("name", DECODERS)
def test_forcing_equals_stepping_and_never_looks_ahead(name: str, attended: int, answers: int) -> None:
    torch.manual_seed(0)
    decoder = make_decoder(name, 8, 10, hidden=16, attended=attended, steps=7).requires_grad_(False)
    seen = torch.randn(N // answers, 5, attended) if attended else None
    mask = torch.rand(N // answers, 5) < 0.7 if attended else None
    context = Context(torch.randn(N // answers, 8), None, seen, mask)
    tokens = torch.randint(10, (N, 7))
    whole, state = decoder(context, tokens), decoder.start(context, answers)
    before = torch.full((N,), PAD)
    for step in range(7):
        logits, state = decoder.step(before, state)
        assert torch.allclose(logits, whole[:, step], atol=1e-5)
        before = tokens[:, step]
    changed = tokens.clone()
    changed[:, 4] = (changed[:, 4] + 1) % 10
    other = decoder(context, changed)
    assert torch.allclose(other[:, :5], whole[:, :5], atol=1e-6)
    assert (other[:, 5:] - whole[:, 5:]).abs().amax() > 1e-3


def test_words_behind_the_end_cost_nothing() -> None:
    task = make_task("vqa", answer="tokens")
    policy = small(task)
    encoded = policy.encode(contexts(task, 2))
    clean, dirty = torch.tensor([[5, EOS, PAD]] * 2), torch.tensor([[5, EOS, 7]] * 2)
    assert isinstance(policy.head, TextHead)
    assert torch.equal(policy.head.there(dirty), torch.tensor([[True, True, False]] * 2))
    assert torch.equal(policy.log_prob(encoded, clean), policy.log_prob(encoded, dirty))


def test_the_same_seed_gives_the_same_weights_and_leaves_the_generator_alone() -> None:
    task, before = make_task("vqa"), torch.get_rng_state()
    first, second, third = (ResponsePolicy(task, 8, 8, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], third[name]) for name in first)


def test_a_saved_policy_is_the_same(task: Task, tmp_path: Path) -> None:
    policy, prompts = small(task), asked(task)
    save_policy(policy, task, tmp_path)
    again, hear = load_policy(tmp_path, task), hearing(task, prompts)
    encoded = policy.encode(prompts.context)
    assert torch.equal(again.encode(prompts.context).pooled, encoded.pooled)
    response, length = policy.sample(encoded, some_hashes(N), hear=hear)
    drawn, size = again.sample(again.encode(prompts.context), some_hashes(N), hear=hear)
    assert torch.equal(drawn, response)
    assert size is length is None or (size is not None and length is not None and torch.equal(size, length))
    turns = None if hear is None else hear(response)
    expected = policy.log_prob(encoded, response, length, turns)
    assert torch.equal(again.log_prob(again.encode(prompts.context), response, length, turns), expected)


OTHERS: dict[str, tuple[dict[str, object], str]] = {
    "choice": ({"task": "classify"}, "image"),
    "choice of words": ({"task": "vqa", "answer": "tokens"}, "answer"),
    "choice of candidates": ({"task": "retrieve", "candidates": 5}, "candidates"),
    "caption": ({"task": "caption", "sound": "complement"}, "audio"),
    "text": ({"task": "vqa", "answer": "tokens", "max_tokens": 2}, "answer"),
    "vector": ({"task": "classify", "dataset": "digits"}, "answer"),
    "boxes": ({"task": "ground", "shapes": 3}, "phrase"),
    "ranking": ({"task": "retrieve", "candidates": 4}, "answer"),
    "turns": ({"task": "guess", "objects": (3, 3), "shapes": 3}, "answer"),
}


@pytest.mark.parametrize("name", KIND_TASKS)
def test_a_policy_of_another_task_is_refused(name: str, tmp_path: Path) -> None:
    arguments, key = OTHERS[name]
    save_policy(small(task_of(name)), task_of(name), tmp_path)
    with pytest.raises(ValueError, match=f"space '{key}'"):
        load_policy(tmp_path, make_task(**arguments))  # type: ignore[arg-type]


def test_a_policy_that_heard_other_words_is_refused(tmp_path: Path) -> None:
    """Other replies of as many words fit the weights, and mean something else."""

    class Reversed(Guess):
        def __init__(self, **arguments: Any) -> None:
            super().__init__(**arguments)
            self.vocabulary = Vocabulary.of(reversed(self.vocabulary.words[3:]))

    task = task_of("turns")
    save_policy(small(task), task, tmp_path)
    with pytest.raises(ValueError, match="space 'turns/reply'"):
        load_policy(tmp_path, Reversed(objects=(3, 3)))


def test_other_tasks_and_damaged_files_are_refused(tmp_path: Path) -> None:
    task = make_task("caption")
    with pytest.raises(FileNotFoundError, match=r"config\.json does not exist"):
        load_policy(tmp_path, task)
    save_policy(small(task), task, tmp_path)
    with pytest.raises(ValueError, match="space 'answer'"):
        load_policy(tmp_path, make_task("caption", colours=3))
    with pytest.raises(ValueError, match="space 'audio'"):
        load_policy(tmp_path, make_task("caption", sound="complement"))
    weights = tmp_path / "policy.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    names = '"hidden": 8, "fusion": "concat", "decoder": "gru"'
    with pytest.raises(ValueError, match=r"policy\.safetensors is damaged"):
        load_policy(tmp_path, task)
    for text, expected in (
        ("{", "is not JSON"),
        ("[]", "format=None"),
        ('{"format": 2}', "format=2"),
        ('{"format": 1, "spaces": {}}', "is damaged"),
        (f'{{"format": 1, "spaces": {{}}, "policy": {{"features": "many", {names}}}}}', "is damaged"),
        ('{"format": 1, "spaces": 3, "policy": {"features": 8, "hidden": 8}}', "is damaged"),
        (f'{{"format": 1, "spaces": {{}}, "policy": {{"features": 8, {names[:-1]}x"}}}}', "is not one of"),
    ):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ValueError, match=rf"config\.json.*{expected}|{expected} of .*config\.json"):
            load_policy(tmp_path, task)


@pytest.mark.parametrize("features", [9, 10**9, 10**12, True])
def test_sizes_that_the_weights_do_not_have_take_no_memory(features: int, tmp_path: Path) -> None:
    task = make_task("classify", dataset="digits")
    save_policy(small(task), task, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["policy"]["features"] = features
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"policy\.safetensors does not fit config\.json"):
        load_policy(tmp_path, task)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    task = make_task("classify", dataset="digits")
    policy = small(task)
    assert isinstance(policy.head, ChoiceHead)
    assert policy.head.out is not None
    torch.nn.init.constant_(policy.head.out.bias, torch.nan)
    save_policy(policy, task, tmp_path)
    with pytest.raises(ValueError, match=r"weights 'head\.out\.bias' are not finite"):
        load_policy(tmp_path, task)
