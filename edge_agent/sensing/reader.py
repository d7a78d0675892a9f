"""Reads a sensor in its own thread, so that neither a slow disk nor a slow reader causes a loss of samples.

The thread opens the sensor, reads, and reopens it after any error, with increasing pauses. It only puts events into a
bounded queue, and wakes the consumer.
"""

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from edge_agent.acquisition.monitored import GAP, MonitoredSource, QuietLimits
from edge_agent.acquisition.source import malformed_example, rate_said_by
from edge_agent.errors import EdgeAgentError, SourceError
from edge_agent.retry.backoff import Backoff
from edge_agent.sensing.frames import Batch, Hello, Samples, State
from edge_agent.sensing.rate import RecentRate
from edge_agent.sources import Source, open_source

_POLL_S = 0.25
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.5, 30.0
_WAITING_BYTES = 16 << 20
_EXAMPLE_S = 5.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why no samples arrive; ``state.code`` is set while the sensor is not open, and all is empty when they resume."""

    state: State
    silent: bool = False


class _Example:
    """A malformed sample of a source to report; it changes only at intervals, since every reader gets it."""

    def __init__(self) -> None:
        self._text = ""
        self._malformed, self._next_s = 0, 0.0

    def of(self, source: Source, now: float) -> str:
        if source.malformed != self._malformed and now >= self._next_s:
            self._text, self._malformed, self._next_s = malformed_example(source), source.malformed, now + _EXAMPLE_S
        return self._text


Event = Hello | Trouble | Batch
Opener = Callable[[str, Mapping[str, Any]], Source]
"""A function that opens ``[sources.NAME]``."""


class Reader:
    """A sensor, read until :meth:`stop`."""

    def __init__(
        self,
        name: str,
        table: Mapping[str, Any],
        wake: Callable[[], None],
        opener: Opener = open_source,
    ) -> None:
        """Prepare to read ``[sources.NAME]``; the thread calls ``wake`` when there are events to take."""
        self._name, self._table = name, table
        self._wake, self._open = wake, opener
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._events: deque[Event] = deque()
        self._waiting = 0
        self._number = 0
        self._gap = True
        self._reported: Trouble | None = None
        self._thread = threading.Thread(target=self._run, name=f"reader-{name}", daemon=True)
        self.late = 0
        """Number of samples dropped because they were not taken in time."""
        self.gaps = 0
        """Number of interruptions of the stream."""
        self.rate_hz: float | None = None
        """Recent samples per second; None until the stream has run for ten seconds."""

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Release the sensor; False if its driver hangs for longer than ``timeout_s``."""
        self._stop.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def take(self) -> list[Event]:
        """Return the events since the last call."""
        with self._lock:
            events, self._waiting = list(self._events), 0
            self._events.clear()
        return events

    # -- the thread

    def _run(self) -> None:
        backoff = Backoff(_FIRST_DELAY_S, _LONGEST_DELAY_S)
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                self._read_on()
            except EdgeAgentError as error:
                self._report(Trouble(State(code=error.code, trouble=error.message)))
            except Exception as error:  # noqa: BLE001  # the sensor is reopened whatever its driver raises
                traceback.print_exception(error)
                text = f"reading {self._name!r} failed: {type(error).__name__}: {error}"
                self._report(Trouble(State(code="source_lost", trouble=text)))
            self._stop.wait(backoff.ended(time.monotonic() - began))

    def _read_on(self) -> None:
        source = self._open(self._name, self._table)
        try:
            if not source.live or source.window_size:
                text = f"source {self._name!r} is a recording; leave out keep_windows and share"
                raise SourceError("source_unavailable", text)
            self._put(
                Hello(
                    channels=tuple(source.channels),
                    rate_hz=source.rate_hz,
                    silence_s=source.silence_s,
                    frame_shape=tuple(source.frame_shape),
                    rate_said_by=rate_said_by(source),
                )
            )
            self._report(Trouble(State()))
            self._gap = True
            self._follow(source)
        finally:
            source.close()

    def _follow(self, source: Source) -> None:
        monitored, recent = MonitoredSource(source, self._name), RecentRate(source.rate_hz)
        limits, earlier = QuietLimits.of(source.rate_hz, source.silence_s), self.gaps
        reported, example = time.monotonic(), _Example()
        while not self._stop.is_set():
            reading = monitored.read(_POLL_S)
            now = time.monotonic()
            if reading is GAP:
                self._gap = True
                self.gaps = earlier + monitored.interruptions
                recent.interrupt()
            elif reading is None:
                if min(monitored.quiet_s, now - reported) > limits.dropout_s:
                    reported = now
                    state = State(trouble=source.trouble, malformed_example=example.of(source, now))
                    self._report(Trouble(state, silent=monitored.silent))
            else:
                self._report(Trouble(State(malformed_example=example.of(source, now))))
                recent.hear(len(reading), now)
                self.rate_hz = recent.rate_hz
                self._put(self._batch(source, reading, now))

    def _batch(self, source: Source, samples: Samples, now: float) -> Batch:
        taken_s = time.time() - (now - float(source.arrivals.times[0]))
        batch = Batch(self._number, now, taken_s, self._gap, source.malformed, samples)
        self._number += 1
        self._gap = False
        return batch

    def _report(self, trouble: Trouble) -> None:
        if trouble != self._reported:
            self._reported = trouble
            self._put(trouble)

    def _put(self, event: Event) -> None:
        with self._lock:
            if isinstance(event, Batch):
                event = self._squeeze_in(event)
            self._events.append(event)
        self._wake()

    def _squeeze_in(self, batch: Batch) -> Batch:
        """Make room for a batch; dropped batches make a gap before the next one."""
        self._waiting += batch.samples.nbytes
        waiting = self._events
        while self._waiting > _WAITING_BYTES and waiting:
            place = next((at for at, event in enumerate(waiting) if isinstance(event, Batch)), None)
            if place is None:
                break
            dropped = waiting[place]
            del waiting[place]
            if isinstance(dropped, Batch):
                self._waiting -= dropped.samples.nbytes
                self.late += len(dropped.samples)
            for later in range(place, len(waiting)):
                following = waiting[later]
                if isinstance(following, Batch):
                    waiting[later] = replace(following, gap=True)
                    break
            else:
                batch = replace(batch, gap=True)
        return batch
