"""A process that keeps what a sensor sends, as fast as it can: ``python -m support.keeper FOLDER [RLIMIT_FSIZE]``.

Says ``ready`` when the reservoir is open. Samples count up, so what is read can be checked: sample n of the stream is
(n, -n) modulo 2^20.
"""

import resource
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_agent.reservoir.reservoir import Reservoir
from edge_agent.reservoir.segment_format import SegmentFormat

SHAPE = SegmentFormat(channels=("n", "minus"), rate_hz=50, samples=256)
STRETCHES = 20
START_S = 1.7e9


def numbered(first: int, count: int) -> NDArray[np.float32]:
    """Samples ``[count, 2]``."""
    numbers = np.arange(first, first + count) % (1 << 20)
    return np.stack([numbers, -numbers], axis=1).astype(np.float32)


def main() -> None:
    """Go on until killed."""
    folder = Path(sys.argv[1])
    if len(sys.argv) > 2:  # the second argument
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
    now = [START_S]
    reservoir = Reservoir(
        folder, SHAPE, stretches=STRETCHES, horizon_days=0.05, write_budget_mb_per_day=1e6,
        clock=lambda: now[0], timer=lambda: now[0],
    )  # fmt: skip
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    first = 0
    while True:
        reservoir.add(numbered(first, 1000), now[0], gap=False)
        reservoir.flush()
        first, now[0] = first + 1000, now[0] + 1000 / SHAPE.rate_hz


if __name__ == "__main__":
    main()
