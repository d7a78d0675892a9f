"""The few bins of a tensor that a report carries: every value is in one, and what int8 loses of them is foreseen."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.backends import Range
from edge_agent.calibration.histogram import Histogram
from edge_agent.calibration.summary import columns, expected_sqnr_db, summary, worst
from edge_agent.jobs.value_histogram import MAX_BINS


def seen(values: Any) -> Histogram:
    histogram = Histogram()
    histogram.add(np.asarray(values, np.float32))
    return histogram


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60).filter(any))
def test_the_columns_of_a_histogram_hold_every_value(values: list[float]) -> None:
    histogram = seen(values)

    found = columns(histogram, histogram.low, histogram.high, 96)

    assert found.sum() == pytest.approx(sum(value != 0 for value in np.asarray(values, np.float32)))
    assert (found >= 0).all()


def test_columns_are_where_the_values_are() -> None:
    found = columns(seen([*[1.0] * 30, *[9.0] * 10, 0.0, 10.0]), 0.0, 10.0, 10)

    assert found[:2].sum() == pytest.approx(30)
    assert found[8:].sum() == pytest.approx(11)


def test_the_expected_sqnr_is_what_rounding_costs() -> None:
    values = np.random.default_rng(1).uniform(-1, 1, 50_000)
    step = 2 / 255
    rounded = np.round(values / step) * step

    expected = expected_sqnr_db(seen(values).cells(), Range(-1.0, 1.0))

    assert expected == pytest.approx(10 * np.log10(np.mean(values**2) / np.mean((values - rounded) ** 2)), abs=0.2)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60).filter(any),
    st.floats(-1e6, 0, width=32),
    st.floats(0.0625, 1e6, width=32),
)
def test_a_summary_is_small_survives_json_and_covers_values_and_range(
    values: list[float], low: float, high: float
) -> None:
    told = summary(seen(values), Range(low, high))

    assert told is not None
    assert msgspec.json.decode(msgspec.json.encode(told), type=type(told)) == told
    assert len(told.counts) == MAX_BINS
    assert any(told.counts)
    end = told.low + told.width * MAX_BINS
    assert told.low == min(told.smallest, low)
    assert end == pytest.approx(max(told.largest, high))
    assert 0 <= told.zeros < 1


def test_a_single_value_far_out_stays_in_its_bin() -> None:
    told = summary(seen([*np.linspace(-1, 1, 5000), 100.0]), Range(-1.0, 1.0))

    assert told is not None
    assert told.counts[-1] == 1
    assert told.range_high == 1.0


def test_a_tensor_of_zeros_has_no_summary() -> None:
    assert summary(seen([0.0, 0.0]), Range(-1.0, 1.0)) is None
    assert summary(Histogram(), Range(-1.0, 1.0)) is None


def test_the_tensors_that_lose_most_come_first() -> None:
    histograms = {"fine": seen(np.linspace(-1, 1, 500)), "cut": seen(np.linspace(-9, 9, 500)), "none": Histogram()}
    ranges = dict.fromkeys(histograms, Range(-1.0, 1.0))

    assert list(worst(histograms, ranges)) == ["cut", "fine"]
    assert list(worst(histograms, {"fine": Range(-1, 1)})) == ["fine"]
