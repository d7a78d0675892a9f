"""The time that a layer costs if it stays float: what exceeds the noise, and nothing else."""

import pytest

from edge_agent.worker.measure.comparison import Screened
from edge_agent.worker.measure.latency import Percentiles


def screened(*p50s_ms: float) -> Screened:
    return Screened(Percentiles(p50s_ms[0], p50s_ms[0], p50s_ms[0]), p50s_ms)


@pytest.mark.parametrize(
    ("layer", "cost_ms"),
    [
        (screened(0.050, 0.052, 0.051), 0.0105),  # dearer in every process
        (screened(0.030, 0.031, 0.029), -0.0105),  # cheaper in every process
        (screened(0.03977, 0.0398, 0.0399), 0.0),  # below the difference of the two copies
        (screened(0.050, 0.030, 0.051), 0.0),  # dearer in some, cheaper in others
        (screened(0.0403, 0.0403, 0.0403), 0.0),
    ],
)
def test_a_cost_within_the_noise_is_zero(layer: Screened, cost_ms: float) -> None:
    one, twin = screened(0.040, 0.041, 0.0400), screened(0.041, 0.0405, 0.0405)

    assert layer.cost_ms(one, twin) == pytest.approx(cost_ms, abs=5e-4)
    assert (layer.cost_ms(one, twin) == 0.0) is (cost_ms == 0.0)


def test_a_single_process_has_the_noise_of_its_two_copies() -> None:
    assert screened(0.0452).cost_ms(screened(0.040), screened(0.0405)) == pytest.approx(0.00495)
    assert screened(0.0406).cost_ms(screened(0.040), screened(0.0405)) == 0.0
