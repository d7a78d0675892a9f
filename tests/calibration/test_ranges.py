import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edge_agent.backends import Range
from edge_agent.calibration import METHODS, find_range
from edge_agent.calibration.histogram import Histogram
from edge_agent.calibration.mse import expected_error
from edge_agent.calibration.observer import FEWEST_BINS, Observer
from edge_agent.errors import RecipeError, StageError
from edge_agent.quant.affine import fake_quantize, params

RANDOM = np.random.default_rng(0)
SHAPES = {
    "normal": RANDOM.normal(size=40_000),
    "relu": np.maximum(RANDOM.normal(size=40_000), 0),
    "laplace": RANDOM.laplace(size=40_000),
    "heavy tails": RANDOM.standard_t(3, size=40_000),
    "skewed": np.where(RANDOM.random(40_000) < 0.9, RANDOM.normal(size=40_000), RANDOM.gamma(2, 5, 40_000)),
    "negative": -np.abs(RANDOM.normal(size=40_000)),
    "far from zero": RANDOM.normal(size=40_000) + 100,
}


def seen(values: NDArray[np.floating]) -> Histogram:
    histogram = Histogram()
    histogram.add(values.astype(np.float32))
    return histogram


def loss(values: NDArray[np.floating], chosen: Range, *, symmetric: bool) -> float:
    """Mean squared error of the real quantizer with this range."""
    grid = params(chosen.low, chosen.high, symmetric=symmetric)
    return float(np.mean(np.square(values - fake_quantize(values, grid))))


@settings(deadline=None, max_examples=150)
@given(
    values=hnp.arrays(
        np.float32, st.integers(1, 30), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
    ),
    method=st.sampled_from(sorted(METHODS)),
    symmetric=st.booleans(),
)
def test_every_range_is_finite_around_zero_and_within_what_was_seen(
    values: NDArray[np.float32], method: str, *, symmetric: bool
) -> None:
    chosen = find_range(method, seen(values), symmetric=symmetric)

    widest = find_range("minmax", seen(values), symmetric=symmetric)
    assert widest.low <= chosen.low <= 0 <= chosen.high <= widest.high
    assert chosen.high > chosen.low
    assert float(params(chosen.low, chosen.high, symmetric=symmetric).scale) > 0
    assert not symmetric or chosen.low == -chosen.high


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("symmetric", [False, True])
def test_a_constant_zero_gets_a_tiny_valid_range(method: str, *, symmetric: bool) -> None:
    chosen = find_range(method, seen(np.zeros(100)), symmetric=symmetric)

    assert 0 < chosen.high - chosen.low < 0.01


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_is_kept(method: str) -> None:
    assert find_range(method, seen(np.full(100, 3.0)), symmetric=False) == Range(0.0, 3.0)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("symmetric", [False, True])
def test_mse_loses_no_more_than_the_best_of_a_fine_grid(name: str, *, symmetric: bool) -> None:
    values = SHAPES[name]
    whole = find_range("minmax", seen(values), symmetric=symmetric)
    shares = np.linspace(0.1, 1.0, 46 if symmetric else 16)
    ends = [(share, share) for share in shares] if symmetric else [(low, high) for low in shares for high in shares]

    chosen = find_range("mse", seen(values), symmetric=symmetric)

    best = min(loss(values, Range(whole.low * low, whole.high * high), symmetric=symmetric) for low, high in ends)
    assert loss(values, chosen, symmetric=symmetric) <= best * 1.02


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("share", [1.0, 0.5, 0.1])
def test_the_expected_error_is_the_error_of_the_real_quantizer(name: str, share: float) -> None:
    values, histogram = SHAPES[name], seen(SHAPES[name])
    whole = find_range("minmax", histogram, symmetric=False)
    low, high = whole.low * share, whole.high * share

    expected = expected_error(histogram.cells(), low, high, 255) / values.size

    assert expected == pytest.approx(loss(values, Range(low, high), symmetric=False), rel=0.03)


def test_fewer_levels_make_a_narrower_range() -> None:
    histogram = seen(SHAPES["laplace"])

    assert (
        find_range("mse", histogram, symmetric=True, levels=16).high
        < find_range("mse", histogram, symmetric=True).high * 0.8
    )


@pytest.mark.parametrize("name", SHAPES)
def test_percentile_cuts_no_more_than_its_share_and_not_much_less(name: str) -> None:
    values, histogram = SHAPES[name].astype(np.float32), seen(SHAPES[name])
    carrying = values[values != 0]

    for symmetric, measured in ((False, carrying), (True, np.abs(carrying))):
        chosen = find_range("percentile", histogram, symmetric=symmetric)

        exact = max(float(np.percentile(measured, 99.99, method="inverted_cdf")), 0.0)
        assert exact <= chosen.high <= exact + histogram.width


def test_zeros_do_not_make_percentile_clip_what_is_left() -> None:
    sparse = np.zeros(1_000_000)
    sparse[:50] = np.linspace(1, 2, 50)

    assert find_range("percentile", seen(sparse), symmetric=False) == Range(0.0, 2.0)


def test_an_unknown_method_names_the_known_ones() -> None:
    with pytest.raises(RecipeError, match=r"sharpest.*minmax, percentile, mse, entropy") as error:
        find_range("sharpest", seen(np.ones(3)), symmetric=False)
    assert error.value.code == "recipe_unsupported"


def test_a_tensor_never_seen_is_an_error_not_a_placeholder() -> None:
    with pytest.raises(StageError, match="no range"):
        find_range("minmax", Histogram(), symmetric=False)


def test_a_spike_asks_for_a_second_pass_which_finds_the_true_percentile() -> None:
    samples = [RANDOM.normal(0, 0.05, 1000).astype(np.float32) for _ in range(30)]
    samples[3][5] = 100.0
    observer = Observer(["spiked", "plain"])
    for sample in samples:
        observer.add("spiked", sample)
        observer.add("plain", np.minimum(sample, 1))

    coarse = observer.too_coarse(observer.ranges(["spiked", "plain"], METHODS, symmetric=False))
    for name, wide in coarse.items():
        observer.second_pass(name, wide.low, wide.high)
        for sample in samples:
            observer.add(name, sample)

    chosen = find_range("percentile", observer.histograms["spiked"], symmetric=False)
    exact = np.percentile(np.concatenate(samples), 99.99, method="inverted_cdf")
    assert list(coarse) == ["spiked"]
    assert chosen.high == pytest.approx(exact, rel=0.01)
    assert observer.histograms["spiked"].bins_used(chosen.low, chosen.high) >= FEWEST_BINS
    assert not observer.too_coarse(observer.ranges(["spiked", "plain"], METHODS, symmetric=False))


def test_constants_and_float32_neighbours_need_no_second_pass() -> None:
    observer = Observer(["one", "far"])
    observer.add("one", np.ones(10, np.float32))
    observer.add("far", np.array([1e6, 1e6 + 0.0625], np.float32))

    assert not observer.too_coarse(observer.ranges(["one", "far"], METHODS, symmetric=False))


@pytest.mark.parametrize("size", [1, 100_000])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_tensor_that_is_not_finite_has_no_range_and_says_so(size: int, bad: float) -> None:
    observer = Observer(["conv1", "conv2"])
    observer.add("conv1", np.append(np.zeros(size, np.float32), np.float32(bad)))
    observer.add("conv2", np.array([1.0], np.float32))
    observer.add("conv1", np.array([1.0], np.float32))

    assert observer.unfit() == {"conv1": "infinite values or NaN"}
    assert list(observer.histograms) == ["conv2"]
    assert list(observer.ranges(["conv1", "conv2"], ["minmax"], symmetric=False)["minmax"]) == ["conv2"]


@pytest.mark.parametrize("size", [1, 700, 8191, 8192, 40_000])
def test_small_tensors_that_are_counted_together_are_counted_alike(size: int) -> None:
    samples = [RANDOM.normal(size=(1, size)).astype(np.float32) for _ in range(9)]
    observer, alone = Observer(["x"]), Histogram()
    reused = np.empty((1, size), np.float32)

    for sample in samples:
        reused[:] = sample  # as a runtime may do with its output
        observer.add("x", reused)
        alone.add(sample)

    found, expected = observer.histograms["x"].to_arrays(), alone.to_arrays()
    assert all(np.array_equal(found[key], expected[key]) for key in expected)


def test_what_waits_to_be_counted_takes_a_fixed_room() -> None:
    names = [str(number) for number in range(400)]
    tracemalloc.start()
    observer = Observer(names)
    before = tracemalloc.get_traced_memory()[0]
    peaks = []
    for windows in (20, 200):
        for _ in range(windows):
            for name in names:
                observer.add(name, np.ones(1, np.float32))
        peaks.append(tracemalloc.get_traced_memory()[0] - before)
    tracemalloc.stop()

    assert max(peaks) < 4.5 * 2**20
    assert all(one.total == 220 for one in observer.histograms.values())
