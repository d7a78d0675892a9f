"""The sensor process: one thread reads the sensor, the main thread stores and distributes samples and reports states.

It ends on SIGTERM or SIGINT, and when its standard output is closed; it first writes pending segments to disk. It does
not wait for a driver that hangs.
"""

import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

import msgspec

from edge_agent.acquisition.monitored import QuietLimits
from edge_agent.sensing.frames import Batch, Hello, State
from edge_agent.sensing.keeper import Keeper
from edge_agent.sensing.rate import Judgement, judge
from edge_agent.sensing.reader import Event, Opener, Reader, Trouble
from edge_agent.sensing.server import Server
from edge_agent.settings.sharing import SOCKET_NAME, SensorProcessConfig, SourceState
from edge_agent.sources import open_source

TELL_EVERY_S = 10.0
_END_WITHIN_S = 5
_DRIVER_WITHIN_S = 2.0
_HUNG_SLACK_S = 3.0
"""The reader thread reports silence itself; after this additional time it must be hanging."""
_HUNG = "its driver hangs; check cable and power, or restart edge-agent"


class Process:
    """One sensor's process."""

    def __init__(
        self,
        config: SensorProcessConfig,
        tell: Callable[[SourceState], None],
        opener: Opener = open_source,
        confined: Sequence[str] | None = None,
    ) -> None:
        """Listen, and prepare to read; raise ``OSError``.

        Args:
            config: the sensor, and where and how to store its samples.
            tell: called with each state to report.
            opener: opens the sensor.
            confined: the active layers of confinement, to be reported.
        """
        folder = Path(config.folder)
        self._tell = tell
        self._server = Server(folder / SOCKET_NAME)
        self._keeper = Keeper(folder, config.keeping)
        self._reader = Reader(config.name, config.table, self._server.wake, opener)
        self._state = SourceState(
            wanted=config.keeping.keep_windows, confined=None if confined is None else tuple(confined)
        )
        self._spoken = self._hung = False
        self._rate: Judgement = ""
        self._seen_hz = 0.0
        self._hello: Hello | None = None
        self._event_at = time.monotonic()
        self._tell_at = time.monotonic() + TELL_EVERY_S
        self._ended = False

    def run(self) -> None:
        """Run until :meth:`end`."""
        self._reader.start()
        try:
            while not self._ended:
                for event in self._reader.take():
                    self._handle(event)
                self._report()
                self._server.step(max(0.0, min(1.0, self._tell_at - time.monotonic())))
        finally:
            self._reader.stop(_DRIVER_WITHIN_S)
            for event in self._reader.take():
                self._handle(event)
            self._keeper.close()
            self._server.close()

    def end(self) -> None:
        """Request the end; may be called from a signal handler."""
        self._ended = True
        self._server.wake()

    def _handle(self, event: Event) -> None:
        self._event_at = time.monotonic()
        if self._hung:
            self._hung, self._tell_at = False, 0.0
            self._server.tell(State(code=self._state.code, trouble=self._state.message))
        match event:
            case Hello():
                self._server.greet(event)
                self._keeper.begin(event)
                self._hello = event
            case Batch():
                self._server.give(event)
                self._keeper.add(event, sound=self._rate_is_sound())
                self._state = msgspec.structs.replace(
                    self._state, samples=self._state.samples + len(event.samples), malformed=event.malformed
                )
            case Trouble(state, silent):
                self._server.tell(state)
                self._note(state, silent=silent)

    def _rate_is_sound(self) -> bool:
        """Return whether samples arrive at the configured rate; at a lower rate they do not fit the windows."""
        seen_hz = self._reader.rate_hz
        if seen_hz is not None and self._hello is not None:
            self._seen_hz, self._rate = seen_hz, judge(seen_hz, self._hello.rate_hz, self._rate)
        return self._rate != "slow"

    def _look_for_hang(self, now: float) -> None:
        """Detect a hanging driver: the reader thread reports silence itself unless its driver hangs."""
        if self._hello is None or self._hung or self._state.state != "open":
            return
        limits = QuietLimits.of(self._hello.rate_hz, self._hello.silence_s)
        if now - self._event_at > limits.silence_s + limits.dropout_s + _HUNG_SLACK_S:
            self._hung, self._tell_at = True, 0.0
            self._server.tell(State(trouble=_HUNG))

    def _note(self, state: State, *, silent: bool) -> None:
        """Record the state of the sensor, and report a change at once."""
        kind = "waiting" if state.code else "silent" if silent else "open"
        news = not self._spoken or kind != self._state.state or state.code != self._state.code
        self._spoken = True
        self._state = msgspec.structs.replace(self._state, state=kind, code=state.code, message=state.trouble)
        if news:
            self._tell_at = 0.0

    def _report(self) -> None:
        now = time.monotonic()
        self._look_for_hang(now)
        if now < self._tell_at:
            return
        self._tell_at = now + TELL_EVERY_S
        seen = msgspec.structs.replace(
            self._state,
            rate_hz=self._reader.rate_hz,
            gaps=self._reader.gaps,
            late=self._reader.late,
            subscribers=self._server.readers,
            dropped=self._server.dropped,
        )
        if self._hung:
            seen = msgspec.structs.replace(seen, state="silent", message=_HUNG, rate_hz=None)
        elif self._rate and self._hello is not None and not seen.code:
            expected = f"{self._hello.rate_said_by} says {self._hello.rate_hz:g}"
            text = f"{self._seen_hz:.4g} samples per second arrive, {expected}; correct rate_hz"
            kept = "; until then nothing is stored" if seen.wanted and self._rate == "slow" else ""
            seen = msgspec.structs.replace(seen, code="wrong_rate", message=text + kept)
        self._tell(self._keeper.describe(seen))


def run(config: SensorProcessConfig, opener: Opener = open_source, *, confined: Sequence[str] | None = None) -> None:
    """Run as a process of its own: signals end it, and it writes its states to standard output."""

    def tell(state: SourceState) -> None:
        try:
            sys.stdout.write(msgspec.json.encode(state).decode() + "\n")
            sys.stdout.flush()
        except BrokenPipeError:  # the daemon is gone
            process.end()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        signal.alarm(_END_WITHIN_S)  # a hanging disk must not keep this process alive
        process.end()

    process = Process(config, tell, opener, confined)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    process.run()
