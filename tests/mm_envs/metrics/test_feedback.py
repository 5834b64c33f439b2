"""Text metrics as feedback: what they see, what they say, and that what is kept of items changes nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from trajectories import make, scripted_actions

from mm_envs.arrays import as_tensor
from mm_envs.engine.pool import PoolFields
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.episodes import Episodes, Judgement
from mm_envs.feedback_sources import make_feedback
from mm_envs.metrics.bleu import sentence_bleu
from mm_envs.metrics.cider import cider, cider_d
from mm_envs.metrics.feedback import frequency_of
from mm_envs.metrics.frequency import DocumentFrequency
from mm_envs.metrics.rouge import rouge_l_coco, rouge_l_google
from mm_envs.metrics.weighted import WeightedSum
from mm_envs.random import fold, integers
from mm_envs.tasks import make_task
from mm_envs.tasks.task import Task
from mm_envs.tokenizers import EOS, PAD, UNK

NAMES = ("bleu", "rouge_l", "rouge_l_coco", "cider", "cider_d", "exact_match")
ITEMS = 512


@pytest.fixture(scope="module")
def task() -> Task:
    return make_task("caption", items=ITEMS)


def episodes_of(task: Task, n: int = 200) -> Episodes:
    """Answers that repeat references in part, with padding and ``<eos>`` in all places."""
    reference = task.batch(torch.arange(n), task.reference)
    hashes = fold(torch.arange(n)[:, None], torch.arange(task.horizon))
    right = reference["captions"][torch.arange(n), integers(hashes[:, 0], 4)]
    response = torch.where(integers(hashes, 5) > 0, right, integers(hashes, len(task.answer.vocabulary)))
    return Episodes({}, response, None, reference)


def expected(name: str, task: Task, episodes: Episodes, references: int | None) -> Tensor:
    """What the functions on tensors say."""
    known = episodes.reference["captions"][:, :references]
    frequency = frequency_of(task)
    if name == "exact_match":
        vocabulary = task.answer.vocabulary
        answers = [vocabulary.decode(row) for row in episodes.response]
        return torch.tensor(
            [
                float(text in [vocabulary.decode(row) for row in rows])
                for text, rows in zip(answers, known, strict=True)
            ]
        )
    scores = {
        "bleu": lambda: sentence_bleu(episodes.response, known),
        "rouge_l": lambda: rouge_l_google(episodes.response, known),
        "rouge_l_coco": lambda: rouge_l_coco(episodes.response, known),
        "cider": lambda: cider(episodes.response, known, frequency),
        "cider_d": lambda: cider_d(episodes.response, known, frequency) / 10,
    }[name]()
    return scores.float()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("references", [1, 2, None])
def test_the_reward_is_the_metric(name: str, references: int | None, task: Task) -> None:
    episodes = episodes_of(task)
    assert not (episodes.response == UNK).all(1).any()
    episodes = Episodes(
        {}, episodes.response.masked_fill(episodes.response == UNK, 5), None, episodes.reference
    )
    judgement = make_feedback(name, task, references=references).score(episodes)
    assert torch.equal(judgement.reward, expected(name, task, episodes, references))
    assert list(judgement.parts) == [name]
    assert judgement.reward.dtype is torch.float32
    assert 0 <= judgement.reward.min() <= judgement.reward.max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_the_oracle_is_best_and_silence_worst(name: str, task: Task) -> None:
    reference = task.batch(torch.arange(50), task.reference)
    feedback = make_feedback(name, task)
    answers = {
        "right": reference["captions"][:, 0],
        "silent": torch.full((50, task.horizon), EOS),
        "nothing": torch.full((50, task.horizon), PAD),
    }
    rewards = {
        key: feedback.score(Episodes({}, words, None, reference)).reward for key, words in answers.items()
    }
    assert (rewards["right"] == 1).all()
    assert (rewards["silent"] == 0).all()
    assert (rewards["nothing"] == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_word_equals_no_unknown_word(name: str, task: Task) -> None:
    captions = torch.tensor([[[UNK, UNK, UNK, UNK, EOS]]])
    reference = {"facts": torch.zeros(1, 1), "captions": captions}
    for words in (captions[:, 0], torch.tensor([[UNK, EOS]])):
        assert make_feedback(name, task).score(Episodes({}, words, None, reference)).reward.item() == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("reward", ["terminal", "dense"])
def test_what_is_kept_of_items_changes_nothing(name: str, reward: str) -> None:
    """The engine's judgements equal those of plain tensors, bit for bit, step by step."""
    envs = make("MMCaption-v0", 64, feedback=name, reward=reward, items=ITEMS)
    plain = make("MMCaption-v0", 64, feedback=name, reward=reward, items=ITEMS)
    keeping = plain.feedback

    class Forgetful:
        sees_reference = deterministic = scores_prefix = True

        def score(self, episodes: Episodes) -> Judgement:
            assert isinstance(episodes.reference, PoolFields)
            reference = dict(episodes.reference)
            return keeping.score(Episodes({}, episodes.response, episodes.response_length, reference))

    plain.feedback = Forgetful()
    envs.reset(seed=4), plain.reset(seed=4)
    total = torch.zeros(64)
    for step in range(20):
        actions = scripted_actions(envs, step)
        # Right answers now and then, so that rewards are not all zero.
        actions = torch.where(
            as_tensor(envs._rows.row) % 2 == 0, actions, envs.action_at(envs.task.oracle(envs.reference()))
        )
        mine, theirs = envs.step(actions)[1], plain.step(actions)[1]
        assert torch.equal(mine, theirs)
        total += mine
    assert (total > 0).any()


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_one_and_of_many_are_rewarded_alike(name: str) -> None:
    def rewards(n: int, first: int) -> Tensor:
        envs = make("MMCaption-v0", n, feedback=name, first_row=first, items=ITEMS)
        envs.reset(seed=6)
        found = []
        for step in range(14):
            right = envs.action_at(envs.task.oracle(envs.reference()))
            actions = torch.where(
                (as_tensor(envs._rows.row) % 3 == 0) & bool(step % 3), scripted_actions(envs, step), right
            )
            found.append(envs.step(actions)[1])
        return torch.stack(found, 1)

    many = rewards(200, 0)
    for row in (0, 77, 198):
        assert torch.equal(rewards(1, row)[0], many[row])
    assert (many > 0).any()


def test_answers_of_questions_are_held_against_the_right_one() -> None:
    task = make_task("vqa", answer="tokens", items=64)
    reference = task.batch(torch.arange(30), task.reference)
    right = task.oracle(reference)
    for name in ("bleu", "rouge_l", "rouge_l_coco", "exact_match"):
        feedback = make_feedback(name, task)
        assert (feedback.score(Episodes({}, right, None, reference)).reward == 1).all()
        wrong = torch.where(right > UNK, right % 3 + 3, right)
        other = feedback.score(Episodes({}, wrong, None, reference)).reward
        assert torch.equal(other == 1, (wrong == right).all(1))
        assert not (other == 1).all()
    for name in ("cider", "cider_d"):
        with pytest.raises(ValueError, match="needs captions to count n-grams"):
            make_feedback(name, task)


@pytest.mark.parametrize("name", NAMES)
def test_choices_have_no_words(name: str) -> None:
    with pytest.raises(
        ValueError, match=f"feedback='{name}' needs answers in words: use feedback='accuracy'"
    ):
        make_feedback(name, make_task("classify", dataset="digits"))


def test_arguments_that_do_not_fit_are_refused(task: Task) -> None:
    for name, arguments, message in (
        ("bleu", {"references": 0}, "references=0 is below 1"),
        ("bleu", {"max_order": 5}, "max_order=5 is not one of"),
        ("bleu", {"smoothing": "some"}, "smoothing='some' is not one of exp, floor, add-k, none"),
        ("cider_d", {"sigma": 6}, "does not take"),
        ("weighted_sum", {"parts": {}}, "has no feedback"),
        ("weighted_sum", {"parts": {"bleu": float("nan")}}, "is no finite number"),
        ("weighted_sum", {"parts": {"blue": 1.0}}, "feedback='blue' is not one of"),
        ("weighted_sum", {"parts": {"bleu": 1.0}, "arguments": {"cider": {}}}, "'cider' has no weight"),
    ):
        with pytest.raises(ValueError, match=message):
            make_feedback(name, task, **arguments)


def test_document_frequency_is_that_of_the_training_captions(task: Task) -> None:
    with pytest.raises(ValueError, match="its words are not those of the task"):
        make_feedback("cider_d", task, frequency=DocumentFrequency.of([["a red dog"]]))
    frequency = frequency_of(task)
    assert make_feedback("cider", task, frequency=frequency).frequency is frequency
    assert frequency.documents == len(task.dataset.range("train"))
    assert frequency is frequency_of(make_task("caption", items=ITEMS))
    assert frequency is not frequency_of(make_task("caption", items=ITEMS // 2))


def test_a_weighted_sum_has_named_parts(task: Task) -> None:
    episodes = episodes_of(task)
    weights = {"cider_d": 0.75, "bleu": 0.25}
    feedback = make_feedback("weighted_sum", task, parts=weights, arguments={"bleu": {"references": None}})
    judgement = feedback.score(episodes)
    assert list(judgement.parts) == list(weights)
    assert torch.equal(
        judgement.parts["bleu"], make_feedback("bleu", task, references=None).score(episodes).reward
    )
    total = sum(weights[name] * part for name, part in judgement.parts.items())
    assert torch.equal(judgement.reward, total)
    assert (feedback.sees_reference, feedback.deterministic, feedback.scores_prefix) == (True, True, True)


def test_a_weighted_sum_is_what_its_parts_are(task: Task) -> None:
    class Blind:
        sees_reference = False
        deterministic = False
        scores_prefix = False

        def score(self, episodes: Episodes) -> Judgement:
            assert episodes.reference is None
            judged = torch.arange(len(episodes)) % 2 == 0
            return Judgement(judged.float(), {}, judged)

    blind = WeightedSum(task, {"own": 2.0}, sources={"own": Blind()})
    assert (blind.sees_reference, blind.deterministic, blind.scores_prefix) == (False, False, False)
    both = WeightedSum(task, {"own": 2.0, "bleu": 1.0}, sources={"own": Blind()})
    assert (both.sees_reference, both.deterministic, both.scores_prefix) == (True, False, False)
    judgement = both.score(episodes_of(task))
    assert torch.equal(judgement.judged, torch.arange(200) % 2 == 0)
    assert (judgement.reward[1::2] == 0).all()
    assert torch.equal(judgement.reward[::2], 2 + judgement.parts["bleu"][::2])
    with pytest.raises(ValueError, match="deterministic and scores prefixes"):
        MultimodalVectorEnv(
            2, task, feedback="weighted_sum", feedback_arguments={"parts": {"annotator": 1.0}}, reward="dense"
        )
