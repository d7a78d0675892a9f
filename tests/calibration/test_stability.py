import math
from dataclasses import replace

import numpy as np
import pytest

from edge_agent.calibration.histogram import Histogram
from edge_agent.calibration.stability import FEWEST_SEGMENTS, TOLERANCE, Stability, judge_stability


def segments(parts: list[np.ndarray]) -> list[list[Histogram]]:
    """A histogram for each column of each part."""
    all_of = []
    for part in parts:
        columns = []
        for column in part.T:
            histogram = Histogram(512)
            histogram.add(column)
            columns.append(histogram)
        all_of.append(columns)
    return all_of


def gathered(count: int, *, loudness: float, seed: int = 0) -> list[np.ndarray]:
    """Segments of noise whose strength varies from one to the next by e to the ``loudness``."""
    random = np.random.default_rng(seed)
    strengths = np.exp(random.normal(0, loudness, count))
    return [random.normal(0, strength, (2000, 1)).astype(np.float32) for strength in strengths]


def test_like_segments_are_sure_and_unlike_ones_are_not() -> None:
    alike = judge_stability(["x"], segments(gathered(10, loudness=0.02)), 100)
    unlike = judge_stability(["x"], segments(gathered(10, loudness=0.8)), 100)

    assert alike.stable
    assert alike.spread < 0.05
    assert alike.enough == 50  # what could tell, not the little that the spread alone asks for
    assert "50 windows would do" in alike.sentence
    assert not unlike.stable
    assert unlike.enough is not None
    assert unlike.enough > 100
    assert unlike.sentence.endswith(f"set [recipe] calibration_windows = {unlike.enough}")
    assert replace(unlike, rows=True).sentence.endswith("give more rows")


def test_the_least_sure_channel_is_named() -> None:
    parts = [np.hstack(pair) for pair in zip(gathered(8, loudness=0.02), gathered(8, loudness=0.8), strict=True)]

    assert judge_stability(["quiet", "loud"], segments(parts), 80).least_sure == "loud"


def test_what_is_promised_of_other_data_holds() -> None:
    """The range of a second set of segments lies within the spread in about 90 % of cases."""

    def width(parts: list[np.ndarray]) -> float:
        low, high = np.quantile(np.concatenate(parts), [0.001, 0.999])
        return float(high - low)

    held = 0
    for seed in range(40):
        first, second = gathered(8, loudness=0.3, seed=seed), gathered(8, loudness=0.3, seed=1000 + seed)
        spread = judge_stability(["x"], segments(first), 80).spread
        held += abs(width(second) / width(first) - 1) <= math.sqrt(2) * spread

    assert 30 <= held <= 40


def test_four_times_the_segments_are_twice_as_sure() -> None:
    few = np.mean([judge_stability(["x"], segments(gathered(8, loudness=0.3, seed=s)), 80).spread for s in range(10)])
    many = np.mean(
        [judge_stability(["x"], segments(gathered(32, loudness=0.3, seed=s)), 320).spread for s in range(10)]
    )

    assert 1.4 < few / many < 3.5


def test_few_segments_tell_nothing() -> None:
    unknown = judge_stability(["x"], segments(gathered(FEWEST_SEGMENTS - 1, loudness=0.1)), 40)

    assert unknown.enough is None
    assert not unknown.stable
    assert unknown.summary(planned=40).spread is None
    assert "do not show" in unknown.sentence


def test_zeros_and_constants_have_a_range_that_is_sure() -> None:
    parts = [np.zeros((100, 1), np.float32) for _ in range(6)]

    assert judge_stability(["x"], segments(parts), 60).spread == 0


@pytest.mark.parametrize(("spread", "enough"), [(TOLERANCE, 100), (2 * TOLERANCE, 400), (0.0, 42)])
def test_how_many_would_do(spread: float, enough: int) -> None:
    assert Stability(100, spread, "x", segments=12).enough == enough


def test_merging_histograms_is_counting_all_values() -> None:
    random = np.random.default_rng(3)
    parts = [random.normal(0, 10.0**power, 500).astype(np.float32) for power in (-2, 0, 2)] + [np.zeros(7, np.float32)]
    whole, merged = Histogram(512), Histogram(512)
    for part in parts:
        whole.add(part)
        one = Histogram(512)
        one.add(part)
        merged.merge(one)
    merged.merge(Histogram(512))

    for key, array in whole.to_arrays().items():
        assert np.array_equal(array, merged.to_arrays()[key]), key
