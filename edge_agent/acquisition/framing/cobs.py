"""Decodes binary records in COBS frames: a frame contains no zero byte and ends with one. Pure.

A frame whose length differs from the record's, or with a wrong checksum, is counted and dropped. The length reveals
lost and added bytes; only a checksum reveals a changed byte.
"""

from typing import Any

import numpy as np
from cobs import cobs

from edge_agent.acquisition.framing import Numbers
from edge_agent.acquisition.framing.lines import Lines
from edge_agent.acquisition.framing.record import Record
from edge_agent.acquisition.shown import shown_bytes

_decode: Any = cobs.decode
"""The library has no type annotations."""


class CobsDecoder:
    """Decodes bytes to rows. ``malformed`` counts the dropped frames."""

    def __init__(self, record: Record, columns: int) -> None:
        self._record = record
        self._columns = columns
        self._frames = Lines()
        self._malformed = 0
        self._last = b""
        self.unit, self.wanted = "frame", f"COBS of {record.size} bytes with a right checksum"

    @property
    def malformed(self) -> int:
        """Number of dropped frames."""
        return self._malformed + self._frames.overlong

    @property
    def example(self) -> str:
        """The last dropped frame, and its fault."""
        if not self._last:
            return self._frames.endless
        return f"a frame of {len(self._last)} bytes, {shown_bytes(self._last)}: {self._why(self._last)}"

    def restart(self) -> None:
        """Resynchronize after an interruption: drop all bytes until the end of the next frame."""
        self._frames.restart()

    def feed(self, data: bytes) -> Numbers:
        """Return the rows ``[n, columns]`` of all frames that end in ``data``; n may be 0."""
        rows = []
        for frame in self._frames.feed(data, end=b"\0"):
            if not frame:  # some boards send a zero before a frame, too
                continue
            row = self._decode(frame)
            if row is None:
                self._malformed += 1
                self._last = frame
            else:
                rows.append(row)
        return np.array(rows, np.float64).reshape(-1, self._columns)

    def _why(self, frame: bytes) -> str:
        try:
            return self._record.why_malformed(_decode(frame))
        except cobs.DecodeError:
            return "it is not COBS; check baud and framing"

    def _decode(self, frame: bytes) -> tuple[float, ...] | None:
        try:
            return self._record.decode(_decode(frame))
        except cobs.DecodeError:
            return None
