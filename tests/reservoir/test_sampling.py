"""The method of the reservoir: which part a moment belongs to, and that each part is the sample that it says it is."""

import math
from collections import Counter
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_agent.reservoir.cutting import Cutter, Stretch
from edge_agent.reservoir.sampler import Sampler
from edge_agent.reservoir.segment_format import SegmentFormat
from edge_agent.reservoir.slot_format import Head
from edge_agent.reservoir.time_blocks import PARTS, block_number, block_seconds, part_of
from edge_agent.reservoir.uniform import Uniform
from edge_agent.reservoir.write_budget import Bucket, thinning

START_S = 1.7e9
SHAPE = SegmentFormat(channels=("x",), rate_hz=10, samples=7)


def seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311  # a seeded draw, no secret


def chi_square(counts: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    """Squared distance from what was expected, in standard deviations of a count, summed; and centred to a z-score."""
    squares = float(np.sum((counts - expected) ** 2 / expected))
    return (squares - len(counts)) / math.sqrt(2 * len(counts))


@given(st.integers(-(10**6), 10**12), st.integers(0, 2**48))
def test_each_pair_of_blocks_has_one_of_either_part(number: int, seed: int) -> None:
    first = number - number % 2

    assert {part_of(first, seed), part_of(first + 1, seed)} == set(PARTS)


def test_a_block_is_in_either_part_with_even_chance() -> None:
    calibration = [sum(part_of(number, seed) == "calibration" for seed in range(2000)) for number in range(20)]

    assert all(abs(count - 1000) < 5 * math.sqrt(500) for count in calibration)


batches = st.lists(
    st.tuples(st.integers(0, 300), st.booleans(), st.sampled_from([0.0, 0.0, 0.0, 0.001, -0.001, 47.3, -200.0])),
    min_size=1,
    max_size=40,
)


@settings(deadline=None, max_examples=100)
@given(batches)
def test_no_stretch_spans_an_interruption_and_blocks_never_touch(arrivals: list[tuple[int, bool, float]]) -> None:
    """Samples are numbered; a batch may follow an interruption, and the clock may be set in between."""
    cutter, number, clock = Cutter(SHAPE), 0, START_S
    stretches: list[tuple[float, int, NDArray[np.float32]]] = []
    starts_after_a_gap = set()
    for count, gap, step in arrivals:
        clock += step
        samples = np.arange(number, number + count, dtype=np.float32)[:, None]
        if gap:
            starts_after_a_gap.add(number)
        stretches += [(one.time_s, one.block, one.samples[:, 0].copy()) for one in cutter.add(samples, clock, gap=gap)]
        number, clock = number + count, clock + count / SHAPE.rate_hz

    length = block_seconds(SHAPE)
    for time_s, block, values in stretches:
        assert np.array_equal(np.diff(values), np.ones(SHAPE.samples - 1))
        assert not starts_after_a_gap & set(values[1:].astype(int).tolist())
        assert block_number(time_s, length) == block
    for (_, block, values), (_, later_block, later) in pairwise(stretches):
        assert later[0] > values[-1]
        if later_block != block:
            assert later[0] - values[-1] > SHAPE.samples


def test_little_is_lost_to_gaps() -> None:
    cutter, samples = Cutter(SHAPE), np.zeros((100_000, 1), np.float32)

    used = sum(len(one.samples) for one in cutter.add(samples, START_S, gap=False))

    assert used > 0.85 * len(samples)


def test_every_element_has_the_same_chance() -> None:
    elements, places, trials = 60, 10, 4000
    counts = np.zeros(elements)
    for seed in range(trials):
        counts[list(kept_elements(Uniform(places, math.inf), elements, seeded(seed)))] += 1

    expected = np.full(elements, trials * places / elements)
    assert counts.sum() == trials * places
    assert abs(chi_square(counts, expected)) < 4


def test_chances_fall_with_age_as_they_are_said_to() -> None:
    elements, places, trials, horizon = 200, 4, 4000, 40.0
    counts = np.zeros(elements)
    for seed in range(trials):
        counts[list(kept_elements(Uniform(places, horizon), elements, seeded(seed)))] += 1

    age = np.arange(elements)[::-1]
    weight = np.exp(-age / horizon)
    expected = trials * places * weight / weight.sum()
    recent = age < 160  # expected counts of older ones are too small for the test
    assert abs(chi_square(counts[recent], expected[recent])) < 4
    assert counts[~recent].sum() < 2 * expected[~recent].sum() + 20


def test_a_horizon_below_the_places_becomes_the_places() -> None:
    """Every element is taken then, and chances fall with age no faster than that makes them."""
    elements, places, trials = 120, 20, 2000
    counts = np.zeros(elements)
    for seed in range(trials):
        counts[list(kept_elements(Uniform(places, 5.0), elements, seeded(seed)))] += 1

    age = np.arange(elements)[::-1]
    expected = trials * (1 - 1 / places) ** age
    later = np.arange(elements) >= places  # the first ones were put into free places
    assert abs(chi_square(counts[later], expected[later])) < 6


def kept_elements(sample: Uniform, elements: int, random: Random) -> set[int]:
    held: dict[int, int] = {}
    for element in range(elements):
        if (place := sample.choose(random)) is not None:
            sample.occupy(place)
            held[place] = element
    assert len(held) == sample.kept == sample.places
    return set(held.values())


@pytest.mark.parametrize("budget_mb", [1000.0, 0.148], ids=["unlimited", "thinned to a fifth"])
def test_every_moment_has_the_same_chance_to_be_judged(budget_mb: float) -> None:
    """Over all seeds: whatever part its block has, and whatever the write budget thins."""
    shape = SegmentFormat(channels=("x",), rate_hz=1, samples=60)
    blocks, per_block, places, trials = 24, 5, 6, 700
    counts, judged = np.zeros(blocks * per_block), 0
    samples = np.random.default_rng(0).standard_normal((60, 1)).astype(np.float32)
    for seed in range(trials):
        head = Head(shape=shape, places={"calibration": 1, "judging": places}, slots=9, seed=seed, since_s=0)
        sampler = Sampler(head, bytes_a_day=budget_mb * 1e6, horizon_days=1e6, now_s=0)
        assert (sampler.offered < 0.25) == (budget_mb < 1)
        held: dict[int, int] = {}
        for moment in range(len(counts)):
            if part_of(block := moment // per_block, seed) == "judging":
                label = sampler.decide(Stretch(moment * 60.0, block, samples), moment * 60.0)
                if label is not None:
                    held[label.place] = moment
        counts[list(held.values())] += 1
        judged += len(held)

    expected = np.full(len(counts), judged / len(counts))
    assert judged > 0.7 * trials * places
    assert abs(chi_square(counts, expected)) < 5


def test_every_start_draws_anew() -> None:
    """Though no stretch was taken since the last one: else what short runs refuse once they refuse for ever."""
    head = Head(shape=SHAPE, places={"calibration": 4, "judging": 4}, slots=12, seed=1, since_s=0)
    samples = np.random.default_rng(0).standard_normal((7, 1)).astype(np.float32)

    def taken(now_s: float) -> list[int]:
        sampler = Sampler(head, bytes_a_day=1e9, horizon_days=1e6, now_s=now_s)
        return [number for number in range(300) if sampler.decide(Stretch(number, number, samples), now_s)]

    assert taken(12.5) == taken(12.5)
    assert len({tuple(taken(start)) for start in (12.5, 12.75, 90.0)}) == 3


def test_a_thinned_sample_stays_within_its_bucket() -> None:
    """Over days of a stream that would write a hundred times the budget; the bucket is there for bad luck only."""
    places, stretches_a_day, writes_a_day = 300, 200_000, 400.0
    share = thinning(places, stretches_a_day, writes_a_day)
    random, sample, bucket = seeded(5), Uniform(places, math.inf), Bucket(writes_a_day, 0.0)
    refused, written, days = 0, Counter[int](), 4
    for number in range(days * stretches_a_day):
        if random.random() < share and (place := sample.choose(random)) is not None:
            if bucket.take(1, now := number / stretches_a_day * 86_400):
                sample.occupy(place)
                written[int(now // 3600)] += 1
            else:
                refused += 1

    total = sum(written.values())
    assert sample.kept == places
    assert refused <= 0.02 * total
    hours = [written[hour] for hour in range(days * 24)]
    assert max(sum(hours[start : start + 24]) for start in range(len(hours) - 23)) <= writes_a_day


def test_nothing_is_thinned_where_the_budget_is_ample() -> None:
    assert thinning(450, 86_400 / 4, 40_000) == 1.0


@given(st.lists(st.tuples(st.floats(0, 5000), st.integers(0, 500)), max_size=200))
def test_no_day_sees_more_than_the_budget(asked: list[tuple[float, int]]) -> None:
    bucket, now, taken = Bucket(1000.0, 0.0), 0.0, []
    for wait, size in asked:
        now += wait
        if bucket.take(size, now):
            taken.append((now, size))

    for start, _ in taken:
        assert sum(size for at, size in taken if start <= at < start + 86_400) <= 1000.001
