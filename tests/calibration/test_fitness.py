"""Which tensors no int8 grid can stand for."""

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_agent.calibration.fitness import why_unfit
from edge_agent.calibration.histogram import Histogram

RANDOM = np.random.default_rng(0)
SCORES = RANDOM.normal(0, 3, 4000).astype(np.float32)
LOWEST = float(np.finfo(np.float32).min)


def masked(value: float, share: float = 0.4) -> NDArray[np.float32]:
    """Attention scores of which a part is masked."""
    return np.where(RANDOM.random(SCORES.size) < share, np.float32(value), SCORES).astype(np.float32)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        pytest.param(np.zeros(0, np.float32), "no elements", id="empty"),
        pytest.param(masked(-1e4), "near -1e+04 or below 1", id="masked"),
        pytest.param(masked(-1e4) + 5 * SCORES, "no steps", id="large-scores-added-to-a-mask"),
        pytest.param(masked(-1e9) + SCORES, "near -1e+09 or below", id="scores-added-to-a-mask"),
        pytest.param(masked(LOWEST), "near -3.403e+38", id="lowest-float"),
        pytest.param(np.float32([LOWEST, -LOWEST, 1]), "too far apart", id="both-ends"),
    ],
)
def test_is_said_of_what_no_grid_can_stand_for(values: NDArray[np.float32], says: str) -> None:
    histogram = Histogram()
    histogram.add(values)

    assert says in why_unfit(histogram)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(SCORES, id="plain"),
        pytest.param(np.maximum(SCORES, 0), id="after-relu"),
        pytest.param(np.zeros(10, np.float32), id="zeros"),
        pytest.param(np.where(SCORES > 0, np.float32(-1e9), np.float32(0)), id="the-mask-itself"),
        pytest.param(masked(-100), id="a-mask-that-leaves-steps"),
        pytest.param(masked(-1e4, share=0.002), id="outliers-that-a-range-may-cut-off"),
        pytest.param(masked(32767, share=0.03), id="a-sensor-at-its-rail"),
        pytest.param(RANDOM.standard_cauchy(4000).astype(np.float32), id="long-tails"),
        pytest.param(np.full(10, -7, np.float32), id="a-constant"),
    ],
)
def test_is_not_said_of_others(values: NDArray[np.float32]) -> None:
    histogram = Histogram()
    histogram.add(values)

    assert why_unfit(histogram) == ""
