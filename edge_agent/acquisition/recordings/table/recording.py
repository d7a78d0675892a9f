"""A text table, replayed as a sensor.

Opening reads the whole file once, to find its length, malformed lines and gaps. A recording of up to 64 MB of float32
is then stored in memory; a larger one is read again during the replay.
"""

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_agent.acquisition.arrivals import TOO_FAST, TOO_SLOW
from edge_agent.acquisition.framing import to_samples
from edge_agent.acquisition.recordings import Unreadable
from edge_agent.acquisition.recordings.table.columns import Chosen, choose_columns
from edge_agent.acquisition.recordings.table.layout import layout_of
from edge_agent.acquisition.recordings.table.lines import blocks, first_lines
from edge_agent.acquisition.recordings.table.pace import Pace, pace_of
from edge_agent.acquisition.recordings.table.rows import Block, rows_of, why_malformed
from edge_agent.acquisition.stream_findings import StreamFinding

_HEAD_LINES = 200
_PACE_ROWS = 10_000
_KEPT_BYTES = 64 << 20


class TableRecording:
    """An open table."""

    window_size = 0
    frame_shape: tuple[int, ...] = ()
    at_once = 1024

    def __init__(self, path: Path, names: Sequence[str] = (), rate_hz: float | None = None) -> None:
        """Read the whole file.

        Args:
            path: path of the file.
            names: the operator's names of its columns; required for a file without a header.
            rate_hz: the operator's samples per second, if configured.

        Raises:
            OSError: it cannot be read.
            Unreadable: it is no table of numbers; the message names the offending line, and gives advice.
        """
        self._path = path
        head = first_lines(path, _HEAD_LINES)
        table = layout_of(head, names)
        self._begins = table.begins
        self._chosen = chosen = choose_columns(table, head, names, rate_hz)
        self.names, self.columns = chosen.names, len(chosen.names)
        pace = self._pace()
        self.rate_hz = pace.rate_hz if pace else None
        self.rate_said_by = f"the time in column {chosen.time_name!r}" if chosen.time_name else "its column of time"
        self.findings: Sequence[StreamFinding] = _rate_findings(chosen, pace, rate_hz)
        self.malformed, self.malformed_example = 0, ""
        self._kept: list[NDArray[np.float32]] = []
        self.breaks: Sequence[int] = array("q")
        self.length = 0
        self._look_through(pace)
        if not self.length:
            raise Unreadable(f"{self.malformed_example}, and no other line is a complete row; record it again")
        self._rewind()

    def take(self, start: int, count: int) -> NDArray[np.float32]:
        """Return samples ``[n, columns]``, a copy; for a new ``start`` the file is read up to it."""
        if start != self._at:
            self._rewind()
            while self._at < start and len(self._read(min(self.at_once, start - self._at))):
                pass
        return self._read(count)

    def close(self) -> None:
        """Close the file."""
        self._rewind()

    def _rewind(self) -> None:
        self._at = 0
        self._rest: NDArray[np.float32] = np.empty((0, self.columns), np.float32)
        self._ahead: Iterator[NDArray[np.float32]] = (
            iter(self._kept) if self._kept else (to_samples(block.values) for block in self._blocks())
        )

    def _read(self, count: int) -> NDArray[np.float32]:
        parts, missing = [self._rest[:0]], count
        while missing:
            if not len(self._rest):
                block = next(self._ahead, None)
                if block is None:
                    break
                self._rest = block
            part, self._rest = self._rest[:missing], self._rest[missing:]
            parts.append(part)
            missing -= len(part)
        self._at += count - missing
        return np.concatenate(parts)

    def _blocks(self) -> Iterator[Block]:
        for lines in blocks(self._path):
            yield rows_of(
                [line for line in lines if line.number >= self._begins and not line.comment], self._chosen.columns
            )

    def _pace(self) -> Pace | None:
        """Return the pace of the first time stamps; None without any."""
        if self._chosen.columns.time is None:
            return None
        parts, rows = [np.empty(0)], 0
        for block in self._blocks():
            parts.append(block.times)
            rows += len(block.times)
            if rows >= _PACE_ROWS:
                break
        return pace_of(np.concatenate(parts), self._chosen.columns.period_s)

    def _look_through(self, pace: Pace | None) -> None:
        """Find length, malformed lines and gaps, and store the samples if they are few."""
        last, breaks, keep = np.empty(0), array("q"), True
        for block in self._blocks():
            if block.malformed and not self.malformed:
                self.malformed_example = why_malformed(block.malformed[0], self._chosen.columns)
            self.malformed += len(block.malformed)
            if pace is not None:
                times = np.concatenate([last, block.times])
                breaks.extend((pace.breaks(times) + (self.length - len(last))).tolist())
                last = times[-1:]
            self.length += len(block.values)
            keep = keep and 4 * self.length * self.columns <= _KEPT_BYTES
            self._kept = [*self._kept, to_samples(block.values)] if keep else []
        self.breaks = breaks


def _rate_findings(chosen: Chosen, pace: Pace | None, rate_hz: float | None) -> list[StreamFinding]:
    """Return a finding if the time stamps contradict the configured rate."""
    if pace is None or rate_hz is None or TOO_SLOW * rate_hz <= pace.rate_hz <= TOO_FAST * rate_hz:
        return []
    text = f"the time stamps in column {chosen.time_name!r} give {pace.rate_hz:g} samples per second, rate_hz says "
    text += f"{rate_hz:g}; set rate_hz = {pace.rate_hz:g} in [sources], or leave it out"
    return [StreamFinding("wrong_rate", text, refuse=False)]
