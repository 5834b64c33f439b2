"""Heads of every kind: proper distributions, draws that follow them, and rows that depend on nothing else."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import cast

import pytest
import torch
from every_task import EVERY_TASK, KIND_TASKS, hashes, prompts_of, task_of
from torch import Tensor

from agents.heads import GREEDY, HEADS, PLAIN, Context, Hear, Sampling, make_head
from agents.heads.choice import ChoiceHead, RankingHead
from agents.heads.gaussian import GaussianHead
from agents.heads.text import TextHead
from agents.heads.turns import TurnsHead
from agents.policy import ResponsePolicy
from mm_envs.answers import KINDS, Boxes, Choice, Ranking, Turns, Vector
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.random import fold
from mm_envs.spaces import Tokens
from mm_envs.tasks.play import hearing
from mm_envs.tokenizers import Vocabulary

N, F = 6, 16
REPLIES = Vocabulary.of(["red", "green", "left", "right"])
HEARD = {"reply": Tokens(1, REPLIES)}


def small(name: str) -> ResponsePolicy:
    return ResponsePolicy(task_of(name), F, F).requires_grad_(False)


def hear_of(name: str, rows: Tensor | None = None) -> Hear | None:
    prompts = prompts_of(name, N)
    return hearing(task_of(name), prompts if rows is None else prompts.take(rows))


def context(n: int, candidates: int | None = None, seed: int = 0) -> Context:
    generator = torch.Generator().manual_seed(seed)
    pooled = torch.randn(n, F, generator=generator)
    return Context(pooled, None if candidates is None else torch.randn(n, candidates, F, generator=generator))


def repeated(one: Context, n: int) -> Context:
    candidates = None if one.candidates is None else one.candidates.expand(n, -1, -1)
    return Context(one.pooled.expand(n, -1), candidates)


def reply_to(response: Tensor) -> dict[str, Tensor]:
    """Words that follow from the choices so far, so that other choices are answered otherwise."""
    return {"reply": 3 + (response[:, :-1].cumsum(1) % 4)[:, :, None]}


def turns_head(options: tuple[int, ...] = (3, 2, 4), heard: bool = True, attended: int = 0) -> TurnsHead:
    torch.manual_seed(0)
    kind = Turns([[f"{turn} {i}" for i in range(count)] for turn, count in enumerate(options)])
    return TurnsHead(kind, F, F, HEARD if heard else None, attended).requires_grad_(False)


def choice_head(candidates: bool) -> ChoiceHead:
    torch.manual_seed(0)
    kind = Choice([str(i) for i in range(5)], "pictures" if candidates else None)
    return ChoiceHead(kind, F, F).requires_grad_(False)


def ranking_head(top: int | None, candidates: bool = True) -> RankingHead:
    torch.manual_seed(0)
    return RankingHead(Ranking(4, top, "pictures" if candidates else None), F, F).requires_grad_(False)


def gaussian_head(kind: Vector | Boxes) -> GaussianHead:
    torch.manual_seed(0)
    head = GaussianHead(kind, F, F)
    with torch.no_grad():
        head.log_deviation.copy_(torch.linspace(-5, 0, len(head.log_deviation)))
    return head.requires_grad_(False)


# Proper distributions -----------------------------------------------------------------------------------


def test_every_kind_has_a_head_and_others_are_refused() -> None:
    assert set(HEADS) == set(KINDS.values())

    class Strange(Choice):
        name = "strange"

    with pytest.raises(ValueError, match=r"kind.*strange.*choice.*no head"):
        make_head(Strange(["a", "b"]), F, F)


@pytest.mark.parametrize("candidates", [False, True])
def test_choices_add_up_to_one(candidates: bool) -> None:
    head, one = choice_head(candidates), context(1, 5)
    each = head.log_probs(repeated(one, 5), torch.arange(5), None, None)
    assert each.shape == (5, 1)
    assert each.exp().sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("candidates", [False, True])
@pytest.mark.parametrize("top", [1, 2, 3, None])
def test_rankings_add_up_to_one(top: int | None, candidates: bool) -> None:
    head = ranking_head(top, candidates)
    orders = torch.tensor(list(permutations(range(4), head.kind.top)))
    each = head.log_probs(repeated(context(1, 4), len(orders)), orders, None, None)
    assert each.shape == (len(orders), head.kind.top)
    assert each.sum(1).exp().sum() == pytest.approx(1, abs=1e-5)
    if top is None:
        assert torch.equal(each[:, -1], torch.zeros(len(orders)))  # the last candidate is no choice


@pytest.mark.parametrize("heard", [False, True])
def test_turns_add_up_to_one(heard: bool) -> None:
    head = turns_head(heard=heard)
    every = torch.cartesian_prod(*map(torch.arange, head.counts))
    turns = reply_to(every) if heard else None
    each = head.log_probs(repeated(context(1), len(every)), every, None, turns)
    assert each.shape == (24, 3)
    assert each.sum(1).exp().sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", [Vector((3,)), Vector((3,), -2.0, 5.0), Boxes(2)], ids=repr)
def test_densities_are_those_of_normal_distributions(kind: Vector | Boxes) -> None:
    head, given = gaussian_head(kind), context(N)
    low, high = float(kind.space.low.min()), float(kind.space.high.max())  # type: ignore[attr-defined]
    generator = torch.Generator().manual_seed(1)
    response = low + (high - low) * torch.rand(N, *(kind.space.shape or ()), generator=generator)
    mean = low + (high - low) * head.mean(given.pooled).sigmoid()
    deviation = (high - low) * head.log_deviation.clamp(min=-4).exp()
    normal = torch.distributions.Normal(mean, deviation)
    expected: Tensor = normal.log_prob(response.flatten(1))  # type: ignore[no-untyped-call]
    found = head.log_probs(given, response, None, None)
    assert torch.allclose(found, expected.sum(1, keepdim=True), rtol=1e-4, atol=1e-4)
    mode, length = head.sample(given, hashes(N), GREEDY, None)
    assert length is None
    assert mode.shape == response.shape
    assert torch.equal(mode, kind.finish(mean.view_as(mode))[0])
    assert ((mode >= low) & (mode <= high)).all()


def test_numbers_without_bounds_are_refused() -> None:
    with pytest.raises(ValueError, match="numbers from -inf to inf have no distribution"):
        make_head(Vector((3,), "-inf", "inf"), F, F)


# Draws --------------------------------------------------------------------------------------------------


def follow(counts: Tensor, p: Tensor, n: int) -> bool:
    """Counts within 5 standard deviations: by chance about one test in 100,000 fails."""
    return bool(((counts - n * p).abs() < 5 * (n * p * (1 - p)).sqrt() + 1).all())


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize("candidates", [False, True])
def test_drawn_choices_follow_the_probabilities(candidates: bool, temperature: float) -> None:
    n, head, one = 20_000, choice_head(candidates), context(1, 5)
    drawn, _ = head.sample(repeated(one, n), hashes(n), Sampling(temperature), None)
    p = (head.logits(one)[0] / temperature).softmax(0)
    assert follow(torch.bincount(drawn, minlength=5), p, n)


@pytest.mark.parametrize("top", [2, None])
def test_drawn_rankings_follow_the_probabilities(top: int | None) -> None:
    n, head, one = 20_000, ranking_head(top), context(1, 4)
    drawn, _ = head.sample(repeated(one, n), hashes(n), PLAIN, None)
    orders = torch.tensor(list(permutations(range(4), head.kind.top)))
    p = head.log_probs(repeated(one, len(orders)), orders, None, None).sum(1).exp()
    counts = (drawn[:, None] == orders).all(2).sum(0)
    assert int(counts.sum()) == n
    assert follow(counts, p, n)


@pytest.mark.parametrize("heard", [False, True])
def test_drawn_turns_follow_the_probabilities(heard: bool) -> None:
    n, head, one = 20_000, turns_head(heard=heard), context(1)
    drawn, _ = head.sample(repeated(one, n), hashes(n), PLAIN, reply_to if heard else None)
    every = torch.cartesian_prod(*map(torch.arange, head.counts))
    turns = reply_to(every) if heard else None
    p = head.log_probs(repeated(one, len(every)), every, None, turns).sum(1).exp()
    counts = (drawn[:, None] == every).all(2).sum(0)
    assert int(counts.sum()) == n
    assert follow(counts, p, n)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_drawn_numbers_follow_the_densities(temperature: float) -> None:
    """Means and deviations of numbers that are hardly ever clipped, within 5 standard errors."""
    n, one = 20_000, context(1)
    head = gaussian_head(Vector((3,), 0.0, 1.0))
    with torch.no_grad():
        head.log_deviation.fill_(-3.0)
    drawn, _ = head.sample(repeated(one, n), hashes(n), Sampling(temperature), None)
    mean, deviation = head.mean(one.pooled).sigmoid()[0], temperature * torch.exp(torch.tensor(-3.0))
    assert ((drawn.mean(0) - mean).abs() < 5 * deviation / n**0.5).all()
    assert ((drawn.std(0) - deviation).abs() < 5 * deviation / (2 * n) ** 0.5).all()
    assert ((drawn[:, 0] - mean[0]) * (drawn[:, 1] - mean[1])).mean().abs() < 5 * deviation**2 / n**0.5


@pytest.mark.parametrize("name", KIND_TASKS)
def test_temperature_zero_is_the_mode(name: str) -> None:
    policy, hear = small(name), hear_of(name)
    encoded = policy.encode(prompts_of(name, N).context)
    response, length = policy.sample(encoded, hashes(N), 0, hear)
    given, head = encoded, policy.head
    if isinstance(head, ChoiceHead):
        assert torch.equal(response, head.logits(given).argmax(1))
    elif isinstance(head, TextHead):
        there = head.there(response, length)
        assert torch.equal(head.logits(given, response).argmax(2)[there], response[there])
    elif isinstance(head, RankingHead):
        assert torch.equal(response, head.logits(given).argsort(1, descending=True)[:, : head.kind.top])
    elif isinstance(head, TurnsHead):
        assert hear is not None
        turns = hear(response)
        for turn in range(len(head.counts)):
            assert torch.equal(head.logits(given, response, turns, turn).argmax(1), response[:, turn])
    else:
        # The density at the mode is at least that at any draw.
        draws, _ = policy.sample(encoded, hashes(N), 1)
        assert (policy.log_prob(encoded, response) >= policy.log_prob(encoded, draws)).all()
    again, _ = policy.sample(encoded, hashes(N, seed=9), 0, hear)
    assert torch.equal(again, response)


@pytest.mark.parametrize("name", EVERY_TASK)
def test_a_row_depends_on_its_context_and_hash_alone(name: str) -> None:
    policy, prompts, hear = small(name), prompts_of(name, N), hear_of(name)
    encoded = policy.encode(prompts.context)
    response, length = policy.sample(encoded, hashes(N), hear=hear)
    expected = policy.log_prob(encoded, response, length, None if hear is None else hear(response))
    for rows in (torch.tensor([4]), torch.tensor([5, 0, 2])):
        some, there = policy.encode(prompts.take(rows).context), hear_of(name, rows)
        alone, size = policy.sample(some, hashes(N)[rows], hear=there)
        if alone.is_floating_point():
            assert torch.allclose(alone, response[rows], atol=1e-5)
        else:
            assert torch.equal(alone, response[rows])
        assert (size is None) == (length is None)
        if size is not None and length is not None:
            assert torch.equal(size, length[rows])
        turns = None if there is None else there(alone)
        assert torch.allclose(policy.log_prob(some, alone, size, turns), expected[rows], atol=1e-4)
    other, _ = policy.sample(encoded, hashes(N, seed=9), hear=hear)
    assert not torch.equal(other, response)


@pytest.mark.parametrize("name", EVERY_TASK)
def test_answers_are_those_of_an_episode(name: str) -> None:
    """Stepping the environment with the parts of an answer ends with that answer and what was heard."""
    task, policy = task_of(name), small(name)
    envs = MultimodalVectorEnv(N, task, feedback="truth")
    envs.reset(seed=1)
    prompts = envs.prompts()
    hear = hearing(task, prompts)
    response, length = policy.sample(policy.encode(prompts.context), hashes(N), hear=hear)
    turns = None if hear is None else hear(response)
    running, compared = torch.ones(N, dtype=torch.bool), 0
    for step in range(task.horizon):
        *_, terminated, _, info = envs.step(task.answer.action(response, step))
        ended = running & terminated
        if "final_info" in info:
            final = info["final_info"]
            assert torch.allclose(final["response"][ended], response[ended], atol=1e-6)
            if length is not None:
                assert torch.equal(final["response_length"][ended], length[ended])
            if turns is not None:
                for key, value in turns.items():
                    seen = info["final_obs"][key][ended]
                    assert torch.equal(seen, value[ended, -1])
            compared += int(ended.sum())
        running &= ~terminated
    assert not running.any()
    assert compared == N
    space = task.answer.space
    assert all(space.contains(one.numpy() if one.ndim else one.item()) for one in response)


# Conversations ------------------------------------------------------------------------------------------


def test_turns_never_look_ahead() -> None:
    head, given = turns_head(), context(N)
    response = torch.tensor([[1, 0, 2]] * N)
    turns = reply_to(response)
    before = head.log_probs(given, response, None, turns)
    for turn in range(3):
        later = response.clone()
        later[:, turn] = (later[:, turn] + 1) % head.counts[turn]
        changed = head.log_probs(given, later, None, turns)
        assert torch.equal(changed[:, :turn], before[:, :turn])
        assert (changed[:, turn:] != before[:, turn:]).all()
    for turn in range(2):
        heard = {"reply": turns["reply"].clone()}
        heard["reply"][:, turn] = 3 + (heard["reply"][:, turn] - 2) % 4
        changed = head.log_probs(given, response, None, heard)
        assert torch.equal(changed[:, : turn + 1], before[:, : turn + 1])
        assert (changed[:, turn + 1 :] != before[:, turn + 1 :]).all()


def test_words_of_replies_look_at_the_tokens_of_their_context() -> None:
    """Shared and repeated contexts agree, in any order of the tokens; other tokens change later turns."""
    head, generator = turns_head(attended=F), torch.Generator().manual_seed(1)
    tokens = torch.randn(2, 5, F, generator=generator)
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    given = Context(context(2).pooled, tokens=tokens, mask=mask)
    response, _ = head.sample(given, hashes(N), PLAIN, reply_to)
    turns = reply_to(response)
    found = head.log_probs(given, response, None, turns)
    assert torch.allclose(found, head.log_probs(given.repeat(3), response, None, turns), atol=1e-5)
    permuted = Context(given.pooled, tokens=tokens.flip(1), mask=mask.flip(1))
    assert torch.allclose(found, head.log_probs(permuted, response, None, turns), atol=1e-5)
    masked = replace(given, tokens=torch.where(mask[:, :, None], tokens, 7.0))
    assert torch.allclose(found, head.log_probs(masked, response, None, turns), atol=1e-5)
    other = head.log_probs(replace(given, tokens=tokens.flip(0)), response, None, turns)
    assert torch.equal(found[:, 0], other[:, 0])
    assert (found[:, 1:] != other[:, 1:]).all()
    for turn in range(3):
        logits = head.logits(given, response, turns, turn).log_softmax(1)
        assert torch.allclose(found[:, turn], logits.gather(1, response[:, turn, None])[:, 0], atol=1e-5)


def test_the_word_loss_of_replies_is_that_of_the_words_heard() -> None:
    """It depends on the set of words that were heard in a context, and on its tokens."""
    head, tokens = turns_head(attended=F), torch.randn(2, 5, F, generator=torch.Generator().manual_seed(1))
    memory = head.remember(Context(context(2).pooled, tokens=tokens))
    heard = torch.tensor([[3, 4, 4], [5, 0, 0]])
    loss = head.word_loss({"reply": heard[:, :, None]}, memory)
    assert loss is not None
    again = head.word_loss({"reply": heard.flip(1)[:, :, None]}, memory)
    assert torch.allclose(loss, again)
    listening = head.listening["reply"]
    table = head.heard["reply"].encoder.words.weight
    scores = memory["reply"].tokens[:, :, :48] @ (listening.query(table) * 48**-0.5).T
    logits = listening.scale * scores.amax(1) + listening.bias
    used = torch.zeros_like(logits)
    used[0, 3] = used[0, 4] = used[1, 5] = 1
    wanted = torch.nn.functional.binary_cross_entropy_with_logits(logits, used, reduction="none").sum(1)
    assert torch.allclose(loss, wanted)


@pytest.mark.parametrize("attended", [0, F])
def test_all_conversations_are_as_probable_as_one_by_one(attended: int) -> None:
    """What enumerated answers share is computed once; in another order it is not, with the same result."""
    head, m = turns_head(attended=attended), 2
    tokens = torch.randn(m, 5, F, generator=torch.Generator().manual_seed(1)) if attended else None
    given = Context(context(m).pooled, tokens=tokens)
    response = torch.cartesian_prod(*map(torch.arange, head.counts)).repeat(m, 1)
    turns = reply_to(response)
    found = head.distribution(given, response, None, turns)
    p = found.log_prob(response).view(m, -1, 3).sum(2).exp()
    assert torch.allclose(p.sum(1), torch.ones(m), atol=1e-5)
    assert [head._alike(given, response, turns, turn) for turn in range(3)] == [24, 8, 4]
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    rows = torch.cat([order, 24 + order])
    shuffled = {key: value[rows] for key, value in turns.items()}
    assert [head._alike(given, response[rows], shuffled, turn) for turn in range(3)] == [24, 1, 1]
    other = head.distribution(given, response[rows], None, shuffled)
    assert torch.allclose(found.log_prob(response)[rows], other.log_prob(response[rows]), atol=1e-5)
    assert torch.allclose(found.states[rows], other.states, atol=1e-5)


def test_drawing_turns_hears_only_what_was_chosen() -> None:
    """Every draw is that of the logits given the choices and replies before it, whatever comes later."""
    head, given = turns_head(), context(N)
    response, _ = head.sample(given, hashes(N), PLAIN, reply_to)
    turns = reply_to(response)
    for turn in range(3):
        cut = response.clone()
        cut[:, turn:] = 0
        heard = {"reply": turns["reply"].clone()}
        heard["reply"][:, turn:] = 0
        logits = head.logits(given, cut, heard, turn)
        assert torch.equal(logits, head.logits(given, response, turns, turn))


def test_a_conversation_without_replies_is_refused_in_a_sentence() -> None:
    policy = small("turns")
    encoded = policy.encode(prompts_of("turns", N).context)
    with pytest.raises(ValueError, match="a conversation has replies: give hear="):
        policy.sample(encoded, hashes(N))
    with pytest.raises(ValueError, match="a conversation has replies: give turns="):
        policy.log_prob(encoded, torch.zeros(N, 2, dtype=torch.int64))


# Candidates ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["MMRetrieve-v0", "retrieve ranking"])
def test_permuted_pictures_have_permuted_scores(name: str) -> None:
    """The encoder of a picture is that of every other; what is pooled of the pictures is held fixed."""
    policy, prompts = small(name), prompts_of(name, N)
    head = cast("ChoiceHead | RankingHead", policy.head)
    count = prompts.context["candidates"].shape[1]
    order = torch.stack([torch.randperm(count, generator=torch.Generator().manual_seed(i)) for i in range(N)])
    rows = torch.arange(N)[:, None]
    permuted = {**prompts.context, "candidates": prompts.context["candidates"][rows, order]}
    given, other = policy.encode(prompts.context), policy.encode(permuted)
    assert given.candidates is not None
    assert other.candidates is not None
    assert torch.allclose(other.candidates, given.candidates[rows, order], atol=1e-5)
    logits = head.logits(given)
    moved = head.logits(Context(given.pooled, other.candidates))
    assert torch.allclose(moved, logits[rows, order], atol=1e-5)
    if isinstance(head, RankingHead):
        mine, _ = head.sample(given, hashes(N), GREEDY, None)
        theirs, _ = head.sample(Context(given.pooled, other.candidates), hashes(N), GREEDY, None)
        assert torch.equal(order.gather(1, theirs), mine)
        assert torch.allclose(
            head.log_probs(given, mine, None, None),
            head.log_probs(Context(given.pooled, other.candidates), theirs, None, None),
            atol=1e-5,
        )


@pytest.mark.parametrize("name", KIND_TASKS)
def test_gradients_reach_every_weight(name: str) -> None:
    policy, prompts, hear = ResponsePolicy(task_of(name), F, F), prompts_of(name, N), hear_of(name)
    encoded, word_loss = policy.context_encoder.with_word_loss(prompts.context)
    response, length = policy.sample(encoded, hashes(N), hear=hear)
    turns = None if hear is None else hear(response)
    parts = policy.distribution(encoded, response, length, turns)
    several = [-parts.log_prob(response), word_loss, parts.auxiliary]
    torch.autograd.backward([one.mean() for one in several if one is not None])
    without = [key for key, one in policy.named_parameters() if one.grad is None]
    assert not without
    assert all(bool(one.grad.isfinite().all()) for one in policy.parameters() if one.grad is not None)


def test_a_hash_decides_every_part_of_an_answer() -> None:
    """Answers of contexts that are alike differ by their hashes, and equal hashes draw equal answers."""
    head, one = turns_head(), context(1)
    same, _ = head.sample(repeated(one, 50), fold(hashes(1), 0).expand(50), PLAIN, reply_to)
    assert (same == same[0]).all()


@pytest.mark.parametrize(
    "name", [name for name in KIND_TASKS if isinstance(task_of(name).answer, (Ranking, Turns))]
)
def test_drawn_actions_are_valid(name: str) -> None:
    kind, policy, prompts = task_of(name).answer, small(name), prompts_of(name, N)
    encoded = policy.encode(dict(prompts.context))
    response, _ = policy.sample(encoded, hashes(N), hear=hear_of(name))
    state = kind.start(N, response.device)
    for step in range(kind.steps):
        action = kind.action(response, step)
        assert bool(kind.valid(state, N, response.device).gather(1, action[:, None]).all())
        state, _ = kind.write(state, action)
