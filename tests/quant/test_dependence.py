import math
import time
from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import betabinom, binom, chi2

from edge_agent.quant import dependence
from edge_agent.quant.bounds import agreement_lower
from edge_agent.quant.dependence import design_effect, effective_windows

RESAMPLES = 600
WINDOWS = 300


def capture(
    random: np.random.Generator, rate: float, correlation: float
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Windows whose trouble drifts: an AR(1) series; int8 disagrees where it is in its top ``rate``."""
    noise = random.normal(size=WINDOWS) * math.sqrt(1 - correlation**2)
    trouble = np.empty(WINDOWS)
    level = random.normal()
    for index, step in enumerate(noise):
        level = correlation * level + step
        trouble[index] = level
    return trouble > NormalDist().inv_cdf(1 - rate), np.exp(0.3 * trouble)


def accepted(rate: float, correlation: float, *, corrected: bool = True) -> float:
    """How often the default gate accepts a candidate that truly disagrees on ``rate`` of all windows."""
    random = np.random.default_rng(7)
    proved = cache(agreement_lower)  # independent windows give few different numbers
    count = 0
    for _ in range(RESAMPLES):
        disagree, differences = capture(random, rate, correlation)
        effect = design_effect(disagree.tolist(), differences.tolist(), in_time=True) if corrected else 1.0
        count += proved(disagree.sum() / effect, effective_windows(WINDOWS, effect)) >= 0.95
    return count / RESAMPLES


def test_independent_windows_false_accepts_stay_within_the_claim_and_good_models_pass() -> None:
    assert accepted(0.05, 0.0) <= 0.05
    assert accepted(0.01, 0.0) >= 0.95


@pytest.mark.parametrize(("correlation", "most"), [(0.3, 0.05), (0.5, 0.05), (0.8, 0.08)])
def test_correlated_windows_false_accepts_stay_within_the_claim(correlation: float, most: float) -> None:
    assert accepted(0.05, correlation) <= most


@pytest.mark.parametrize(("correlation", "least"), [(0.3, 0.92), (0.5, 0.85), (0.8, 0.6)])
def test_good_models_pass_on_correlated_windows_as_often_as_these_can_show_it(correlation: float, least: float) -> None:
    assert accepted(0.01, correlation) >= least


def test_counting_correlated_windows_as_independent_breaks_the_claim() -> None:
    assert accepted(0.05, 0.8, corrected=False) > 0.12


def test_disagreements_in_one_burst_count_as_few_windows() -> None:
    burst = [100 <= index < 115 for index in range(WINDOWS)]
    spread = [index % 20 == 0 for index in range(WINDOWS)]

    assert design_effect(burst, burst, in_time=True) > 8
    assert design_effect(spread, spread, in_time=True) == 1.0


def test_without_a_disagreement_the_output_differences_tell() -> None:
    drifting = [math.sin(index / 40) for index in range(WINDOWS)]
    random = np.random.default_rng(3).permutation(drifting).tolist()

    assert design_effect([False] * WINDOWS, drifting, in_time=True) > 8
    assert design_effect([False] * WINDOWS, random, in_time=True) < 2


def test_one_disagreement_tells_nothing_of_how_others_would_lie() -> None:
    drifting = [math.sin(index / 40) for index in range(WINDOWS)]
    one = [index == 5 for index in range(WINDOWS)]

    assert design_effect(one, drifting, in_time=True) > 5


def test_disagreements_that_lie_apart_outweigh_stand_ins_that_come_together() -> None:
    drifting = [math.sin(index / 40) for index in range(WINDOWS)]
    apart = [index % 60 == 0 for index in range(WINDOWS)]
    together = [100 <= index < 105 for index in range(WINDOWS)]

    assert design_effect(apart, drifting, in_time=True) < 2
    assert design_effect(together, drifting, in_time=True) > 5


@pytest.mark.parametrize("shown", [0.0, 1.0])
def test_windows_that_are_equally_near_are_no_order_of_time(shown: float) -> None:
    groups = [index // 25 for index in range(WINDOWS)]

    effect = design_effect([False] * WINDOWS, [shown] * WINDOWS, groups)

    assert effective_windows(WINDOWS, effect) > 150


def test_outputs_that_come_in_steps_still_show_that_neighbours_are_alike() -> None:
    random = np.random.default_rng(5)
    effects = []
    for _ in range(20):
        _, differences = capture(random, 0.05, 0.95)
        steps = np.floor(np.log(differences) / 0.3)
        effects.append(design_effect([False] * WINDOWS, np.maximum(steps, 0).tolist(), in_time=True))

    assert np.median(effects) > 2.5


@pytest.mark.parametrize("alike", [0.0, 0.01, 0.3, 0.9])
def test_the_chance_of_so_few_is_the_beta_binomials(alike: float) -> None:
    sizes = np.array([25, 25, 7])
    a = (1 / alike - 1) * 0.05 if alike else 0.0

    def single(size: int) -> Any:
        return (betabinom(size, a, 19 * a) if alike else binom(size, 0.05)).pmf(range(size + 1))

    expected = np.convolve(np.convolve(single(25), single(25)), single(7))

    for wrong in (0, 1, 3):
        assert dependence._chance(wrong, sizes, alike) == pytest.approx(expected[: wrong + 1].sum(), rel=1e-5)


@pytest.mark.parametrize("degrees", [4, 8, 11, 60])
def test_the_upper_limit_of_a_variance_is_that_of_chi_squared(degrees: int) -> None:
    assert dependence._upper_limit(1.0, degrees) == pytest.approx(degrees / chi2(degrees).ppf(0.1), rel=0.06)


def test_recordings_are_the_blocks_where_they_are_known() -> None:
    groups = [index % 10 for index in range(WINDOWS)]
    disagree = [group == 0 for group in groups]

    assert design_effect(disagree, disagree, in_time=True) == 1.0
    assert design_effect(disagree, disagree, groups) > 20


def test_windows_that_neither_follow_each_other_nor_are_of_recordings_are_independent() -> None:
    burst = [index < 15 for index in range(WINDOWS)]

    assert design_effect(burst, burst) == design_effect(burst, burst, [None] * WINDOWS) == 1.0


def test_a_single_recording_is_blocked_by_time() -> None:
    burst = [index < 15 for index in range(WINDOWS)]

    assert design_effect(burst, burst, [4] * WINDOWS) == design_effect(burst, burst, in_time=True)


@pytest.mark.parametrize("rounds", [1, 2, 4, 12])
def test_a_hundred_quiet_windows_captured_in_few_rounds_can_prove_an_agreement(rounds: int) -> None:
    windows, seeds = 100, 100
    groups = [index * rounds // windows for index in range(windows)]

    def proves(seed: int, *, in_time: bool) -> bool:
        differences = np.random.default_rng(seed).uniform(size=windows).tolist()
        return design_effect([False] * windows, differences, groups, in_time=in_time) <= windows / 59

    assert sum(proves(seed, in_time=True) for seed in range(seeds)) >= 0.7 * seeds
    if rounds in (2, 4):  # as recordings of an unknown order these are too few to say much
        assert sum(proves(seed, in_time=False) for seed in range(seeds)) <= 0.3 * seeds


def test_too_short_and_constant_series_count_as_they_are() -> None:
    assert design_effect([True, False], [1.0, 0.0], in_time=True) == 1.0
    assert design_effect([True] * 50, [1.0] * 50, in_time=True) < 3


def test_ten_thousand_recordings_are_no_burden() -> None:
    random = np.random.default_rng(0)
    wrong, near = (random.random(100_000) < 0.049).tolist(), random.random(100_000).tolist()
    begun = time.process_time()

    effect = design_effect(wrong, near, np.repeat(np.arange(10_000), 10).tolist())

    assert time.process_time() - begun < 2.0
    assert effect == pytest.approx(1.0, abs=0.05)
