"""One paho client in one version of MQTT: connects, serves until the connection ends, and returns the outcome.

This is the only file that imports paho. It uses paho's calls for an external loop. An exception of paho on strange
bytes becomes an :class:`Outcome`; paho's own thread would die and leave ``is_connected()`` true.

Messages that the broker has not acknowledged stay in the client, and the next connection sends them. So a client lives
as long as its version of MQTT is in use.
"""

import logging
import math
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from edge_agent.mqtt.acknowledgements import Acknowledgements, Then
from edge_agent.mqtt.beginnings import Beginnings
from edge_agent.mqtt.deferred import deferred
from edge_agent.mqtt.events import Connected, Disconnected, Event, Incoming, Oversized, SubscribeFailed
from edge_agent.mqtt.inflow import Inflow
from edge_agent.mqtt.options import ClientOptions
from edge_agent.mqtt.outcome import (
    NOT_AUTHORIZED,
    TAKEN_OVER,
    UNSUPPORTED_VERSION,
    Outcome,
    Reached,
    not_connected,
    refusal,
    unanswered,
    untrusted,
)
from edge_agent.mqtt.refused_messages import RefusedMessages
from edge_agent.mqtt.sent import Refusals, Sent
from edge_agent.mqtt.serving import Library, close, serve
from edge_agent.mqtt.version import Version
from edge_agent.mqtt.waker import Waker, Wakes
from edge_agent.printable import printable

with deferred("urllib.request"):  # paho uses it to find proxies if PySocks is installed; it would take 1.4 MB
    from paho.mqtt.client import Client as Paho
    from paho.mqtt.client import ConnectFlags, DisconnectFlags, MQTTMessage
    from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode
    from paho.mqtt.subscribeoptions import SubscribeOptions

log = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S = 10.0  # for TCP and TLS
_KEEPALIVE_S = 30
_RECEIVE_MAXIMUM = 32  # unacknowledged QoS 1 messages that the broker may send: 32 chunks are 4 MB here
# For clients that acknowledge on arrival: mosquitto drops retained messages above 1,000 that the window holds back.
_RECEIVE_MAXIMUM_CLEAN = 65_535
_MAX_OUTGOING = 256  # unacknowledged messages that we may have in flight; more are refused
_TELL_DROPPED_EVERY_S = 60.0
_VERSIONS = {"5": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}


@dataclass(slots=True)
class _Connection:
    """State of the current connection, set by the callbacks."""

    generation: int
    reached: Reached
    failure: Disconnected
    let_in_at: float = 0.0
    acknowledged: bool = False


class _Paho(Beginnings, Paho):
    """paho's client, with a limit on the packets that it collects; nothing in the protocol is larger than a chunk."""

    forgets = False
    """Whether the broker shall discard the session on a clean disconnect."""

    def disconnect(self, reasoncode: ReasonCode | None = None, properties: Properties | None = None) -> MQTTErrorCode:
        if self.forgets and properties is None:
            properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 0
        return super().disconnect(reasoncode, properties)


class Client:
    """A client whose methods are thread-safe, except ``serve``: one thread calls it, and runs ``on_event``.

    Attributes:
        version: the version of MQTT.
        max_packet_bytes: the largest packet that the broker accepts; 0: it announced no limit.
        refusals: the messages that the broker refused.
    """

    def __init__(
        self, options: ClientOptions, version: Version, on_event: Callable[[Event], None], waker: Wakes, inflow: Inflow
    ) -> None:
        self.version = version
        self.max_packet_bytes = 0
        self.refusals = Refusals(_MAX_OUTGOING)
        self._options = options
        self._url = options.broker.url
        self._on_event = on_event
        self._waker = waker
        self._inflow = inflow
        self._filters: dict[int, tuple[str, ...]] = {}
        self._filters_lock = threading.Lock()
        self._acknowledgements = Acknowledgements()
        self._refused_messages = RefusedMessages(options)
        self._told_dropped_at = -math.inf
        self._known = False
        """The broker has accepted this client before, so it may still have its session."""
        self._now = _Connection(0, Reached.NOTHING, Disconnected("the link was not started"))
        self._paho = self._make_paho()

    # -- called by the owner during a session

    def publish(self, topic: str, payload: bytes, *, retain: bool, qos: int, then: Then | None = None) -> Sent:
        """Send a message. ``then`` is called once the broker has it or refuses it, but not if it could not be sent."""
        info = self._paho.publish(topic, payload, qos=qos, retain=retain)
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            log.warning("too many messages wait for the broker; one to %s was not sent", topic)
            return Sent(None, self.refusals, f"{self._url} leaves too many messages unacknowledged")
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            if qos == 0:
                return Sent(None, self.refusals, f"{self._url} closed the connection")
            # The connection was lost at this moment. paho has stored the message and sends it with the next
            # connection, but would raise in wait_for_publish.
            info.rc = MQTTErrorCode.MQTT_ERR_SUCCESS
        self._acknowledgements.expect(info.mid, topic, then, lasting=qos > 0)
        return Sent(info, self.refusals)

    def subscribe(self, filters: tuple[str, ...], qos: int) -> None:
        """Subscribe to ``filters``; their retained messages follow."""
        with self._filters_lock:
            if self.version == "5":
                _, mid = self._paho.subscribe([(name, SubscribeOptions(qos=qos)) for name in filters])
            else:
                _, mid = self._paho.subscribe([(name, qos) for name in filters])
            if mid is not None:
                self._filters[mid] = filters

    def unsubscribe(self, filters: tuple[str, ...]) -> None:
        """Unsubscribe from ``filters``."""
        self._paho.unsubscribe(list(filters))

    def ack(self, incoming: Incoming | Oversized) -> None:
        """Acknowledge ``incoming`` to the broker; a message of an earlier connection is ignored."""
        generation, mid, qos = incoming.token
        if qos > 0 and generation == self._now.generation:
            self._paho.ack(mid, qos)

    def give_up(self, why: str) -> None:
        """Stop sending: fail all messages that wait for an acknowledgement."""
        self._acknowledgements.give_up(f"{self._url} {why}")

    def drop(self) -> None:
        """Break the connection without a DISCONNECT, so that the broker keeps the session."""
        connection = self._paho.socket()
        if isinstance(connection, socket.socket):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    # -- called by the serving thread

    def serve(self, generation: int, waker: Waker, stopping: threading.Event, enough: Callable[[], bool]) -> Outcome:
        """Connect, and serve the connection until it breaks or we disconnect.

        Args:
            generation: unique among the connections of this link; messages of another one are not acknowledged.
            waker: woken when there is something to write.
            stopping: set when the owner wants to stop.
            enough: whether this connection should end and a new one be made.
        """
        if (failed := self.open(generation)) is not None:
            return failed
        now = self._now
        try:
            answered: Callable[[], bool] = lambda: now.reached is not Reached.A_LISTENER  # noqa: E731  # it has a type
            if not serve(self._paho, waker, answered, stopping, lambda: self._inflow.full, enough):
                now.failure = Disconnected(f"{self._url} accepts connections but does not answer")
        except Exception as error:  # paho raises on bytes that are not MQTT
            log.exception("the connection to %s broke", self._url)
            now.failure = Disconnected(f"{self._url}: {error!r}")
        close(self._paho)
        return self.outcome

    # -- for an owner that serves many clients with one thread

    def open(self, generation: int) -> Outcome | None:
        """Connect, in up to ten seconds. None: serve :attr:`library` now; else the failure."""
        self._now = _Connection(generation, Reached.A_LISTENER, unanswered(self._options.broker))
        self.refusals.clear()
        self._acknowledgements.begin()
        self._refused_messages.begin()
        with self._filters_lock:
            self._filters.clear()
        try:
            self._connect()
        except ssl.SSLCertVerificationError as error:
            return Outcome(Reached.NOTHING, untrusted(self._options.broker, error.verify_code, error.verify_message))
        except (OSError, ValueError) as error:
            return Outcome(Reached.NOTHING, not_connected(self._options.broker, error))
        return None

    @property
    def library(self) -> Library:
        """The object that reads from and writes to the connection."""
        return self._paho

    @property
    def outcome(self) -> Outcome:
        """The outcome of the newest connection."""
        now = self._now
        lasted_s = time.monotonic() - now.let_in_at if now.let_in_at else 0.0
        waits = self._acknowledgements.first if now.reached is Reached.A_SESSION else ""
        return Outcome(now.reached, now.failure, lasted_s, now.acknowledged, waits)

    def _connect(self) -> None:
        host, port, _ = self._options.broker.address
        if self.version != "5":
            self._paho.connect(host, port, _KEEPALIVE_S)
            return
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._options.session_s
        properties.ReceiveMaximum = _RECEIVE_MAXIMUM_CLEAN if self._options.clean else _RECEIVE_MAXIMUM
        properties.MaximumPacketSize = _Paho.most_packet_bytes
        begins = self._options.clean and not (self._known and self._options.session_s)
        self._paho.connect(host, port, _KEEPALIVE_S, clean_start=begins, properties=properties)

    # -- paho's callbacks

    def _make_paho(self) -> Paho:
        options = self._options
        paho = _Paho(
            CallbackAPIVersion.VERSION2,
            client_id=options.client_id,
            clean_session=None if self.version == "5" else options.clean,
            protocol=_VERSIONS[self.version],
            reconnect_on_failure=False,
            manual_ack=not options.clean,
        )
        paho.forgets = self.version == "5" and options.clean and options.session_s > 0
        paho.connect_timeout = _CONNECT_TIMEOUT_S
        paho.max_queued_messages_set(_MAX_OUTGOING)
        if options.tls is not None:
            paho.tls_set_context(options.tls)
        if options.broker.username:
            paho.username_pw_set(options.broker.username, options.password)
        if options.will is not None:
            paho.will_set(*options.will, qos=1, retain=True)
        paho.on_connect = self._on_connect
        paho.on_disconnect = self._on_disconnect
        paho.on_message = self._on_message
        paho.on_subscribe = self._on_subscribe
        paho.on_publish = self._on_publish
        paho.on_socket_open = _send_at_once
        # With this callback set, paho does not write from the publishing thread.
        paho.on_socket_register_write = lambda *_: self._waker.wake()
        return paho

    def _on_connect(
        self, _paho: Paho, _data: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            if reason.value != UNSUPPORTED_VERSION:
                self._now.reached = Reached.THE_BROKER
            self._now.failure = refusal(self._url, reason.value, str(reason))
            return
        self._now.reached, self._now.let_in_at = Reached.A_SESSION, time.monotonic()
        self._now.failure = Disconnected(f"{self._url} closed the connection")
        self._known = True
        self.max_packet_bytes = int(getattr(properties, "MaximumPacketSize", 0))
        self._on_event(Connected(flags.session_present, self.version))

    def _on_disconnect(
        self, _paho: Paho, _data: Any, flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if self._now.reached is not Reached.A_SESSION:
            return
        if reason.value == TAKEN_OVER:
            client_id = self._options.client_id
            text = f"another client connects as {client_id!r}; give each device its own device_id"
            self._now.failure = Disconnected(text, twin=True)
        elif flags.is_disconnect_packet_from_server:
            self._now.failure = Disconnected(f"{self._url} ended the connection: {reason}")

    def _on_message(self, paho: Paho, _data: Any, message: MQTTMessage) -> None:
        token = (self._now.generation, message.mid, message.qos)
        try:
            topic = message.topic
        except UnicodeDecodeError:  # a broker should reject such a topic, and we use none
            if not self._options.clean:
                paho.ack(message.mid, message.qos)
            return
        incoming = Incoming(topic, bytes(message.payload), message.retain, token)
        event = self._inflow.came(incoming, message.qos, time.monotonic())
        if event is not None:
            self._on_event(event)
        elif time.monotonic() - self._told_dropped_at >= _TELL_DROPPED_EVERY_S:
            self._told_dropped_at = time.monotonic()
            log.warning(
                "messages arrive faster than they are handled; dropped %d in all, the last one to %s; "
                "check who publishes there",
                self._inflow.dropped,
                printable(topic),
            )

    def _on_subscribe(
        self, _paho: Paho, _data: Any, mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        with self._filters_lock:
            filters = self._filters.pop(mid, ())
        refused = [(name, reason) for name, reason in zip(filters, reasons, strict=False) if reason.is_failure]
        if refused:
            log.warning("the broker refused to subscribe %s: %s", refused[0][0], refused[0][1])
            self._on_event(SubscribeFailed(tuple(name for name, _ in refused), str(refused[0][1])))

    def _on_publish(
        self, _paho: Paho, _data: Any, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        text = str(reason) if reason.is_failure else ""
        if reason.is_failure:
            self.refusals.note(mid, text)
        self._now.acknowledged |= self._acknowledgements.is_lasting(mid)
        topic = self._acknowledgements.came(mid, text)
        if reason.is_failure:
            self._refused_messages.tell(topic, text, denied=reason.value == NOT_AUTHORIZED)


def _send_at_once(_paho: Paho, _data: Any, connection: Any) -> None:
    """Disable Nagle's algorithm: a PUBACK behind a SUBSCRIBE would wait 40 ms for the broker's delayed ACK."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
