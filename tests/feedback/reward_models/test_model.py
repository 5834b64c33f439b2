"""One reward model: every id, every kind of context and answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from reward_answers import SMALL, answers, asked

from agents.policy import ResponsePolicy
from feedback.reward_models import ModelConfig, ModelSpaces, RewardModel
from feedback.reward_models.answer_encoders import TokenLevelEncoder
from mm_envs.tasks import CONFIGURATIONS
from mm_envs.tokenizers import EOS

WORDS = "MMCaption-v0"


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_score_depends_on_its_row_alone(name: str) -> None:
    task, table = answers(name)
    model = RewardModel(task, SMALL).eval()
    rows = torch.tensor([5, 0, 30])
    whole = model(table)
    assert whole.shape == (len(table),)
    assert whole.std() > 0
    torch.testing.assert_close(model(table.take(rows)), whole[rows], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_all_weights_get_a_gradient(name: str) -> None:
    task, table = answers(name)
    model = RewardModel(task, SMALL)
    scores, word_loss = model.with_word_loss(table)
    assert torch.equal(scores, model(table))
    torch.autograd.backward(scores.square().sum() + (0 if word_loss is None else word_loss.sum()))
    missing = {key for key, one in model.named_parameters() if one.grad is None}
    assert not missing


@pytest.mark.parametrize("name", [WORDS, "MMVQA-tokens-v0"])
def test_what_follows_the_end_does_not_count(name: str) -> None:
    task, table = answers(name)
    assert table.length is not None
    behind = torch.arange(table.response.shape[1]) > table.length[:, None]
    assert bool(behind.any())
    for reader in ("decoder", "encoder"):
        model = RewardModel(task, replace(SMALL, reader=reader)).eval()
        other = replace(table, response=torch.where(behind, 5, table.response))
        assert torch.equal(model(table), model(other))


@pytest.mark.parametrize("reader", ["decoder", "encoder"])
def test_the_length_is_read_from_the_words_where_it_is_not_given(reader: str) -> None:
    task, table = answers(WORDS)
    model = RewardModel(task, replace(SMALL, reader=reader))
    assert torch.equal(model(table), model(replace(table, length=None)))


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_context_and_answer_both_count(name: str) -> None:
    task, table = answers(name)
    model = RewardModel(task, ModelConfig(features=32, hidden=32)).eval()
    scores = model(table)
    turned = {key: value.flip(0) for key, value in table.contexts.items()}
    assert not torch.equal(model(replace(table, contexts=turned)), scores)
    length = None if table.length is None else table.length.flip(0)
    assert not torch.equal(model(replace(table, response=table.response.flip(0), length=length)), scores)


def test_the_seed_decides_the_weights_and_disturbs_no_generator() -> None:
    task, table = answers("MMVQA-v0")
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, again, other = (RewardModel(task, SMALL, seed=seed)(table) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_model_that_starts_from_a_policy_reads_as_it_writes() -> None:
    task, table = answers(WORDS)
    policy = ResponsePolicy(task, 8, 8, seed=4)
    model = RewardModel(task, SMALL)
    model.start_from(policy)
    assert isinstance(model.reader, TokenLevelEncoder)
    encoded = policy.encode(table.contexts)
    assert torch.equal(model.encode(table.contexts).pooled, encoded.pooled)
    each = policy.step_log_probs(encoded.take(table.context), table.response, table.length)
    read = model.read(encoded, table)
    there = read[:, :, -1] > 0
    likely = read[:, :, -2] * 3
    torch.testing.assert_close(likely[there], each[:, : read.shape[1]][there], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_model_starts_from_a_policy_of_every_task(name: str) -> None:
    task, table = answers(name)
    policy, model = ResponsePolicy(task, 8, 8, seed=4), RewardModel(task, SMALL)
    model.start_from(policy)
    encoded = policy.encode(table.contexts)
    assert torch.equal(model.encode(table.contexts).pooled, encoded.pooled)


def test_a_policy_of_another_size_is_refused() -> None:
    task, _ = asked(WORDS)
    with pytest.raises(ValueError, match="context encoder of the policy is not of the sizes"):
        RewardModel(task, SMALL).start_from(ResponsePolicy(task, 16, 8))
    with pytest.raises(ValueError, match="decoder of the policy is not of the sizes"):
        RewardModel(task, SMALL).start_from(ResponsePolicy(task, 8, 16))


def test_a_decoder_reads_no_choices() -> None:
    task, _ = asked("MMVQA-v0")
    with pytest.raises(ValueError, match="reader='decoder' reads words"):
        RewardModel(task, replace(SMALL, reader="decoder"))
    with pytest.raises(ValueError, match="reader='decode' is not one of auto, decoder, encoder"):
        ModelConfig(reader="decode")


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_spaces_pass_through_json(name: str) -> None:
    spaces = ModelSpaces.of(asked(name)[0])
    again = ModelSpaces.from_json(spaces.to_json())
    again.refuse_other(spaces)
    assert again.vocabularies == spaces.vocabularies
    assert again.to_json() == spaces.to_json()


def test_the_end_of_an_answer_is_read_too() -> None:
    task, table = answers(WORDS)
    full = table.response.clone()
    full[full == EOS] = 5
    length = torch.full_like(table.context, full.shape[1])
    model = RewardModel(task, SMALL)
    whole = model(replace(table, response=full, length=length))
    ended = model(replace(table, response=full, length=length - 1))
    assert bool((whole != ended).all())
