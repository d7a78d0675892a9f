import numpy as np
import pytest
from numpy.typing import NDArray

from edge_agent.backends import Range
from edge_agent.calibration.histogram import Histogram
from edge_agent.calibration.mse import expected_error
from edge_agent.calibration.observer import Observer
from edge_agent.calibration.sampling import SMALL, Sampler, common

Windows = list[NDArray[np.float32]]
ONE_IN = 32
SIZE = 2 * SMALL


def normal(random: np.random.Generator) -> NDArray[np.float64]:
    return random.normal(size=SIZE)


def heavy(random: np.random.Generator) -> NDArray[np.float64]:
    return random.laplace(size=SIZE) ** 3


def rectified(random: np.random.Generator) -> NDArray[np.float64]:
    return np.maximum(random.normal(size=SIZE) - 1, 0)


def clustered(random: np.random.Generator) -> NDArray[np.float64]:
    """One place in the picture is far brighter than all others: neighbours are rare together."""
    values = random.normal(size=SIZE)
    start = int(random.integers(SIZE - 64))
    values[start : start + 64] *= 20
    return values


def periodic(random: np.random.Generator) -> NDArray[np.float64]:
    """What a stride of 32 runs of 16 would fall in step with."""
    return np.sin(2 * np.pi * np.arange(SIZE) / (16 * ONE_IN)) * 3 + random.normal(size=SIZE) * 0.1


KINDS = [normal, heavy, rectified, clustered, periodic]


def windows(kind: object, count: int = 12) -> Windows:
    random = np.random.default_rng(7)
    return [kind(random).astype(np.float32) for _ in range(count)]  # type: ignore[operator]


def observed(samples: Windows, one_in: int) -> Observer:
    observer = Observer(["x"], one_in)
    for sample in samples:
        observer.add("x", sample.reshape(1, -1, 64))
    return observer


def loss_db(histogram: Histogram, chosen: Range, best: Range) -> float:
    error, least = (expected_error(histogram.cells(), one.low, one.high, 255) for one in (chosen, best))
    return float(10 * np.log10(error / least))


@pytest.mark.parametrize("kind", KINDS)
def test_ranges_from_a_sample_lose_no_more_than_a_third_of_a_decibel(kind: object) -> None:
    observers = [observed(windows(kind), one_in) for one_in in (1, ONE_IN)]
    every, some = (one.histograms["x"] for one in observers)

    for method in ("minmax", "percentile", "mse"):  # entropy weighs errors otherwise
        best, chosen = (one.ranges(["x"], [method], symmetric=False)[method]["x"] for one in observers)
        assert loss_db(every, chosen, best) < 0.3, method
    assert (some.low, some.high) == (every.low, every.high)
    assert some.total == pytest.approx(every.total, rel=0.02)
    assert some.zeros == pytest.approx(every.zeros, rel=0.02)


def test_far_fewer_values_are_counted_and_all_of_the_rare_ones() -> None:
    samples = windows(clustered)
    sampler, seen = Sampler("x", ONE_IN), Histogram()
    for sample in samples[:-1]:
        seen.add(sample, sampler.draw(sample, seen))
    low, high = common(seen)

    *parts, (some, often) = sampler.draw(samples[-1], seen)

    assert (often, {once for _, once in parts}) == (ONE_IN, {1})
    rare = np.concatenate([part for part, _ in parts])
    assert low < -2
    assert high > 2
    assert len(rare) + len(some) < SIZE / 16
    assert set(samples[-1][np.abs(samples[-1]) > 10].tolist()) <= set(rare.tolist())


def test_every_value_is_as_likely_to_be_drawn_as_any_other() -> None:
    values = np.linspace(-1, 1, SIZE + 16 * 5 + 3, dtype=np.float32)  # neither runs nor stretches come out even
    hits = np.zeros(values.size)
    for name in range(300):
        sampler, seen = Sampler(str(name), ONE_IN), Histogram()
        for _ in range(4):
            list(sampler.draw(values, seen))
        seen.add(values * 2)  # so that nothing is rare
        *rare, (some, _) = sampler.draw(values, seen)
        assert not any(part.size for part, _ in rare)
        hits[np.searchsorted(values, some.reshape(-1))] += 1

    inner = hits[16 * ONE_IN : -16 * ONE_IN]  # at the ends, where the first run lies decides
    assert inner.mean() == pytest.approx(300 / ONE_IN, rel=0.02)
    assert (inner == 0).mean() < 0.001  # e ** -9.4 by chance; a stride would leave out nearly all
    assert inner.max() < 40


def test_what_is_drawn_depends_on_the_tensor_alone() -> None:
    samples = windows(heavy, 9)
    together, alone = Observer(["a", "b", "c"], ONE_IN), Observer(["b"], ONE_IN)
    for sample in samples:
        for name in ("a", "b", "c"):
            together.add(name, sample)
    for sample in samples:
        alone.add("b", sample)

    found, expected = together.histograms["b"].to_arrays(), alone.histograms["b"].to_arrays()
    assert all(np.array_equal(found[key], expected[key]) for key in expected)
    assert not np.array_equal(found["counts"], together.histograms["a"].to_arrays()["counts"])


def test_a_second_pass_is_sampled_alike() -> None:
    samples = windows(normal, 12)
    samples[3][5] = 1000.0
    ranges = []
    for one_in in (1, ONE_IN):
        observer = Observer(["x"], one_in)
        for _ in range(2):
            for sample in samples:
                observer.add("x", sample)
            coarse = observer.too_coarse(observer.ranges(["x"], ["percentile"], symmetric=False))
            for name, wide in coarse.items():
                observer.second_pass(name, wide.low, wide.high)
        ranges.append(observer.ranges(["x"], ["percentile"], symmetric=False)["percentile"]["x"])

    assert ranges[1].high == pytest.approx(ranges[0].high, rel=0.05)
    assert ranges[0].high < 10
