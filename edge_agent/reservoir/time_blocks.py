"""Time is cut into blocks, and each belongs for good to one part: ``calibration`` or ``judging``. Pure.

A part is a function of a block's number alone, and the number one of the wall clock: nothing has to be remembered, so
neither a restart nor a clock that is set back can bring a moment into both parts. Blocks come in pairs with one of
either part, in an order that a seeded hash says: each block is in either part with probability one half (so each part
is a fair sample of all time, whatever repeats by the hour or the day), and what lasts longer than two blocks is in
both.

What comes from the judging part is divided again, by whoever uses it, into search and held-out set: by block, as two
blocks never touch either (:mod:`.cutting` leaves a gap before each).
"""

import hashlib
import math
from typing import Literal

from edge_agent.reservoir.segment_format import SegmentFormat

Part = Literal["calibration", "judging"]
PARTS: tuple[Part, Part] = ("calibration", "judging")

_SHORTEST_S = 60.0
"""Neighbours resemble each other; minutes apart much less so, and rare events of minutes still fall into both parts."""
_STRETCHES = 16
"""The gap of one stretch before a block, and what is left over at its end, then cost less than a tenth of the time."""


def block_seconds(shape: SegmentFormat) -> float:
    """How long a block is."""
    return max(_SHORTEST_S, _STRETCHES * shape.segment_s)


def block_number(time_s: float, length_s: float) -> int:
    """The block that the moment ``time_s`` of the wall clock (seconds since 1970) lies in."""
    return math.floor(time_s / length_s)


def part_of(number: int, seed: int) -> Part:
    """The part that block ``number`` belongs to."""
    pair, second = divmod(number, 2)
    order = hashlib.sha256(f"{seed}:{pair}".encode()).digest()[0] & 1
    return PARTS[order ^ second]
