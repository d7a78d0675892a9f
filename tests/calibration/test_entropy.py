"""The entropy range against the algorithm written down plainly, and against onnxruntime's."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from onnxruntime.quantization.calibrate import HistogramCollector

from edge_agent.calibration.entropy import find_range
from edge_agent.calibration.histogram import Histogram

RANDOM = np.random.default_rng(0)
SHAPES = {
    "normal": RANDOM.normal(size=60_000),
    "relu": np.maximum(RANDOM.normal(size=60_000), 0),
    "laplace": RANDOM.laplace(size=60_000),
    "heavy tails": RANDOM.standard_t(3, size=60_000),
    "negative": -np.abs(RANDOM.normal(size=60_000)),
    "few": RANDOM.normal(size=500),
}


def seen(values: NDArray[np.floating]) -> Histogram:
    histogram = Histogram()
    histogram.add(values.astype(np.float32))
    return histogram


def divergence(counts: list[int], begin: int, end: int, levels: int) -> float:
    """KL(P || Q) of the bins [begin, end), as the slides say it: bin by bin."""
    size = end - begin
    kept = counts[begin:end]
    p = list(kept)
    p[0] += sum(counts[:begin])
    p[-1] += sum(counts[end:])
    level_of = [index * levels // size for index in range(size)]
    q = [0.0] * size
    for level in set(level_of):
        bins = [index for index in range(size) if level_of[index] == level]
        held = [index for index in bins if p[index]]
        for index in held:
            q[index] = max(sum(kept[other] for other in bins), 1e-4) / len(held)
    if not sum(kept):
        return math.inf
    # Not Q's own sum, to which smoothing may have added, but that of what was kept.
    return sum(a / sum(p) * math.log((a / sum(p)) / (b / sum(kept))) for a, b in zip(p, q, strict=True) if a)


def plainly(values: NDArray[np.float32], width: float, levels: int, *, symmetric: bool) -> float:
    """The best threshold by brute force over equal bins of the values other than zero."""
    bins = np.floor(values[values != 0] / width).astype(int)
    below, above = max(-bins.min(), 0), max(bins.max() + 1, 0)
    if symmetric:
        below = above = max(below, above)
    counts = np.bincount(bins + below, minlength=below + above).tolist()
    most = max(below, above)
    fewest = max(levels // (2 if below and above else 1) - 1, 1)
    sizes = range(min(fewest, most), most + 1)
    found = [divergence(counts, below - min(size, below), below + min(size, above), levels) for size in sizes]
    return (min(fewest, most) + int(np.argmin(found))) * width


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("symmetric", [False, True])
def test_it_is_the_algorithm_written_down_plainly(name: str, *, symmetric: bool) -> None:
    values = SHAPES[name].astype(np.float32)[:4000]
    histogram = Histogram(bins=256)
    histogram.add(values)

    chosen = find_range(histogram, symmetric=symmetric, levels=32)

    expected = plainly(values, histogram.width, 31 if symmetric else 32, symmetric=symmetric)
    bound = max(abs(float(values.min())), float(values.max()))
    assert max(-chosen.low, chosen.high) == pytest.approx(min(expected, bound), rel=1e-12)


@pytest.mark.parametrize("name", ["normal", "laplace", "heavy tails"])
def test_onnxruntimes_own_search_over_the_same_bins_ends_at_the_same_range(name: str) -> None:
    # Over 2 k + 1 bins around zero it leaves the remainder to the last level, and it rounds counts down.
    values = SHAPES[name].astype(np.float32)
    histogram = seen(values)
    width = histogram.width
    half = math.ceil(max(-float(values.min()), float(values.max())) / width)
    edges = (np.arange(2 * half + 2) - half - 0.5) * width
    counts = np.histogram(values, bins=edges)[0]

    histogram_of_theirs = (counts, edges, edges[0], edges[-1])

    low, high = HistogramCollector.get_entropy_threshold(None, histogram_of_theirs, 256)[:2]  # no use of self

    ours = find_range(histogram, symmetric=True)
    assert ours.high == pytest.approx((float(high) - float(low)) / 2, rel=0.05)


def test_a_far_spike_is_cut_off_however_far_it_is() -> None:
    values = np.append(RANDOM.normal(0, 0.05, 30_000), 100.0)
    histogram = seen(values)

    first = find_range(histogram, symmetric=False)
    histogram.focus(first.low, first.high)
    histogram.finest.add(values.astype(np.float32))
    second = find_range(histogram, symmetric=False)

    assert first.high < 100 / 4
    assert 0.15 < second.high < 0.3
    assert -0.3 < second.low < -0.15


def test_what_is_spread_evenly_is_kept_whole() -> None:
    values = RANDOM.uniform(-1, 1, 200_000)

    chosen = find_range(seen(values), symmetric=False)

    assert (chosen.low, chosen.high) == pytest.approx((-1, 1), abs=1e-4)


def test_a_relu_is_ranged_by_what_it_lets_through() -> None:
    dense, sparse = np.abs(RANDOM.normal(size=20_000)), np.zeros(2_000_000)
    sparse[:20_000] = dense

    assert find_range(seen(sparse), symmetric=False) == find_range(seen(dense), symmetric=False)


@pytest.mark.parametrize(("low", "high"), [(-4.3540204e-37, 1.0), (1e6, 1e6 + 0.0625)])
def test_narrow_cells_ask_for_no_more_bins_than_there_are(low: float, high: float) -> None:
    chosen = find_range(seen(np.array([low, high])), symmetric=False)

    assert chosen.high == high
