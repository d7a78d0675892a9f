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

_SHOWN = 16
_decode: Any = cobs.decode
"""The library brings no types."""


class CobsDecoder:
    """Feed it bytes; it gives rows. ``malformed`` counts the frames that were dropped."""

    def __init__(self, record: Record, columns: int) -> None:
        self._record = record
        self._columns = columns
        self._frames = Lines()
        self._malformed = 0
        self.example = ""
        self.wrong = f"frames were not COBS of {record.size} bytes with a right checksum"

    @property
    def malformed(self) -> int:
        """Frames that were dropped."""
        return self._malformed + self._frames.overlong

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
                self.example = f"a frame of {len(frame)} bytes, {frame[:_SHOWN].hex(' ')}"
            else:
                rows.append(row)
        return np.array(rows, np.float64).reshape(-1, self._columns)

    def _decode(self, frame: bytes) -> tuple[float, ...] | None:
        try:
            return self._record.decode(_decode(frame))
        except cobs.DecodeError:
            return None
