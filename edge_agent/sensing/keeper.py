"""Hands what a sensor sends to its reservoir, and says how that goes. Without one to fill it does nothing."""

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
    """The reservoir of one sensor, made when its shape is known."""

    def __init__(self, folder: Path, keeping: Keeping) -> None:
        self._folder = folder / KEPT_FOLDER
        self._keeping = keeping
        self._reservoir: Reservoir | None = None
        self._format: SegmentFormat | None = None
        self._broken = True
        """What comes does not follow on what the reservoir had last."""
        self._written = _LastDay()

    def begin(self, hello: Hello) -> None:
        """The sensor is open, as the one before or as another."""
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
        """Let the reservoir have a batch, unless it is not ``sound``."""
        self._broken = self._broken or batch.gap or not sound
        if self._reservoir is not None and sound:
            self._reservoir.add(batch.samples, batch.time_s, gap=self._broken)
            self._broken = False

    def describe(self, state: SourceState) -> SourceState:
        """``state`` with what is known of what is kept; the disk's trouble is told where the sensor has none."""
        if self._reservoir is None:
            return state
        counts, trouble = self._reservoir.counts, self._reservoir.trouble
        told = msgspec.structs.replace(
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
            told = msgspec.structs.replace(told, code=trouble.code, message=trouble.message)
        return told

    def close(self) -> None:
        """Put on disk what can be."""
        if self._reservoir is not None:
            self._reservoir.close()
            self._reservoir = None


class _LastDay:
    """How much a counter grew in the last day, hour by hour."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque(maxlen=_HOURS + 1)

    def begin(self, count: int) -> None:
        """The counter is another one."""
        self._marks.clear()
        self._marks.append((time.monotonic(), count))

    def note(self, count: int) -> int:
        """Its growth in the last day."""
        if time.monotonic() - self._marks[-1][0] >= _HOUR_S:
            self._marks.append((time.monotonic(), count))
        return count - self._marks[0][1]
