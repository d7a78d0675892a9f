"""Passes a sensor's samples to its reservoir, if there is one, and reports the reservoir's state."""

import time
from collections import deque
from pathlib import Path

import msgspec

from edge_agent.reservoir.reservoir import Reservoir
from edge_agent.reservoir.segment_format import SegmentFormat
from edge_agent.sensing.frames import Batch, Hello
from edge_agent.settings.sharing import KEPT_FOLDER, Keeping, SourceState

_MB = 1e6
_HOUR_S, _HOURS = 3600.0, 24


class Keeper:
    """The reservoir of one sensor, created once its format is known."""

    def __init__(self, folder: Path, keeping: Keeping) -> None:
        self._folder = folder / KEPT_FOLDER
        self._keeping = keeping
        self._reservoir: Reservoir | None = None
        self._format: SegmentFormat | None = None
        self._broken = True
        """Whether samples are missing between the reservoir's last sample and the next one."""
        self._written = _LastDay()

    def begin(self, hello: Hello) -> None:
        """Start with an opened sensor; it may differ from the previous one."""
        if not self._keeping.keep_windows:
            return
        segment_format = SegmentFormat(
            channels=hello.channels,
            rate_hz=hello.rate_hz,
            samples=self._keeping.stretch_samples(hello.rate_hz, pictures=bool(hello.frame_shape)),
            frame_shape=hello.frame_shape,
            dtype=hello.dtype.name,
        )
        if segment_format == self._format:
            return
        self.close()
        self._format = segment_format
        self._reservoir = Reservoir(
            self._folder,
            segment_format,
            stretches=self._keeping.keep_windows,
            write_budget_mb_per_day=self._keeping.keep_mb_per_day,
        )
        self._written.begin(self._reservoir.counts.written_bytes)

    def add(self, batch: Batch, *, sound: bool) -> None:
        """Add a batch to the reservoir, unless its rate is not ``sound``."""
        self._broken = self._broken or batch.gap or not sound
        if self._reservoir is not None and sound:
            self._reservoir.add(batch.samples, batch.time_s, gap=self._broken)
            self._broken = False

    def describe(self, state: SourceState) -> SourceState:
        """Return ``state`` with the reservoir's counts; a disk error is reported only if the sensor has no error."""
        if self._reservoir is None:
            return state
        counts, trouble = self._reservoir.counts, self._reservoir.trouble
        described = msgspec.structs.replace(
            state,
            kept=sum(self._reservoir.kept.values()),
            seen=counts.seen,
            left_out=counts.non_finite,
            thinned=counts.thinned,
            over_budget=counts.over_budget,
            deferred=counts.deferred,
            unwritten=counts.unwritten,
            hours=max(0.0, time.time() - self._reservoir.since_s) / _HOUR_S,
            written_mb_last_day=self._written.note(counts.written_bytes) / _MB,
        )
        if trouble is not None and not state.code:
            described = msgspec.structs.replace(described, code=trouble.code, message=trouble.message)
        return described

    def close(self) -> None:
        """Write pending segments to disk, as far as possible, and close the reservoir."""
        if self._reservoir is not None:
            self._reservoir.close()
            self._reservoir = None


class _LastDay:
    """The growth of a counter in the last day, with hourly resolution."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque(maxlen=_HOURS + 1)

    def begin(self, count: int) -> None:
        """Start with a new counter."""
        self._marks.clear()
        self._marks.append((time.monotonic(), count))

    def note(self, count: int) -> int:
        """Return the growth in the last day."""
        if time.monotonic() - self._marks[-1][0] >= _HOUR_S:
            self._marks.append((time.monotonic(), count))
        return count - self._marks[0][1]
