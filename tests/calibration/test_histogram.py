import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edge_agent.calibration.histogram import Histogram
from edge_agent.errors import Refusal

FloatArray = NDArray[np.float32]

ANY_FLOAT = st.floats(width=32, allow_nan=False, allow_infinity=False)
USUAL = st.floats(-50, 50, width=32)
ARRAYS = st.lists(
    hnp.arrays(np.float32, st.integers(1, 40), elements=st.one_of(ANY_FLOAT, USUAL, st.just(0.0))),
    min_size=1,
    max_size=8,
)


def fill(*arrays: FloatArray, bins: int = 64) -> Histogram:
    histogram = Histogram(bins)
    for array in arrays:
        histogram.add(array)
    return histogram


def state(histogram: Histogram) -> dict[str, list[float]]:
    return {key: array.tolist() for key, array in histogram.to_arrays().items()}


@settings(deadline=None, max_examples=300)
@given(ARRAYS, st.randoms(use_true_random=False))
def test_neither_order_nor_batches_change_a_bit(arrays: list[FloatArray], random: st.DataObject) -> None:
    shuffled = list(np.concatenate(arrays))
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert state(fill(*arrays)) == state(fill(*arrays[::-1])) == state(fill(np.array(shuffled, np.float32)))


@settings(deadline=None, max_examples=300)
@given(ARRAYS)
def test_growing_gives_the_counts_of_the_final_width(arrays: list[FloatArray]) -> None:
    values = np.concatenate(arrays).astype(np.float64)

    grown = fill(*arrays)

    nonzero = values[values != 0]
    bins, counts = np.unique(np.floor(nonzero / grown.width), return_counts=True)
    cells = grown.cells()
    assert cells.counts.tolist() == counts.tolist()
    assert np.floor(cells.low / grown.width).tolist() == bins.tolist()


@settings(deadline=None)
@given(ARRAYS)
def test_every_value_is_counted_once_and_extremes_are_exact(arrays: list[FloatArray]) -> None:
    values = np.concatenate(arrays)

    histogram = fill(*arrays)

    assert histogram.total == values.size == histogram.zeros + histogram.cells().counts.sum()
    assert histogram.zeros == np.sum(values == 0)
    assert (histogram.low, histogram.high) == (values.min(), values.max())
    assert len(histogram.to_arrays()["counts"]) <= 64


@settings(deadline=None)
@given(ARRAYS)
def test_cells_ascend_hold_only_seen_ground_and_do_not_overlap(arrays: list[FloatArray]) -> None:
    histogram = fill(*arrays)
    cells = histogram.cells()

    assert np.all(cells.low <= cells.high)
    assert np.all(cells.high[:-1] <= cells.low[1:])
    assert np.all(cells.low >= histogram.low)
    assert np.all(cells.high <= histogram.high)


def test_bins_are_used_well() -> None:
    histogram = fill(np.random.default_rng(0).uniform(-3, 8, 10_000).astype(np.float32), bins=2048)

    assert 1024 <= histogram.bins_used(histogram.low, histogram.high) <= 2048


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_and_nothing_counted(bad: float) -> None:
    histogram = fill(np.ones(3, np.float32))

    with pytest.raises(Refusal) as refusal:
        histogram.add(np.array([5.0, bad], np.float32))

    assert refusal.value.code == "non_finite"
    assert (histogram.total, histogram.high) == (3, 1.0)


def test_a_double_too_large_for_float32_is_refused() -> None:
    with pytest.raises(Refusal):
        Histogram().add(np.array([1e300]))


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int8, np.uint16, np.int64, np.bool_])
def test_other_types_and_layouts_count_as_their_float32_values(dtype: type) -> None:
    values = (np.random.default_rng(1).uniform(0, 100, (30, 40, 5))).astype(dtype)[::2, :, ::-1].swapaxes(0, 2)

    assert state(fill(values)) == state(fill(np.ascontiguousarray(values).astype(np.float32)))


def test_an_empty_array_changes_nothing() -> None:
    assert Histogram().total == 0
    assert state(fill(np.empty((0, 3), np.float32))) == state(Histogram(64))


def test_a_second_pass_splits_the_bins_it_looks_into_and_no_others() -> None:
    values = np.random.default_rng(2).normal(0, 0.05, 5000).astype(np.float32)
    values[7] = 100.0
    histogram = fill(values, bins=2048)
    coarse = histogram.bins_used(-0.2, 0.2)

    histogram.focus(-0.2, 0.2)
    histogram.finest.add(values)

    cells = histogram.cells()
    assert coarse < 10
    assert histogram.bins_used(-0.2, 0.2) > 1000
    assert cells.counts.sum() + histogram.zeros == 5000
    assert cells.counts[-1] == 1
    assert cells.high[-1] == 100.0


def test_focus_goes_deeper_with_every_pass() -> None:
    values = np.array([1e-3, 2e-3, 3e-3, 50.0, 1e9], np.float32)
    histogram = fill(values, bins=64)

    passes = 0
    while histogram.bins_used(0.0, 0.003) < 16 and histogram.can_focus(0.0, 0.003):
        histogram.focus(0.0, 0.003)
        histogram.finest.add(values)
        passes += 1

    assert 1 < passes < 10
    assert histogram.bins_used(0.0, 0.003) >= 16
    assert histogram.cells().counts.tolist() == [1, 1, 1, 1, 1]


def test_no_finer_bins_than_float32_has_values() -> None:
    histogram = fill(np.array([1e6, 1e6 + 0.0625], np.float32), bins=2048)

    assert not histogram.can_focus(1e6, 1e6 + 0.0625)


@settings(deadline=None)
@given(ARRAYS)
def test_arrays_give_back_the_histogram(arrays: list[FloatArray]) -> None:
    histogram = fill(*arrays)
    histogram.focus(histogram.low / 8, histogram.high / 8)
    for array in arrays:
        histogram.finest.add(array)

    again = Histogram.from_arrays(histogram.to_arrays())

    assert state(again) == state(histogram)
    assert again.cells().counts.tolist() == histogram.cells().counts.tolist()


def test_scratch_does_not_grow_with_the_array() -> None:
    array = np.random.default_rng(0).normal(size=1_000_000).astype(np.float32)
    histogram = fill(array[:100_000], bins=2048)

    tracemalloc.start()
    histogram.add(array)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 1_000_000
