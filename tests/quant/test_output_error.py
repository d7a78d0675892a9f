import numpy as np
import pytest

from edge_agent.quant.grouped_metrics import GroupedMetrics
from edge_agent.quant.output_error import OutputError
from edge_agent.quant.scale_groups import ChannelScales

BOXES = np.random.default_rng(0).uniform(5, 300, (4, 50))
SCORES = np.random.default_rng(1).uniform(0, 1, (8, 50))
HEAD = np.vstack([BOXES, SCORES])
DEAD = np.vstack([BOXES, np.zeros((8, 50))])


def test_a_lost_group_is_all_of_its_signal_however_small_it_is() -> None:
    error = OutputError()
    error.observe(HEAD)
    lost = error.fresh()

    lost.add(HEAD, DEAD)

    assert lost.relative == pytest.approx(1.0)
    assert error.fresh().relative == 0.0


@pytest.mark.parametrize("output", [np.zeros(3), np.full(HEAD.shape, np.nan)])
def test_what_cannot_be_compared_is_all_noise(output: np.ndarray) -> None:
    error = OutputError()
    error.observe(HEAD)

    error.add(HEAD, output)

    assert error.relative == pytest.approx(2.0)


def test_the_worst_group_counts() -> None:
    scales = ChannelScales()
    scales.add(HEAD)
    metrics = GroupedMetrics(scales.groups)

    metrics.add(HEAD, DEAD)

    assert metrics.sqnr_db == pytest.approx(0.0)
    assert metrics.worst == "4-11"
    assert (metrics.whole.sqnr_db or 0.0) > 40
    assert GroupedMetrics().sqnr_db is None
