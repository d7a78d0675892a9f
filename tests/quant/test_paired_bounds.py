"""The bounds of what is no share: against their definitions by hand, and how often the truth lies above them."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_agent.quant.paired import auc_drop_upper, mean_upper

Floats = NDArray[np.float64]


def test_a_mean_by_hand() -> None:
    # Mean 2, variance 10 / 4 = 2.5, of the mean 0.5; Student's t of 4 degrees of freedom is 2.132.
    assert mean_upper(np.array([0.0, 1.0, 2.0, 3.0, 4.0])) == pytest.approx(2 + 2.1318 * math.sqrt(0.5), abs=1e-4)
    assert mean_upper(np.array([0.0, 1.0, 2.0, 3.0, 4.0]), 4.0) == pytest.approx(2 + 2.1318 * math.sqrt(2), abs=1e-4)


def test_auc_by_hand() -> None:
    """Float ranks two positives above two negatives; int8 puts one positive between them."""
    positive = np.array([True, True, False, False])
    reference, target = np.array([4.0, 3.0, 2.0, 1.0]), np.array([4.0, 1.5, 2.0, 1.0])

    # Placements of the positives fall by 0 and 1/2, of the negatives by 1/2 and 0: mean 1/4 in both.
    many = [np.repeat(each, 50) for each in (reference, target, positive)]
    variance = 2 * (0.25**2 * 100 / 99) / 100
    assert auc_drop_upper(*many) == pytest.approx(0.25 + 1.6604 * math.sqrt(variance), abs=1e-4)
    assert auc_drop_upper(*many, 4.0) == pytest.approx(0.25 + 2 * 1.6604 * math.sqrt(variance), abs=1e-4)
    assert auc_drop_upper(*many, 1e4) == 1.0
    assert auc_drop_upper(reference, target, positive) is None, "of four windows nothing can be said"


@pytest.mark.parametrize("ties", [False, True])
def test_auc_is_delongs_over_every_pair(ties: bool) -> None:  # noqa: FBT001  # pytest gives it so
    random = np.random.default_rng(5)
    positive = np.arange(70) < 30
    reference = positive + random.normal(0, 1, 70)
    target = reference + random.normal(0, 0.3, 70)
    if ties:
        reference, target = np.round(reference, 1), np.round(target, 0)

    def wins(scores: Floats) -> Floats:
        return (np.sign(scores[positive][:, None] - scores[~positive][None, :]) + 1) / 2

    lost = wins(reference) - wins(target)
    variance = lost.mean(axis=1).var(ddof=1) / 30 + lost.mean(axis=0).var(ddof=1) / 40

    assert auc_drop_upper(reference, target, positive) == pytest.approx(lost.mean() + 1.6991 * variance**0.5, abs=1e-4)


def test_where_nothing_differs_or_too_little_is_there_nothing_is_said() -> None:
    positive, scores = np.arange(100) < 50, np.arange(100.0)[::-1]
    turned = scores[::-1].copy()

    assert auc_drop_upper(scores, 2 * scores, positive) is None
    assert auc_drop_upper(scores, turned, positive) is None, "each pair is lost, whatever else may vary"
    assert auc_drop_upper(scores, turned, np.ones(100, bool)) is None
    assert auc_drop_upper(scores, np.where(scores == 7, math.nan, scores), positive) is None
    assert mean_upper(np.zeros(9)) is None
    assert mean_upper(np.array([1.0])) is None


@pytest.mark.parametrize(("positives", "negatives"), [(50, 250), (150, 150)])
def test_the_true_drop_in_auc_lies_above_in_about_one_of_twenty(positives: int, negatives: int) -> None:
    """Two normal sides 2 apart; int8's own noise costs AUC what Phi says."""
    random, noise, draws = np.random.default_rng(0), 0.7, 1000
    truth = NormalDist().cdf(2 / math.sqrt(2)) - NormalDist().cdf(2 / math.sqrt(2 * (1 + noise**2)))
    positive = np.arange(positives + negatives) < positives
    above = 0
    for _ in range(draws):
        reference = 2.0 * positive + random.normal(0, 1, len(positive))
        bound = auc_drop_upper(reference, reference + random.normal(0, noise, len(positive)), positive)
        assert bound is not None
        above += truth > bound

    assert 0.03 <= above / draws <= 0.09


def test_the_true_mean_lies_above_in_about_one_of_twenty() -> None:
    """Differences of absolute errors, which are not normal."""
    random, draws = np.random.default_rng(0), 2000
    errors = np.abs(random.normal(0, 1, (draws, 300)))
    noise = random.normal(0, 0.5, (draws, 300)) + 0.1
    signs = np.where(random.random((draws, 300)) < 0.5, -1, 1)
    worse = np.abs(signs * errors + noise) - errors
    truth = worse.mean()

    bounds = np.array([mean_upper(each) for each in worse])

    assert 0.03 <= (truth > bounds).mean() <= 0.07
