"""Binary records in COBS frames become samples: no zero byte in a frame, one behind it. Pure.

A frame of another length than the record's, or with a wrong checksum, is counted and dropped. Lost and added bytes show
in the length; a byte that was changed shows only in a checksum.
"""

from typing import Any

import numpy as np
from cobs import cobs

from edge_agent.acquisition.framing import Numbers
from edge_agent.acquisition.framing.lines import Lines
from edge_agent.acquisition.framing.record import Record
from edge_agent.acquisition.shown import shown_bytes

_decode: Any = cobs.decode
"""The library brings no types."""


class CobsDecoder:
    """Feed it bytes; it gives rows. ``malformed`` counts the frames that were dropped."""

    def __init__(self, record: Record, columns: int) -> None:
        self._record = record
        self._columns = columns
        self._frames = Lines()
        self._malformed = 0
        self._last = b""
        self.unit, self.wanted = "frame", f"COBS of {record.size} bytes with a right checksum"

    @property
    def malformed(self) -> int:
        """Frames that were dropped."""
        return self._malformed + self._frames.overlong

    @property
    def example(self) -> str:
        """The last of them, and what is wrong with it."""
        if not self._last:
            return self._frames.endless
        return f"a frame of {len(self._last)} bytes, {shown_bytes(self._last)}: {self._why(self._last)}"

    def restart(self) -> None:
        """The stream was interrupted: drop what is left of a frame, and what comes until the next frame's end."""
        self._frames.restart()

    def feed(self, data: bytes) -> Numbers:
        """The rows ``[n, columns]`` of all frames that end in ``data``; n may be 0."""
        rows = []
        for frame in self._frames.feed(data, end=b"\0"):
            if not frame:  # some send a zero before a frame, too
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
            return "it is no COBS; check baud and framing"

    def _decode(self, frame: bytes) -> tuple[float, ...] | None:
        try:
            return self._record.decode(_decode(frame))
        except cobs.DecodeError:
            return None
