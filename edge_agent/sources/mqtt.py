"""Samples that other devices publish over MQTT.

    [sources.pump]
    kind = "mqtt"
    topic = "factory/pump-3/vibration"
    format = "json"          # {"x": 0.1, "y": 0.2}, {"x": [0.1, 0.3], "y": [0.2, 0.4]}, or an array of such objects
    channels = ["x", "y"]    # fields of the object, numbers or "1.5"; "acc.x" is the field x of the object acc
    rate_hz = 100            # samples, not messages, per second
    silence_s = 10
    counter = "seq"          # optional: a field that counts samples; a jump means that the stream was interrupted

    format = "raw"           # only numbers: x0 y0 x1 y1 ...
    dtype = "int16"          # little-endian; float32 (default), float64, int8, uint8, int16, uint16, int32, uint32
    scale = [0.001]          # optional, for either format: factors, one for all channels or one each

    url = "mqtts://sensors.local:8883"   # left out: the device's own broker, with the login of [mqtt]
    ca_file = ""; cert_file = ""; key_file = ""; username = ""; password_file = ""     # one a line; with url

The topic must not contain wildcards, so that streams do not mix. Retained messages are ignored, since their age is
unknown. A malformed message is counted and dropped. A lost connection is renewed.
"""

import secrets
import threading
import time
from collections import deque
from typing import Annotated, Literal

import msgspec
import numpy as np

from edge_agent.acquisition.framing import Numbers, to_samples
from edge_agent.acquisition.framing.fields import Fields, Malformed
from edge_agent.acquisition.sample_counter import Counter
from edge_agent.acquisition.shown import shown
from edge_agent.advice.remedy import split_advice
from edge_agent.errors import ConfigError, EdgeAgentError, SourceError
from edge_agent.mqtt import Connected, Disconnected, Event, Incoming, Link, SubscribeFailed
from edge_agent.settings.broker import BrokerSettings
from edge_agent.sources import Samples, Stream
from edge_agent.strict import counted

_CONNECT_TIMEOUT_S = 10.0
_MAX_WAITING_BYTES = 4 << 20
"""Limit of the messages that wait for a late reader; further ones are lost, which counts as an interruption."""
_SHOWN_BYTES = 256

Positive = Annotated[float, msgspec.Meta(gt=0, le=1e6)]


class Options(BrokerSettings, frozen=True, kw_only=True):
    """The keys of ``[sources.NAME]``."""

    topic: Annotated[str, msgspec.Meta(min_length=1, max_length=65_535)]
    channels: Annotated[list[str], msgspec.Meta(min_length=1)]
    rate_hz: Positive
    format: Literal["json", "raw"] = "json"
    dtype: Literal["float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32"] = "float32"
    scale: list[float] = msgspec.field(default_factory=list)
    counter: str = ""
    qos: Literal[0, 1] = 1
    silence_s: Positive = 10.0

    def __post_init__(self) -> None:
        if set(self.topic) & set("+#\0"):
            raise ValueError(f"topic {self.topic!r} must be one topic, without the wildcards + and #")
        if len(self.scale) not in (0, 1, len(self.channels)):
            raise ValueError(
                f"scale has {len(self.scale)} factors for {len(self.channels)} channels; give one, or one each"
            )
        if self.counter and self.format == "raw":
            raise ValueError('a counter needs format = "json"')
        if self.url:
            try:
                _ = self.address
            except ConfigError as error:
                raise ValueError(error.message) from None


def _with_advice(trouble: str) -> str:
    """A sentence on the broker, with the next step."""
    return trouble if split_advice(trouble)[1] else f"{trouble}; check the source's url, and the broker there"


class MqttSource(Stream):
    """A subscription."""

    def __init__(self, options: Options) -> None:
        """Connect and subscribe; raise ``SourceError`` (source_unavailable)."""
        super().__init__(options.channels, options.rate_hz, options.silence_s)
        self._options = options
        self._fields = Fields([*([options.counter] if options.counter else []), *options.channels])
        self._counter = Counter() if options.counter else None
        self._scale = np.array(options.scale or [1.0])
        self._dtype = np.dtype(options.dtype).newbyteorder("<")
        self._stretches: deque[tuple[Numbers, bool]] = deque()
        self._mailbox = _Mailbox(options.topic)
        self._refused = ""
        self.malformed, self.malformed_example = 0, ""
        if not options.url:
            raise SourceError(
                "source_unavailable", "kind mqtt needs a broker: set url, as no device config supplies one"
            )
        try:
            # A random client id: the daemon uses the device's, and two captures must not disconnect each other.
            self._link = Link(options, f"ea-source-{secrets.token_hex(6)}", on_event=self._mailbox.put)
            self._link.start()
            self._link.wait_connected(_CONNECT_TIMEOUT_S)
        except EdgeAgentError as error:
            if hasattr(self, "_link"):
                self._link.stop()
            raise SourceError("source_unavailable", _with_advice(error.message)) from None

    @property
    def trouble(self) -> str:
        """The known reason why no samples arrive, or what to check."""
        if not self._link.connected:
            return _with_advice(self._link.trouble)
        if self._refused:
            return self._refused
        if self.malformed:
            wanted = ", ".join(self.channels)
            dropped = f"{counted(self.malformed, 'message')} {'was' if self.malformed == 1 else 'were'} not"
            text = f"{dropped} {self._options.format} with {wanted}; check format and channels"
            return f"{text}; the last was {self.malformed_example}"
        return f"check that {self._options.topic} is published, and that this client may read it"

    def read(self, timeout_s: float) -> Samples | None:
        """Return the next consecutive samples of a message; wait at most ``timeout_s`` for one."""
        deadline = time.monotonic() + timeout_s
        while not self._stretches:
            event = self._mailbox.take(deadline - time.monotonic())
            if event is None:
                return None
            self._handle(event)
        numbers, follows = self._stretches.popleft()
        if not follows:
            self.interrupt()
        self.arrivals.hear(len(numbers), time.monotonic())
        return to_samples(numbers * self._scale)

    def close(self) -> None:
        """Disconnect from the broker."""
        self._link.stop()

    def _handle(self, event: "Event | _Lost") -> None:
        match event:
            case Connected():
                self._link.subscribe(self._options.topic, qos=self._options.qos)
            case Disconnected() | _Lost():
                self.interrupt()
                if self._counter is not None:
                    self._counter.restart()
            case SubscribeFailed():
                self._refused = f"the broker refused to subscribe {self._options.topic}: {event.reason}"
            case Incoming():
                try:
                    numbers = self._decode(event.payload)
                except Malformed as error:
                    self.malformed += 1
                    self.malformed_example = f"{shown(event.payload[:_SHOWN_BYTES])}: {error}"
                    return
                if self._counter is not None:
                    self._stretches.extend(self._counter.split(numbers))
                else:
                    self._stretches.append((numbers, True))

    def _decode(self, payload: bytes) -> Numbers:
        """Return the samples in a message; raise ``Malformed``."""
        if self._options.format == "json":
            return np.array(self._fields.rows(payload), np.float64)
        columns = len(self.channels)
        if not payload or len(payload) % (self._dtype.itemsize * columns):
            of = f"{columns} x {self._options.dtype}"
            raise Malformed(
                f"its {len(payload)} bytes are not a whole number of samples of {of}; correct dtype or channels"
            )
        return np.frombuffer(payload, self._dtype).reshape(-1, columns).astype(np.float64)


class _Lost:
    """Marks messages that were dropped for lack of room."""


class _Mailbox:
    """A queue of events from the link's thread to the reader's, with a limit on the waiting bytes."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._events: deque[Event | _Lost] = deque()
        self._bytes = 0
        self._changed = threading.Condition()

    def put(self, event: Event) -> None:
        """Add an event; ignore retained messages and those of another topic."""
        with self._changed:
            if isinstance(event, Incoming):
                if event.topic != self._topic or event.retained:
                    return
                if self._bytes + len(event.payload) > _MAX_WAITING_BYTES:
                    if not isinstance(self._events[-1], _Lost):
                        self._events.append(_Lost())
                    return
                self._bytes += len(event.payload)
            self._events.append(event)
            self._changed.notify()

    def take(self, timeout_s: float) -> "Event | _Lost | None":
        """Return the next event, or None after ``timeout_s``."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._events, max(0.0, timeout_s)):
                return None
            event = self._events.popleft()
            if isinstance(event, Incoming):
                self._bytes -= len(event.payload)
            return event


def open(options: Options) -> MqttSource:  # noqa: A001  # the name of a kind's entry
    """Connect and subscribe; raise ``SourceError`` (source_unavailable)."""
    return MqttSource(options)
