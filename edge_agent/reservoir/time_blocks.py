"""Divides time into blocks, each of which permanently belongs to one part: ``calibration`` or ``judging``. Pure.

The part depends only on the block's number, and the number only on the wall clock. No state is needed, so neither a
restart nor a clock that is set back can put a moment into both parts. Blocks form pairs with one block of each part, in
an order determined by a seeded hash. So each block is in either part with probability one half, and each part is a fair
sample of all time, also for hourly or daily patterns. Anything longer than two blocks is in both parts.

The user of the judging part divides it again into search and held-out set, also by block, since two blocks never touch
(:mod:`.cutting` leaves a gap before each).
"""

import hashlib
import math
from typing import Literal

from edge_agent.reservoir.segment_format import SegmentFormat

Part = Literal["calibration", "judging"]
PARTS: tuple[Part, Part] = ("calibration", "judging")

_SHORTEST_S = 60.0
"""Neighbouring samples are similar, samples minutes apart less so; rare events of minutes are in both parts."""
_STRETCHES = 16
"""Segments per block, so that the gap before it and the remainder at its end cost less than a tenth of the time."""


def block_seconds(shape: SegmentFormat) -> float:
    """Return the length of a block."""
    return max(_SHORTEST_S, _STRETCHES * shape.segment_s)


def block_number(time_s: float, length_s: float) -> int:
    """Return the block that contains the wall clock time ``time_s`` (seconds since 1970)."""
    return math.floor(time_s / length_s)


def part_of(number: int, seed: int) -> Part:
    """Return the part of block ``number``."""
    pair, second = divmod(number, 2)
    order = hashlib.sha256(f"{seed}:{pair}".encode()).digest()[0] & 1
    return PARTS[order ^ second]
