"""One likelihood for labels of all kinds: each kind by itself recovers the scores, and so do all together."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from feedback.losses import Likelihood, PairLikelihood, ordered_cuts
from feedback.preferences import (
    SKIP,
    TIE,
    Answers,
    Approvals,
    Corrections,
    Critiques,
    Demonstrations,
    Labelled,
    Labels,
    Pairs,
    Rankings,
    Ratings,
)

ANSWERS = 30
TRUTH = torch.linspace(-2, 2, ANSWERS)[torch.randperm(ANSWERS, generator=torch.Generator().manual_seed(3))]


def labelled(*labels: Labels) -> Labelled:
    answers = Answers({}, torch.arange(ANSWERS), torch.arange(ANSWERS))
    return Labelled(answers, ("one", "two"), labels)


def draw(kind: str, n: int, seed: int = 0) -> Labels:
    """Labels as the likelihood itself has them, of answers whose scores are ``TRUTH``."""
    g = torch.Generator().manual_seed(seed)
    who = torch.randint(2, (n,), generator=g)
    rows = torch.rand(n, ANSWERS, generator=g).argsort(1)
    noise = torch.rand(n, ANSWERS, generator=g).log().neg().log().neg()
    perceived = TRUTH[rows] + noise
    one, other = rows[:, 0], rows[:, 1]
    first = perceived[:, 0] > perceived[:, 1]
    better, worse = torch.where(first, one, other), torch.where(first, other, one)
    if kind == "pairs":
        return Pairs(who, one, other, (~first).long(), first)
    if kind == "rankings":
        order = perceived[:, :4].argsort(1, descending=True)
        return Rankings(who, rows.gather(1, order))
    logistic = TRUTH[one] + torch.rand(n, generator=g).logit()
    if kind == "ratings":
        cuts = ordered_cuts(torch.tensor(-1.5), torch.zeros(3))
        return Ratings(who, one, torch.bucketize(logistic, cuts) / 4)
    if kind == "approvals":
        return Approvals(who, one, logistic > 0.5)
    if kind == "corrections":
        return Corrections(who, worse, better)
    if kind == "demonstrations":
        best = perceived[:, :4].argmax(1, keepdim=True)
        others = rows[:, :4].masked_fill(torch.arange(4) == best, -1)
        return Demonstrations(who, rows.gather(1, best)[:, 0], others)
    return Critiques(who, one, other, first)


KINDS = ("pairs", "rankings", "ratings", "approvals", "corrections", "demonstrations", "critiques")


def fitted(model: Likelihood | PairLikelihood, data: Labelled, steps: int = 120) -> Tensor:
    scores = torch.zeros(ANSWERS, requires_grad=True)
    optimizer = torch.optim.Adam([scores, *model.parameters()], 0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        model.loss(scores, data).backward()
        optimizer.step()
    return scores.detach()


def correlation(scores: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([scores, TRUTH]))[0, 1])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_recovers_the_scores(kind: str) -> None:
    """With 4,000 labels a correlation of 0.97 or more is far inside what sampling noise allows."""
    model = Likelihood()
    assert correlation(fitted(model, labelled(draw(kind, 4000)))) > 0.97


def test_mixed_labels_say_more_than_any_kind_alone() -> None:
    labels = [draw(kind, 150, seed) for seed, kind in enumerate(KINDS)]
    mixed = correlation(fitted(Likelihood(), labelled(*labels)))
    alone = [correlation(fitted(Likelihood(), labelled(one))) for one in labels]
    assert mixed > max(alone)


def test_cuts_threshold_and_scale_are_learnt() -> None:
    model = Likelihood()
    scores = fitted(
        model, labelled(draw("ratings", 10_000), draw("approvals", 10_000), draw("pairs", 10_000))
    )
    shift = scores.mean() - TRUTH.mean()
    cuts = model.cuts.detach() - shift
    torch.testing.assert_close(cuts, torch.tensor([-1.5, -0.5, 0.5, 1.5]), atol=0.12, rtol=0)
    assert float(model.threshold.detach() - shift) == pytest.approx(0.5, abs=0.12)
    slope = float((scores * TRUTH).mean() / TRUTH.square().mean())
    assert slope == pytest.approx(1, abs=0.08)


def test_personal_scales_are_learnt() -> None:
    """The second annotator has half the gain and an offset: who has one scale for both errs more."""
    ratings = draw("ratings", 8000)
    assert isinstance(ratings, Ratings)
    g = torch.Generator().manual_seed(5)
    seen = torch.where(ratings.annotator == 0, TRUTH[ratings.answer], 0.4 * TRUTH[ratings.answer] + 1.5)
    rating = torch.bucketize(
        seen + torch.rand(8000, generator=g).logit(), torch.tensor([-1.5, -0.5, 0.5, 1.5])
    )
    data = labelled(Ratings(ratings.annotator, ratings.answer, rating / 4))
    personal = Likelihood(annotators=2, labels=8000)
    scores = fitted(personal, data, 250)
    assert float(personal.gain.detach().diff().exp()) == pytest.approx(0.4, abs=0.08)
    shared = Likelihood()
    assert personal.loss(scores, data).item() < shared.loss(fitted(shared, data), data).item()


@pytest.mark.parametrize("ties", ["rao_kupper", "davidson"])
def test_the_width_of_ties_is_learnt(ties: str) -> None:
    model, generator = PairLikelihood(ties=ties), torch.Generator().manual_seed(0)
    rows = torch.randint(ANSWERS, (2, 10_000), generator=generator)
    difference = TRUTH[rows[0]] - TRUTH[rows[1]]
    pairs = [
        Pairs(rows[0] * 0, rows[0], rows[1], torch.full((10_000,), choice), rows[0] >= 0)
        for choice in range(3)
    ]
    with torch.no_grad():
        model.tie.fill_(-0.7)  # type: ignore[union-attr]
        chances = torch.stack([torch.exp(-model(difference, one)) for one in pairs], 1)
        choice = torch.multinomial(chances, 1, generator=generator)[:, 0]
        model.tie.fill_(0.5)  # type: ignore[union-attr]
    data = labelled(Pairs(rows[0] * 0, rows[0], rows[1], choice, rows[0] >= 0))
    scores = fitted(model, data)
    assert correlation(scores) > 0.99
    assert float(model.tie.detach()) == pytest.approx(-0.7, abs=0.15)  # type: ignore[union-attr]


def test_skipped_pairs_count_nowhere() -> None:
    pairs = draw("pairs", 100)
    assert isinstance(pairs, Pairs)
    skipped = Pairs(**{**vars(pairs), "choice": torch.where(torch.arange(100) < 50, pairs.choice, SKIP)})
    kept = pairs.take(torch.arange(50))
    for model in (PairLikelihood(), PairLikelihood(ties="davidson"), Likelihood()):
        torch.testing.assert_close(model.loss(TRUTH, labelled(skipped)), model.loss(TRUTH, labelled(kept)))
    nothing = Pairs(**{**vars(pairs), "choice": torch.full((100,), SKIP)})
    assert PairLikelihood().loss(TRUTH, labelled(nothing)).item() == 0


def test_a_tie_is_half_a_label() -> None:
    rows = torch.tensor([0, 1])
    pairs = Pairs(rows * 0, rows, rows + 2, torch.full((2,), TIE), rows >= 0)
    either = [Pairs(rows * 0, rows, rows + 2, torch.full((2,), choice), rows >= 0) for choice in (0, 1)]
    model = PairLikelihood()
    mean = sum(model.loss(TRUTH, labelled(one)) for one in either) / 2
    torch.testing.assert_close(model.loss(TRUTH, labelled(pairs)), mean)


def test_all_kinds_are_weighed_by_their_labels() -> None:
    model = Likelihood()
    labels = [draw(kind, 10 + 7 * i) for i, kind in enumerate(KINDS)]
    each = torch.cat([model(TRUTH, one) for one in labels])
    torch.testing.assert_close(model.loss(TRUTH, labelled(*labels)), each.mean())


@pytest.mark.parametrize("kind", KINDS)
def test_far_scores_have_finite_gradients(kind: str) -> None:
    scores = (1e4 * TRUTH).requires_grad_()
    model = Likelihood(annotators=2)
    model.loss(scores, labelled(draw(kind, 50))).backward()
    assert torch.isfinite(scores.grad).all()  # type: ignore[arg-type]
    assert all(one.grad is None or torch.isfinite(one.grad).all() for one in model.parameters())


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="ties='half' is not one of half_label, rao_kupper, davidson"):
        PairLikelihood(ties="half")
    with pytest.raises(
        ValueError, match="ties='davidson' goes with loss='bradley_terry', not with 'noise_mix'"
    ):
        PairLikelihood("noise_mix", 0.1, ties="davidson")
    with pytest.raises(ValueError, match="levels=1 is below 2"):
        Likelihood(levels=1)
    with pytest.raises(TypeError, match="Labels is no kind of label"):
        Likelihood()(TRUTH, Labels(torch.zeros(1)))
