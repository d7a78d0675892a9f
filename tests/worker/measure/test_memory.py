"""How two models' memory compares: what one process differs from the next by is no difference."""

import pytest

from edge_agent.worker.measure.memory import Memory

MIB = 1 << 20


@pytest.mark.parametrize(
    ("target", "reference", "ratio"),
    [
        (10 * MIB, 20 * MIB, 0.5),
        (20 * MIB, 10 * MIB, 2.0),
        (10 * MIB, 10 * MIB + 400_000, 1.0),
        (MIB - 300_000, MIB, 1.0),  # 29 % of hardly anything
        (0, 4 * MIB, 0.125),  # no more than half a MiB
        (-40_000, 4 * MIB, 0.125),
        (4 * MIB, 0, 8.0),
        (-40_000, 400_000, 1.0),
    ],
)
def test_the_ratio_of_what_models_add(target: int, reference: int, ratio: float) -> None:
    ours, floats = (Memory(50 * MIB + adds, adds) for adds in (target, reference))

    assert ours.ratio(floats) == pytest.approx(ratio)
