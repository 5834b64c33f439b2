"""Policies of whole answers: probabilities that add up, draws that follow them, rows that stand alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from agents.decoder import Decoder
from agents.heads.choice import ChoiceHead
from agents.heads.text import TextHead
from agents.policy import ResponsePolicy
from agents.policy_folder import load_policy, save_policy
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.random import fold, stream
from mm_envs.tasks import Task, make_task
from mm_envs.tokenizers import EOS, PAD

N = 6


@pytest.fixture(params=["vqa", "caption", "digits", "tokens"])
def task(request: pytest.FixtureRequest) -> Task:
    arguments = {
        "vqa": {"task": "vqa"},
        "caption": {"task": "caption"},
        "digits": {"task": "classify", "dataset": "digits"},
        "tokens": {"task": "vqa", "answer": "tokens"},
    }
    return make_task(**arguments[request.param])


def contexts(task: Task, n: int = N) -> dict[str, Tensor]:
    envs = MultimodalVectorEnv(n, task, feedback="truth")
    envs.reset(seed=1)
    return dict(envs.prompts().context)


def bits(n: int) -> Tensor:
    return fold(stream(3, "test"), torch.arange(n))


def small(task: Task) -> ResponsePolicy:
    return ResponsePolicy(task, features=16, hidden=16).requires_grad_(False)


def test_a_row_depends_on_its_context_and_bits_alone(task: Task) -> None:
    policy, context = small(task), contexts(task)
    response, length = policy.sample(policy.encode(context), bits(N))
    for rows in (torch.tensor([4]), torch.tensor([5, 0, 2])):
        encoded = policy.encode({key: value[rows] for key, value in context.items()})
        alone, size = policy.sample(encoded, bits(N)[rows])
        assert torch.equal(alone, response[rows])
        assert (size is None) == (length is None)
        if size is not None and length is not None:
            assert torch.equal(size, length[rows])
        expected = policy.log_prob(policy.encode(context), response, length)[rows]
        assert torch.allclose(policy.log_prob(encoded, alone, size), expected, atol=1e-5)


def test_answers_are_those_of_an_episode(task: Task) -> None:
    """Stepping the environment with the words of an answer ends with that answer."""
    envs = MultimodalVectorEnv(N, task, feedback="truth")
    envs.reset(seed=1)
    policy = small(task)
    response, length = policy.sample(policy.encode(envs.prompts().context), bits(N))
    running = torch.ones(N, dtype=torch.bool)
    for step in range(task.horizon):
        *_, terminated, _, info = envs.step(task.answer.action(response, step))
        ended = running & terminated
        if "final_info" in info:
            final = info["final_info"]
            assert torch.equal(final["response"][ended], response[ended])
            if length is not None:
                assert torch.equal(final["response_length"][ended], length[ended])
        running &= ~terminated
    assert not running.any()


def test_probabilities_of_all_answers_add_up_to_one() -> None:
    task = make_task("vqa", answer="tokens", max_tokens=2)
    policy, words = small(task), len(task.answer.vocabulary)
    first, second = torch.cartesian_prod(torch.arange(words), torch.arange(words)).unbind(1)
    answers = torch.stack([first, second], 1)
    answers = answers[(first != EOS) | (second == PAD)]
    encoded = policy.encode(contexts(task, 2))
    for context in encoded:
        total = policy.log_prob(context.expand(len(answers), -1), answers).exp().sum()
        assert total == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_draws_follow_the_probabilities(temperature: float) -> None:
    """Counts of first words lie within 5 standard deviations: by chance about one test in 100,000 fails."""
    task, n = make_task("vqa", answer="tokens"), 20_000
    policy = small(task)
    encoded = policy.encode(contexts(task, 1)).expand(n, -1)
    response, _ = policy.sample(encoded, bits(n), temperature)
    assert isinstance(policy.head, TextHead)
    logits = policy.head.logits(policy.context(encoded[:1]), response[:1])
    p = (logits[0, 0] / temperature).softmax(0)
    counts = torch.bincount(response[:, 0], minlength=len(p))
    assert ((counts - n * p).abs() < 5 * (n * p * (1 - p)).sqrt() + 1).all()


def test_temperature_zero_takes_the_likeliest_word_each_time(task: Task) -> None:
    policy = small(task)
    encoded = policy.encode(contexts(task))
    response, length = policy.sample(encoded, bits(N), temperature=0)
    if isinstance(policy.head, TextHead):
        likeliest = policy.head.logits(policy.context(encoded), response).argmax(2)
        there = policy.head.there(response, length)
        assert torch.equal(likeliest[there], response[there])
    else:
        assert isinstance(policy.head, ChoiceHead)
        assert torch.equal(policy.head.logits(policy.context(encoded)).argmax(1), response)
    with pytest.raises(ValueError, match=r"temperature=-1 is below 0"):
        policy.sample(encoded, bits(N), temperature=-1)


def test_forcing_equals_stepping_and_never_looks_ahead() -> None:
    torch.manual_seed(0)
    decoder, context = Decoder(8, 10, hidden=16), torch.randn(N, 8)
    tokens = torch.randint(10, (N, 7))
    whole, state = decoder(context, tokens), decoder.start(context)
    before = torch.full((N,), PAD)
    for place in range(7):
        logits, state = decoder.step(context, before, state)
        assert torch.allclose(logits, whole[:, place], atol=1e-5)
        before = tokens[:, place]
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
    policy, context = small(task), contexts(task)
    save_policy(policy, task, tmp_path)
    again = load_policy(tmp_path, task)
    response, length = policy.sample(policy.encode(context), bits(N))
    expected = policy.log_prob(policy.encode(context), response, length)
    assert torch.equal(again.log_prob(again.encode(context), response, length), expected)


def test_other_tasks_and_damaged_files_are_refused(tmp_path: Path) -> None:
    task = make_task("caption")
    with pytest.raises(FileNotFoundError, match=r"policy\.json does not exist"):
        load_policy(tmp_path, task)
    (tmp_path / "run" / "agent").mkdir(parents=True)
    (tmp_path / "run" / "agent" / "config.json").write_text("{}")
    for trained in ("run", "run/agent"):
        with pytest.raises(FileNotFoundError, match=r"is a folder of `mm-envs train`: .*save_policy wrote"):
            load_policy(tmp_path / trained, task)
    save_policy(small(task), task, tmp_path)
    with pytest.raises(ValueError, match="space 'answer'"):
        load_policy(tmp_path, make_task("caption", colours=3))
    with pytest.raises(ValueError, match="space 'audio'"):
        load_policy(tmp_path, make_task("caption", sound="complement"))
    weights = tmp_path / "policy.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"policy\.safetensors is damaged"):
        load_policy(tmp_path, task)
    for text in ("{", "[]", '{"format": 2}', '{"format": 1, "features": "many"}'):
        (tmp_path / "policy.json").write_text(text)
        with pytest.raises(ValueError, match=r"policy\.json is damaged"):
            load_policy(tmp_path, task)


@pytest.mark.parametrize("features", [9, 10**9, 10**12, True])
def test_sizes_that_the_weights_do_not_have_take_no_memory(features: int, tmp_path: Path) -> None:
    task = make_task("classify", dataset="digits")
    save_policy(small(task), task, tmp_path)
    config = json.loads((tmp_path / "policy.json").read_text())
    (tmp_path / "policy.json").write_text(json.dumps({**config, "features": features}))
    with pytest.raises(ValueError, match=r"policy\.safetensors does not fit policy\.json"):
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
