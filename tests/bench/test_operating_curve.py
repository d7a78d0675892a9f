"""What the page says of the latency gate holds, of a few hundred simulated comparisons."""

from functools import partial

import pytest
from bench.operating_curve import shares

from edge_agent.quant.limits import latency_limit
from edge_agent.wire.manifest import Gates
from edge_agent.worker.measure.latency import judge


@pytest.mark.parametrize(
    ("true", "gates", "accepted", "refused"),
    [
        (1.0, Gates(), (94, 100), (0, 1)),
        (1.05, Gates(), (0, 1), (99, 100)),
        (1.02, Gates(), (3, 14), (3, 15)),
        (1.0, Gates(latency_margin=0.0), (3, 14), (3, 15)),
        (0.95, Gates(latency_margin=0.0), (99, 100), (0, 1)),
    ],
)
def test_as_fast_is_accepted_and_slower_is_refused(
    true: float, gates: Gates, accepted: tuple[float, float], refused: tuple[float, float]
) -> None:
    found = shares(true, 0.02, partial(judge, limit=latency_limit(gates)), draws=400)

    yes, no, _ = map(float, found.split(", "))
    assert accepted[0] <= yes <= accepted[1]
    assert refused[0] <= no <= refused[1]
