"""Decodes binary records that follow a sync word and end with a checksum. Pure.

The sync word may also occur among the numbers. So while the decoder is not synchronized (at the beginning, after noise
or lost bytes) a frame counts only if its checksum is correct *and* the next sync word follows it. Bytes outside frames
are counted as the samples that they may have been, except for a partial frame at the beginning.
"""

import numpy as np

from edge_agent.acquisition.framing import Numbers
from edge_agent.acquisition.framing.record import Record
from edge_agent.acquisition.shown import shown_bytes


class SyncDecoder:
    """Decodes bytes to rows. ``malformed`` is the approximate number of dropped frames."""

    def __init__(self, record: Record, columns: int, sync: bytes) -> None:
        self._record = record
        self._columns = columns
        self._sync = sync
        self._size = len(sync) + record.size
        self.malformed = 0
        self._wrong_frame = self._stray_bytes = b""
        self.unit, self.wanted = "frame", f"{sync.hex()} and {record.size} bytes with a right checksum"
        self.restart()

    @property
    def example(self) -> str:
        """A frame with a wrong checksum, else bytes outside frames, and their fault."""
        if self._wrong_frame:
            why = self._record.why_malformed(self._wrong_frame[len(self._sync) :])
            return f"a frame of {len(self._wrong_frame)} bytes, {shown_bytes(self._wrong_frame)}: {why}"
        if self._stray_bytes:
            return f"{shown_bytes(self._stray_bytes)}: it does not contain {self._sync.hex(' ')}; check baud and sync"
        return ""

    def restart(self) -> None:
        """Resynchronize after an interruption of the stream."""
        self._buffer = b""
        self._locked = False
        self._stray = -self._size
        """Uncounted bytes outside frames; it starts negative, since a partial first frame does not count."""

    def feed(self, data: bytes) -> Numbers:
        """Return the rows ``[n, columns]`` of all frames that end in ``data``; n may be 0."""
        buffer, at, rows = self._buffer + data, 0, []
        while (found := buffer.find(self._sync, at)) >= 0:
            self._drop(buffer[at:found])
            at, end = found, found + self._size
            if len(buffer) < end + (0 if self._locked else len(self._sync)):
                break
            row = self._record.decode(buffer[at + len(self._sync) : end])
            if row is None or not (self._locked or buffer.startswith(self._sync, end)):
                if row is None and (self._locked or not self._wrong_frame):
                    self._wrong_frame = buffer[at:end]
                self._drop(buffer[at : at + 1])
                at += 1
                continue
            self._lock()
            rows.append(row)
            at = end
        else:
            keep = max(at, len(buffer) - len(self._sync) + 1)  # it may end with the beginning of a sync word
            self._drop(buffer[at:keep])
            at = keep
        self._buffer = buffer[at:]
        return np.array(rows, np.float64).reshape(-1, self._columns)

    def _drop(self, stray: bytes) -> None:
        if not stray:
            return
        self._locked = False
        self._stray += len(stray)
        if len(stray) > 1:  # bytes of a false frame are dropped one by one
            self._stray_bytes = stray
        if self._stray >= self._size:
            self.malformed += self._stray // self._size
            self._stray %= self._size

    def _lock(self) -> None:
        self.malformed += self._stray > 0
        self._stray = 0
        self._locked = True
