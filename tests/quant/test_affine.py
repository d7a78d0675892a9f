import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edge_agent.quant.affine import GridType, dequantize, fake_quantize, params, quantize
from edge_agent.quant.metrics import ErrorMetrics

ENDS = st.floats(-1e6, 1e6, width=32)
GRIDS = st.tuples(ENDS, ENDS, st.booleans(), st.sampled_from(["int8", "uint8"]))


@settings(deadline=None)
@given(GRIDS)
def test_zero_is_exact_and_the_grid_lies_in_its_type(case: tuple[float, float, bool, GridType]) -> None:
    low, high, symmetric, dtype = case

    grid = params(min(low, high), max(low, high), symmetric=symmetric, dtype=dtype)

    assert float(fake_quantize(0.0, grid)) == 0.0
    assert grid.qmin <= int(grid.zero_point) <= grid.qmax
    assert float(grid.scale) > 0
    assert quantize([-np.inf, np.inf, 3e38], grid).tolist() == [grid.qmin, grid.qmax, grid.qmax]
    assert grid.dtype == np.dtype(dtype)


@settings(deadline=None)
@given(GRIDS, hnp.arrays(np.float64, 20, elements=st.floats(0, 1)))
def test_what_the_range_covers_is_off_by_at_most_one_step(
    case: tuple[float, float, bool, GridType], places: NDArray[np.float64]
) -> None:
    low, high = sorted((min(*case[:2], 0.0), max(*case[:2], 0.0)))
    grid = params(low, high, symmetric=case[2], dtype=case[3])

    values = (low + (high - low) * places).astype(np.float32)

    # Half a step by rounding, and at the ends half a step more, by which the zero point moved the grid.
    assert np.all(np.abs(fake_quantize(values, grid) - values) <= float(grid.scale) * 1.001 + 1e-12)


@settings(deadline=None)
@given(GRIDS)
def test_integers_survive_the_way_there_and_back(case: tuple[float, float, bool, GridType]) -> None:
    grid = params(min(case[:2]), max(case[:2]), symmetric=case[2], dtype=case[3])
    integers = np.arange(grid.qmin, grid.qmax + 1).astype(grid.dtype)

    assert np.array_equal(quantize(dequantize(integers, grid), grid), integers)


def test_symmetric_int8_leaves_out_minus_128() -> None:
    grid = params(-1.0, 0.5, symmetric=True)

    assert (grid.qmin, grid.qmax, int(grid.zero_point)) == (-127, 127, 0)
    assert float(grid.scale) == np.float32(1 / 127)


def test_symmetric_uint8_has_its_zero_at_128() -> None:
    grid = params(-1.0, 1.0, symmetric=True, dtype="uint8")

    assert quantize([-1.0, 0.0, 1.0], grid).tolist() == [1, 128, 255]


def test_halves_round_to_even() -> None:
    grid = params(-128.0, 127.0)

    assert quantize([0.5, 1.5, 2.5, -0.5], grid).tolist() == [0, 2, 2, 0]


def test_one_grid_a_channel_follows_each_channel() -> None:
    weights = np.array([[1.0, -2.0], [0.01, 0.02], [0.0, 0.0]], np.float32)
    largest = np.abs(weights).max(axis=1, keepdims=True)

    grid = params(-largest, largest, symmetric=True)

    assert grid.scale.shape == (3, 1)
    assert np.allclose(fake_quantize(weights, grid), weights, rtol=0.01)


def test_metrics_over_blocks_and_samples_are_those_of_the_whole() -> None:
    random = np.random.default_rng(0)
    reference = random.normal(size=(3, 100_000)).astype(np.float32)
    target = reference + random.normal(0, 0.01, reference.shape).astype(np.float32)
    metrics = ErrorMetrics()

    for wanted, got in zip(reference, target, strict=True):
        metrics.add(wanted.reshape(100, 1000), got.reshape(100, 1000))

    r, t = reference.astype(np.float64).ravel(), target.astype(np.float64).ravel()
    assert metrics.sqnr_db == pytest.approx(10 * math.log10((r @ r) / ((t - r) @ (t - r))))
    assert metrics.sqnr_db == pytest.approx(40, abs=0.1)
    assert metrics.cosine == pytest.approx((r @ t) / np.linalg.norm(r) / np.linalg.norm(t))
    assert metrics.max_abs_error == np.abs(t - r).max()


@pytest.mark.parametrize(
    ("reference", "target", "expected"),
    [
        ([], [], (None, None, None)),
        ([1.0, 2.0], [1.0, 2.0], (math.inf, 1.0, 0.0)),
        ([0.0, 0.0], [0.0, 0.0], (math.inf, None, 0.0)),
        ([0.0, 0.0], [0.0, 1.0], (-math.inf, None, 1.0)),
        ([1.0, 2.0], [1.0, math.nan], (-math.inf, None, math.inf)),
        ([1.0, 2.0], [1.0, math.inf], (-math.inf, None, math.inf)),
    ],
)
def test_metrics_at_their_ends(
    reference: list[float], target: list[float], expected: tuple[float | None, float | None, float | None]
) -> None:
    metrics = ErrorMetrics()

    metrics.add(reference, target)

    assert (metrics.sqnr_db, metrics.max_abs_error) == (expected[0], expected[2])
    assert metrics.cosine == (None if expected[1] is None else pytest.approx(expected[1]))


def test_shapes_that_differ_are_our_own_bug() -> None:
    with pytest.raises(ValueError, match="shape"):
        ErrorMetrics().add(np.ones((2, 3)), np.ones((3, 2)))
